"""What a person sees."""

import io
import sys
import time

import pytest

from bentoship.commands import terminal as console
from bentoship.image.descriptor import LAYER_GZIP, Descriptor

BLOB = Descriptor(LAYER_GZIP, f"sha256:{0:064x}", 2_000_000)
OTHER = Descriptor(LAYER_GZIP, f"sha256:{'ab' * 32}", 1_000_000)


def test_a_transfer_tells_how_long_it_took() -> None:
    """From when there was something to send; without that, nothing."""
    with console.Transfer("push") as progress:
        progress.begin([])
    assert progress.seconds == 0
    with console.Transfer("push") as progress:
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


def test_a_log_gets_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, no bar is drawn; what has to be sent again is taken back."""
    with console.Transfer("push", every=0) as progress:
        progress.begin([BLOB])
        progress.advance(BLOB, 1_500_000)
        progress.advance(BLOB, -500_000)
    assert [line.split(maxsplit=1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "1.5 MB of 2.0 MB",
        "1.0 MB of 2.0 MB",
    ]


def test_without_stderr_nothing_goes_astray(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words are dropped where there is nowhere to say them; stdout stays for results."""
    monkeypatch.setattr("sys.stderr", None)
    console.say("push", "words")
    with console.Transfer("push", every=0) as progress:
        progress.begin([BLOB])
        progress.advance(BLOB, 1)
    assert capsys.readouterr().out == ""


def test_what_turns_up_later_counts_too(capsys: pytest.CaptureFixture[str]) -> None:
    """An engine tells of layers one by one."""
    with console.Transfer("push", every=0) as progress:
        progress.begin([BLOB])
        progress.begin([OTHER])
        progress.advance(OTHER, 1_000_000)
    assert "1.0 MB of 3.0 MB" in capsys.readouterr().err


def test_a_terminal_gets_a_bar_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one over all of it; what is complete makes room."""
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with console.Transfer("push") as progress:
        progress.begin([BLOB, OTHER])
        progress.advance(OTHER, 500_000)
        time.sleep(0.3)
    assert "push" in screen.getvalue()
    assert OTHER.hex[:12] in screen.getvalue()
    assert BLOB.hex[:12] not in screen.getvalue()
