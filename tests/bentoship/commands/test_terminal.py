"""What a person sees."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from collections.abc import Callable

import pytest

from bentoship.commands import terminal as console
from bentoship.commands.block import HEIGHT
from bentoship.commands.rows import Row
from bentoship.commands.terminal import Terminal, result, result_as_json, table
from bentoship.image.descriptor import LAYER_GZIP, MANIFEST, Descriptor
from bentoship.system.progress import Counter, State
from bentoship.system.text import printable
from tests.support.screen import Screen

BLOB = Descriptor(LAYER_GZIP, f"sha256:{0:064x}", 2_000_000)
OTHER = Descriptor(LAYER_GZIP, f"sha256:{'ab' * 32}", 1_000_000)
TITLES = {BLOB.digest: "package numpy 2.4.6", OTHER.digest: "package pillow 13.0.0"}


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have little patience: what takes a twentieth of a second is worth telling."""
    monkeypatch.setattr(console, "SOON", 0.05)
    monkeypatch.setattr(console._Log, "every", 0.01)
    monkeypatch.setattr(console._Screen, "every", 0.01)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], io.StringIO]:
    """Makes stderr a file; in the test itself, since pytest captures it anew after fixtures are made."""

    def of() -> io.StringIO:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return of


@pytest.fixture
def screens(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Screen]:
    """Makes stderr a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def of(width: int = 80) -> Screen:
        screen = Screen(width)
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setenv("COLUMNS", str(screen.width))
        monkeypatch.setenv("LINES", str(screen.height))
        return screen

    return of


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, which it has to within ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def words(log: io.StringIO) -> list[str]:
    """The lines of a log, without the names of steps, and without seconds."""
    lines = [line[console._WIDTH + 1 :] for line in log.getvalue().splitlines()]
    return [line.rpartition(" took ")[0] + " took" if " took " in line else line for line in lines]


def test_a_transfer_tells_how_long_it_took() -> None:
    """From when there was something to send; without that, nothing."""
    with Terminal().transfer("push", {}) as progress:
        progress.begin([])
    assert progress.seconds == 0
    with Terminal().transfer("push", {}) as progress:
        time.sleep(0.05)
        began = time.monotonic()
        progress.begin([BLOB])
        time.sleep(0.01)
    assert 0.01 <= progress.seconds <= time.monotonic() - began


def test_words_go_to_stderr_and_results_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that reads stdout gets the result alone."""
    console.say("push", "words")
    console.table([("1", "one"), ("22", "two")])
    console.result("result")
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert err.splitlines() == ["push            words", "                1   one", "                22  two"]


@pytest.mark.usefixtures("quickly")
def test_a_log_gets_lines_of_progress(logs: Callable[[], io.StringIO]) -> None:
    """A line at the beginning and one at the end with the seconds, now and then how much; what is sent again counts."""
    log = logs()
    with Terminal(pause=0).transfer("push", TITLES) as progress:
        progress.begin([BLOB])
        progress.advance(BLOB, 1_500_000)
        wait_for(lambda: "push            sending layers: 1.5 of 2.0 MB\n" in log.getvalue())
        progress.advance(BLOB, -500_000)
        wait_for(lambda: "push            sending layers: 1.0 of 2.0 MB\n" in log.getvalue())
    first, *others, last = words(log)
    assert (first, last) == ("sending layers", "sending layers took")
    assert set(others) == {"sending layers: 1.5 of 2.0 MB", "sending layers: 1.0 of 2.0 MB"}


@pytest.mark.usefixtures("quickly")
def test_a_log_is_not_chatty(logs: Callable[[], io.StringIO]) -> None:
    """Two lines for what takes a while, none for a step as such."""
    log = logs()
    terminal = Terminal()
    with terminal.task("build"), terminal.task("build", "importing the service") as task:
        for _ in range(100):
            task.advance(1)
            time.sleep(0.002)
    assert words(log) == ["importing the service", "importing the service took"]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_is_said_of_what_is_quick(
    logs: Callable[[], io.StringIO], screens: Callable[..., Screen], *, is_terminal: bool
) -> None:
    """It would only flicker."""
    stream = screens() if is_terminal else logs()
    terminal = Terminal(pause=0)
    with terminal.task("build"), terminal.task("build", "importing the service", total=2) as task:
        task.advance(1)
        time.sleep(0.15)
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("quickly")
def test_what_fails_is_not_said_to_have_ended(logs: Callable[[], io.StringIO]) -> None:
    """The error is told by who catches it."""
    log = logs()
    terminal = Terminal()

    def fail() -> None:
        with terminal.task("build", "importing the service"):
            wait_for(lambda: bool(log.getvalue()))
            raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        fail()
    assert words(log) == ["importing the service"]


@pytest.mark.usefixtures("quickly")
def test_what_ends_by_itself_is_told_when_it_does(logs: Callable[[], io.StringIO]) -> None:
    """Once, while others go on; how far it has come is measured."""
    log = logs()
    terminal, ended = Terminal(pause=0), [False]
    state = State("unpacking", 3, 58, "packages")
    with terminal.task("containerize", "assembling a base", measure=lambda: state, ended=lambda: ended[0]):
        wait_for(lambda: "unpacking: 3 of 58 packages" in log.getvalue())
        ended[0] = True
        wait_for(lambda: "assembling a base took" in log.getvalue())
        time.sleep(0.05)
    assert words(log)[0] == "assembling a base"
    assert words(log).count("assembling a base took") == 1
    assert words(log)[-1] == "assembling a base took"


@pytest.mark.usefixtures("quickly")
def test_what_is_dropped_is_not_said_to_have_ended(logs: Callable[[], io.StringIO]) -> None:
    """What goes on by itself may have to stop before its end."""
    log = logs()
    terminal = Terminal(pause=60)
    with terminal.task("containerize", "assembling a base", measure=lambda: State("unpacking"), ended=lambda: False):
        wait_for(lambda: bool(log.getvalue()))
    assert words(log) == ["assembling a base"]


def test_without_stderr_nothing_goes_astray(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words are dropped where there is nowhere to say them; stdout stays for results."""
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr(console, "SOON", 0)
    console.say("push", "words")
    with Terminal(pause=0).transfer("push", {}) as progress:
        progress.begin([BLOB])
        progress.advance(BLOB, 1)
        time.sleep(0.05)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("quickly")
def test_what_turns_up_later_counts_too(logs: Callable[[], io.StringIO]) -> None:
    """An engine tells of layers one by one."""
    log = logs()
    with Terminal(pause=0).transfer("push", {}) as progress:
        progress.begin([BLOB])
        progress.begin([OTHER])
        progress.advance(OTHER, 1_000_000)
        wait_for(lambda: "1.0 of 3.0 MB" in log.getvalue())


@pytest.mark.usefixtures("quickly")
def test_a_terminal_shows_the_parts_of_a_copy_by_their_titles(screens: Callable[..., Screen]) -> None:
    """Below all of it; what is complete makes room."""
    screen = screens()
    with Terminal().transfer("push", TITLES) as progress:
        progress.begin([BLOB, OTHER])
        progress.advance(BLOB, 500_000)
        progress.advance(OTHER, 500_000)
        wait_for(lambda: "numpy 2.4.6" in screen.text and "pillow 13.0.0" in screen.text)
        assert "1.0 of 3.0 MB" in screen.text
        progress.advance(BLOB, 1_500_000)
        wait_for(lambda: "numpy 2.4.6" not in screen.text)
        assert "pillow 13.0.0" in screen.text
    assert BLOB.hex[:12] not in screen.getvalue()


@pytest.mark.usefixtures("quickly")
def test_a_part_without_a_title_is_called_by_its_kind(screens: Callable[..., Screen]) -> None:
    """Engines tell no more of a layer than a part of its digest."""
    screen = screens()
    manifest = Descriptor(MANIFEST, BLOB.digest, 5_000)
    with Terminal().transfer("push", {}) as progress:
        progress.begin([OTHER, manifest])
        progress.advance(OTHER, 1)
        progress.advance(manifest, 1)
        wait_for(lambda: f"layer {OTHER.hex[:12]}" in screen.text and "manifest 000000000000" in screen.text)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_block_is_small_and_goes_away(screens: Callable[..., Screen], width: int) -> None:
    """However much is under way: at most eight lines that fit in the width, and nothing of them in the end; the cursor
    stays, which a shell does not bring back after Ctrl-Z."""
    screen, terminal = screens(width), Terminal()
    with terminal.task("containerize"):
        blobs = [Descriptor(LAYER_GZIP, f"sha256:{number:064x}", 2_000_000) for number in range(20)]
        titles = {blob.digest: f"package number-{index} 1.0" for index, blob in enumerate(blobs)}
        with terminal.task("containerize", "compiling 72 packages", total=72, unit="packages") as task:
            task.advance(31)
            wait_for(
                lambda: "compiling" in screen.text and ("43%" if width < 60 else "31 of 72 packages") in screen.text
            )
        with terminal.transfer("push", titles) as progress:
            progress.begin(blobs)
            for blob in blobs:
                progress.advance(blob, 1_000)
            wait_for(lambda: "number-3" in screen.text and "and 15 more" in screen.text)
            assert not screen.cursor_is_hidden, "it would stay so after Ctrl-Z"
            assert all(len(line) < width for line in screen.lines[-HEIGHT:])
            terminal.say("tag", "latest")
    assert screen.farthest_up == HEIGHT - 1
    told = screen.text.replace("\n", "") if width < 60 else screen.text
    assert re.findall(r"containerize|tag  |push  |latest|\w+ing|took", told) == [
        "containerize", "compiling", "took", "tag  ", "latest", "push  ", "sending", "took",
    ]  # fmt: skip
    assert not screen.cursor_is_hidden
    assert screen.is_coloured


@pytest.mark.usefixtures("quickly")
def test_words_come_above_the_block_and_are_whole(screens: Callable[..., Screen]) -> None:
    """The terminal breaks what is too long, so that it can be copied."""
    screen, terminal = screens(40), Terminal()
    reference = f"localhost:5000/bentoship/echo@sha256:{'ab' * 32}"
    with terminal.task("push"):
        wait_for(lambda: "push" in screen.text)
        terminal.say("push", reference)
        assert screen.lines[-1].startswith("push ")
        assert reference in "".join(screen.lines)
    assert f" {reference}\n" in screen.getvalue()
    assert "".join(screen.lines) == f"{'push':<{console._WIDTH}} {reference}"


@pytest.mark.usefixtures("quickly")
def test_colours_are_left_out_where_nobody_wants_them(
    screens: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR, https://no-color.org; what moves still does."""
    screen = screens()
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    terminal.say("build", "words")
    with terminal.task("build"), terminal.task("build", "compiling", total=2) as task:
        task.advance(1)
        wait_for(lambda: "1.0" in screen.text or "1 of 2 B" in screen.text)
        terminal.say("build", "more words")
    assert not screen.is_coloured
    assert screen.lines[0] == "build           words"


@pytest.mark.usefixtures("quickly")
def test_a_dumb_terminal_is_a_log(screens: Callable[..., Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets lines, and nothing that moves or has a colour."""
    screen = screens()
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with terminal.task("build"), terminal.task("build", "importing the service"):
        wait_for(lambda: "importing" in screen.text)
    assert "\x1b" not in screen.getvalue()


@pytest.mark.usefixtures("quickly")
def test_how_long_it_takes_yet_is_told_by_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes slowly at first may be quick afterwards; nothing is told before a moment has passed."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    row = Row("containerize", 1, Counter("assembling a base"))
    assert row.seconds_left(State("downloading", 0, 1_000_000)) is None
    now[0] += 60
    assert row.seconds_left(State("downloading", 600_000, 1_000_000)) == pytest.approx(40)
    assert row.seconds_left(State("unpacking", 0, 50, "packages")) is None
    now[0] += 1
    assert row.seconds_left(State("unpacking", 10, 50, "packages")) is None
    now[0] += 9
    assert row.seconds_left(State("unpacking", 20, 50, "packages")) == pytest.approx(15)


def test_what_is_shown_of_a_stranger_stays_in_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A layer's title or a platform's name can neither begin a line nor move the cursor."""
    table([("1 kB", "RUN a\nError: b\x1b[2J"), ("20.0 kB", "c\td")], to=sys.stdout)
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines] == ["1 kB     RUN a\\nError: b\\x1b[2J", "20.0 kB  c\\td"]


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the language of this machine has few characters; JSON stays JSON."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    result("größe → 🎯")
    table([("größe", "→")], to=sys.stdout)
    result_as_json({"größe": "→ 🎯"})
    sys.stdout.flush()
    first, second, *rest = written.getvalue().decode("latin-1").splitlines()
    assert (first, second.split()) == ("größe \\u2192 \\U0001f3af", ["größe", "\\u2192"])
    assert json.loads("".join(rest)) == {"größe": "→ 🎯"}


def test_json_stays_json_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What may not be printed is escaped as JSON does."""
    for value in ({"name": "größe"}, {"name": "a\x9b\u202e\udcff\n"}):
        result_as_json(value)
        out = capsys.readouterr().out
        assert json.loads(out) == value
        assert printable(out) == out
    result_as_json("größe")
    assert "größe" in capsys.readouterr().out
