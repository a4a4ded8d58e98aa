"""Child processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.errors import ProcessError
from bentoship.system import process


def python(script: str) -> list[str]:
    """A command that runs a script."""
    return [sys.executable, "-c", script]


def test_a_program_gets_its_input() -> None:
    """All of it, or none when there is none."""
    script = "import sys; print(len(sys.stdin.read()))"
    assert process.run(python(script), env={}, input="x" * 100_000).stdout.strip() == "100000"
    assert process.run(python(script), env={}).stdout.strip() == "0"


def test_a_program_that_fails_is_told_by_its_last_words() -> None:
    """Unless the caller wants to see for himself."""
    script = "import sys; print('first', file=sys.stderr); sys.exit('no luck')"
    with pytest.raises(ProcessError, match="no luck"):
        process.run(python(script), env={})
    assert process.run(python(script), env={}, check=False).code == 1


def test_a_program_runs_in_the_background() -> None:
    """It gets its input, and tells how it ended when it is asked; much output does not stop it."""
    script = "import sys; print(sys.stdin.read() * 100_000); sys.exit('no luck')"
    with process.background(python(script), env={}, input="word") as running:
        done = running.wait()
    assert (done.code, len(done.stdout), done.stderr) == (1, 400_001, "no luck\n")


def test_what_a_program_in_the_background_has_written_is_known() -> None:
    """While it runs, and without getting in the way of what it writes next; so is whether it has ended well."""
    script = "echo one; echo what >&2; sleep 1; echo two"
    with process.background(["sh", "-c", script], env={"PATH": "/usr/bin:/bin"}) as running:
        deadline = time.monotonic() + 10
        while not (running.output and running.complaints):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert (running.output, running.complaints, running.has_succeeded) == ("one\n", "what\n", False)
        assert running.wait().stdout == "one\ntwo\n"
        assert running.has_succeeded
    with process.background(python("raise SystemExit(1)"), env={}) as failing:
        failing.wait()
        assert not failing.has_succeeded


def test_a_program_in_the_background_ends_with_the_block(tmp_path: Path) -> None:
    """With what it has started."""
    file = tmp_path / "ids"
    script = (
        "import os, pathlib, sys, time, subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(f'{os.getpid()} {child.pid} ')\n"
        "time.sleep(60)\n"
    )
    with process.background([*python(script), file], env={}):
        while not (file.is_file() and file.read_text().endswith(" ")):
            time.sleep(0.01)
    for number in file.read_text().split():
        deadline = time.monotonic() + 5
        while is_running(int(number)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_running(int(number))


def is_running(number: int) -> bool:
    """Whether a process is there, and not only its exit code."""
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_program_that_does_not_end_is_ended() -> None:
    """With all that it started, when its time is over."""
    with pytest.raises(ProcessError, match=r"did not end within 0.2 s"):
        process.run(["sh", "-c", "sleep 60 & sleep 60"], env={"PATH": "/usr/bin:/bin"}, timeout=0.2)


def test_a_variable_is_set_for_a_library_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is empty counts as unset."""
    monkeypatch.setenv("LANG", "de")
    monkeypatch.setenv("TZ", "")
    process.preset("LANG", "C")
    process.preset("TZ", "UTC")
    assert (process.environment()["LANG"], process.environment()["TZ"]) == ("de", "UTC")


def test_a_program_that_is_missing_is_told(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ProcessError, match="no-such-program"):
        process.run(["no-such-program"], env={})
    with pytest.raises(ProcessError, match="no-such-program"), process.background(["no-such-program"], env={}):
        pass
    with pytest.raises(ProcessError, match="no-such-program"):
        process.start_detached(["no-such-program"], env={}, log=tmp_path / "log")


def test_only_a_program_that_is_missing_is_to_be_installed(tmp_path: Path) -> None:
    """One that may not be run is there, and so is one whose folder is not."""
    with pytest.raises(ProcessError, match="Install no-such-program"):
        process.run(["no-such-program"], env={})
    (tmp_path / "program").touch(mode=0o644)
    with pytest.raises(ProcessError, match="Permission denied") as caught:
        process.run([tmp_path / "program"], env={})
    assert caught.value.hint == ""
    with pytest.raises(ProcessError, match=f"No such file or directory: .*{tmp_path}/none") as caught:
        process.run([sys.executable], env={}, cwd=tmp_path / "none")
    assert caught.value.hint == ""


def test_a_child_gets_no_more_of_the_environment_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords stay here, but for those of a program that is named for them."""
    monkeypatch.setenv("ACME_TOKEN", "secret")
    monkeypatch.setenv("LANG", "C")
    assert "ACME_TOKEN" not in process.environment()
    assert process.environment()["LANG"] == "C"
    assert process.environment(prefixes=("ACME_",))["ACME_TOKEN"] == "secret"
    assert process.environment(names=("ACME_TOKEN",))["ACME_TOKEN"] == "secret"
    assert process.environment(extra={"LANG": "de"})["LANG"] == "de"


def test_output_is_handed_on_as_it_comes() -> None:
    """What it writes and what it complains about, line by line, while it still runs; progress within a line, too."""
    script = (
        "import sys, time; print('a', flush=True); print('b\\rc', file=sys.stderr, flush=True); time.sleep(1); exit(3)"
    )
    heard: list[tuple[str, float]] = []
    code = process.stream(python(script), env={}, on_line=lambda line: heard.append((line, time.monotonic())))
    assert code == 3
    assert [line for line, _ in heard] == ["a", "b", "c"]
    assert time.monotonic() - heard[-1][1] > 0.5


@pytest.mark.parametrize("before", ["", "trap '' TERM; "], ids=["willing", "unwilling"])
def test_a_stream_that_is_broken_off_ends_all_of_it(before: str) -> None:
    """An interrupt leaves nothing of what it started running, not even what does not want to end with the rest."""
    script = f"import subprocess; subprocess.run(['sh', '-c', \"{before}echo $$; exec sleep 60\"])"
    heard: list[int] = []

    def stop(line: str) -> None:
        heard.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.stream(python(script), env={"PATH": "/usr/bin:/bin"}, on_line=stop)
    deadline = time.monotonic() + 5
    while _runs(heard[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(heard[0])


def _runs(pid: int) -> bool:
    """Whether a process is there, and not merely waiting to be asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_stream_of_a_program_that_is_missing_is_told() -> None:
    """By its name."""
    with pytest.raises(ProcessError, match="no-such-program"):
        process.stream(["no-such-program"], env={}, on_line=print)


SLOW = "import sys, time; sys.stdin.read() == 'fail' and sys.exit('no luck'); time.sleep(60)"


def test_together_one_failure_ends_all() -> None:
    """What one says when it fails is told, and nobody waits for the others."""
    began = time.monotonic()
    with pytest.raises(ProcessError, match="no luck"):
        process.run_together([sys.executable, "-c", SLOW], ["fail", "go on"], env=process.environment())
    assert time.monotonic() - began < 30


def test_together_each_has_its_input(tmp_path: Path) -> None:
    """Large inputs, too, of programs that say much."""
    code = "import sys; text = sys.stdin.read(); print(text); open(text[:3], 'w').write(str(len(text)))"
    texts = [name + "x" * 300_000 for name in ("one", "two")]
    process.run_together([sys.executable, "-c", code], texts, env=process.environment(), cwd=tmp_path)
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {"one": "300003", "two": "300003"}


def test_together_they_are_watched_until_all_have_ended() -> None:
    """What watches them may look at what they write, to the last."""
    written: list[str] = []

    @contextmanager
    def watching(running: Sequence[process.Running]) -> Iterator[None]:
        yield
        written.extend(one.output for one in running)

    code = "import sys; print(sys.stdin.read())"
    process.run_together([sys.executable, "-c", code], ["a", "b"], env=process.environment(), watching=watching)
    assert written == ["a\n", "b\n"]


def test_programs_end_with_this_process_even_if_it_is_killed(tmp_path: Path) -> None:
    """With all that they started; a killed process has no time to end them itself."""
    pids = tmp_path / "pids"
    # What ends them is told of them only after they have started.
    shell = f"sleep 300 & sleep 1; echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait"
    code = (
        f"from bentoship.system.process import run; run(['/bin/sh', '-c', {shell!r}], env={{'PATH': '/usr/bin:/bin'}})"
    )
    path = str(Path(process.__file__).parents[2])
    with subprocess.Popen(python(code), env={"PYTHONPATH": path}) as parent:
        wait_until(pids.exists)
        started = [int(pid) for pid in pids.read_text("utf-8").split()]
        assert all(map(is_running, started))
        parent.kill()
    wait_until(lambda: not any(map(is_running, started)))


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition. Raises AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_program_gets_answers_to_its_questions() -> None:
    """Each line that it writes is one; it may end without reading the answer, and what it complains of is kept."""
    lines = [
        "import sys",
        "print('one', flush=True)",
        "print(input(), file=sys.stderr)",
        "print('quiet')",
        "print('two')",
    ]
    script = "\n".join(lines)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "" if question == "quiet\n" else f"said {question.strip()}"

    done = process.run_answering(python(script), env={}, answer=answer)
    assert (done.code, done.stderr, asked) == (0, "said one\n", ["one\n", "quiet\n", "two\n"])


def test_foreign_code_gets_no_passwords_of_proxies() -> None:
    """Their addresses stay, and all else."""
    env = {"HTTPS_PROXY": "http://ann:one@h:1", "no_proxy": "h", "URL": "http://ann:one@h"}
    assert process.for_foreign_code(env) == {**env, "HTTPS_PROXY": "http://h:1"}
