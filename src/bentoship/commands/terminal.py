"""What a person sees while something runs: words and bars on stderr. Stdout belongs to results."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from bentoship.image.descriptor import Descriptor
from bentoship.project import Published
from bentoship.system.text import size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WIDTH = 15


def say(step: str, text: str, *, to: TextIO | None = None) -> None:
    """One line about a step; on stderr unless it is what was asked for."""
    stream = to or sys.stderr
    # Python has no stream for one that was closed before it began, and would print on stdout instead.
    if stream is not None:
        print(f"{step:<{_WIDTH}} {text}", file=stream, flush=True)


def result(text: str) -> None:
    """The one line that a script reads."""
    print(text, flush=True)


def table(rows: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Rows in columns, below the words of a step."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("", "  ".join(cells).rstrip(), to=to)


class Terminal:
    """Tells a person what a run does; a script that reads stdout gets the image's name alone."""

    def say(self, step: str, text: str) -> None:
        """Print a line about a step."""
        say(step, text)

    def transfer(self, step: str) -> Transfer:
        """Show how a copy goes on."""
        return Transfer(step)

    def pushed(self, image: Published) -> None:
        """Print what became of the image's parts, and what it is called."""
        table([(size(layer.size), layer.outcome, layer.title) for layer in image.pushed.layers])
        say("push", image.pushed.line)
        for reference in image.tags:
            say("push", str(reference))
        result(str(image.reference))


class Transfer:
    """Shows how a copy goes on: a bar over all of it and one for each part on a terminal, else lines now and then.

    Use it as a context manager; it is told from several threads at once.
    """

    def __init__(self, step: str, *, every: float = 5.0) -> None:
        self._step, self._every = step, every
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._next = time.monotonic() + every
        self._bar = _bar() if sys.stderr and sys.stderr.isatty() else None
        self._tasks: dict[str, TaskID] = {}
        self._began: float | None = None
        self.seconds = 0.0
        """How long it took in the end, from when it was known that there is something to send."""

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._began is not None:
            self.seconds = time.monotonic() - self._began
        if self._bar:
            self._bar.stop()

    def begin(self, missing: Sequence[Descriptor]) -> None:
        """What will be sent, or turned out to be sent besides."""
        with self._lock:
            self._total += sum(descriptor.size for descriptor in missing)
            if self._total and self._began is None:
                self._began = time.monotonic()
            if self._bar and self._total:
                self._bar.start()
                if "" not in self._tasks:
                    self._tasks[""] = self._bar.add_task(f"{self._step:<{_WIDTH}}")
                self._bar.update(self._tasks[""], total=self._total)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        """So many bytes went over; negative when they have to be sent again."""
        with self._lock:
            self._done += count
            if self._bar:
                self._draw(self._bar, descriptor, count)
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + self._every
                say(self._step, f"{size(self._done)} of {size(self._total)}")

    def _draw(self, bar: Progress, descriptor: Descriptor, count: int) -> None:
        if descriptor.digest not in self._tasks:
            self._tasks[descriptor.digest] = bar.add_task(
                f"  {descriptor.hex[:12]:<{_WIDTH - 2}}", total=descriptor.size
            )
        bar.update(self._tasks[""], completed=self._done)
        part = self._tasks[descriptor.digest]
        bar.advance(part, count)
        # One that is complete makes room for the others.
        bar.update(part, visible=not bar.tasks[part].finished)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
