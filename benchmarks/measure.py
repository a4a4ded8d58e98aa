"""What a command takes: time and memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SAMPLE = 0.05
"""Seconds between two looks at what a command and its children hold."""
_PATIENCE = 10.0
"""Seconds that a command has to end when the benchmark is to end."""


class UnmeasuredError(Exception):
    """Something cannot be measured on this machine; says why."""


class CommandError(Exception):
    """A command of the benchmark failed, in the words of its last lines."""


@dataclass(frozen=True)
class Run:
    """A command that ended well.

    Args:
        seconds: from its start to its end.
        memory: bytes that the largest of its processes held at most, as the kernel counts them (VmHWM, proc(5))
            at the last look at each. What getrusage(2) tells of a child begins with what its parent held.
        tree: bytes that all of its processes held together at most, what they share counted in each.
        output: what it wrote to stdout.
    """

    seconds: float
    memory: int
    tree: int
    output: str


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    codes: Sequence[int] = (0,),
    timeout: float = 1800,
) -> Run:
    """Run a command and measure it.

    Args:
        command: the program and its arguments.
        cwd: where it runs.
        env: its environment.
        codes: exit codes that mean that it ended well.
        timeout: seconds after which it is killed.

    Raises: CommandError when it fails.
    """
    os.sync()  # so that it does not wait for the disk on behalf of what came before
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        killer = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        killer.daemon = True
        killer.start()
        try:
            with _watching(process.pid) as held:
                process.wait()
                seconds = time.monotonic() - began
        except BaseException:
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(_PATIENCE)
            raise
        finally:
            killer.cancel()
        said = [_content(file) for file in (out, err)]
    if process.returncode not in codes:
        words = " ".join(map(str, command))
        raise CommandError(f"{words} ended with {process.returncode}:\n{''.join(said)[-3000:]}")
    return Run(seconds, held.largest, held.together, said[0])


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


@dataclass
class _Held:
    """The most that was seen: of one process, and of all of them together."""

    largest: int = 0
    together: int = 0


@contextmanager
def _watching(pid: int) -> Iterator[_Held]:
    """Look again and again at what a process and its children hold. Gives: what was seen so far."""
    held = _Held()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLE):
            looks = [_memory(one) for one in _tree(pid)]
            held.together = max(held.together, sum(now for now, _ in looks))
            held.largest = max(held.largest, *(most for _, most in looks))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield held
    finally:
        over.set()
        watcher.join()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _tree(int(child))


def _memory(pid: int) -> tuple[int, int]:
    """The bytes that a process holds, and the most that it has held."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended meanwhile
        return 0, 0
    found = dict(re.findall(r"(?m)^(VmRSS|VmHWM):\s+(\d+) kB", status))
    return int(found.get("VmRSS", 0)) * 1024, int(found.get("VmHWM", 0)) * 1024
