"""What a person sees while something runs: words and bars on stderr. Stdout belongs to results."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from bentoship.image.descriptor import Descriptor

if TYPE_CHECKING:
    from rich.progress import Progress

_WIDTH = 15


def say(step: str, text: str, *, to: TextIO | None = None) -> None:
    """One line about a step; on stderr unless it is what was asked for."""
    _print(f"{step:<{_WIDTH}} {text}", to)


def result(text: str) -> None:
    """The one line that a script reads."""
    print(text, flush=True)


def size(count: float, *, exact: bool = True) -> str:
    """Bytes for people: 532 B, 41.2 kB, ~98.4 MB for an estimate."""
    if not exact:
        return f"~{size(count)}"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def table(rows: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Rows in columns, below the words of a step."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        _print(f"{'':<{_WIDTH}} {'  '.join(cells).rstrip()}", to)


def _print(line: str, to: TextIO | None) -> None:
    stream = to or sys.stderr
    # Python has no stream for one that was closed before it began, and would print on stdout instead.
    if stream is not None:
        print(line, file=stream, flush=True)


class Transfer:
    """Shows how a copy between stores goes on: a bar over all of it on a terminal, else a line every few seconds.

    Use it as a context manager; it is told from several threads at once.
    """

    def __init__(self, step: str, *, every: float = 5.0) -> None:
        self._step, self._every = step, every
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._next = time.monotonic() + every
        self._bar = _bar() if sys.stderr and sys.stderr.isatty() else None

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, missing: Sequence[Descriptor]) -> None:
        """What will be sent."""
        self._total = sum(descriptor.size for descriptor in missing)
        if self._bar and self._total:
            self._bar.start()
            self._bar.add_task(f"{self._step:<{_WIDTH}}", total=self._total)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        """So many bytes went over; negative when they have to be sent again."""
        with self._lock:
            self._done += count
            if self._bar:
                self._bar.update(self._bar.task_ids[0], completed=self._done)
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + self._every
                say(self._step, f"{size(self._done)} of {size(self._total)}")


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
