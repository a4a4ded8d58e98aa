"""What a person sees while a command runs: lines and progress on stderr. Stdout is for results."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO, Unpack

from bentoship.commands.rows import Row
from bentoship.image.descriptor import CONFIG, INDEX_TYPES, MANIFEST_TYPES, Descriptor
from bentoship.project import Published
from bentoship.system import process
from bentoship.system.parallel import repeating
from bentoship.system.progress import Counter, Details, counter_of
from bentoship.system.text import amount, on_one_line, printable, size
from bentoship.system.urls import without_secrets

if TYPE_CHECKING:
    from bentoship.commands.block import Block

_WIDTH = 15

SOON = 0.5
"""Seconds. What takes less is not shown, since it would only flicker."""


def say(step: str, text: str, *, to: TextIO | None = None, width: int = _WIDTH) -> None:
    """Print a line about a step: on stderr, unless it is the result of the command.

    Args:
        step: its name.
        text: what to print about it.
        to: the stream; None for stderr.
        width: of the column with the name.
    """
    stream = to or sys.stderr
    # Python has no stream for one that was closed before it started, and would print on stdout instead.
    if stream is not None:
        label = f"{step:<{width}}"
        if step and is_terminal(stream) and not process.environment(names=["NO_COLOR"]).get("NO_COLOR"):
            label = f"\x1b[36m{label}\x1b[0m"
        stream.write(_encodable(f"{label} {printable(text)}\n", stream))
        stream.flush()


def copyable(text: str) -> None:
    """Print lines on stderr that a person copies, without anything before them."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def result(text: str) -> None:
    """Print what a script reads, such as a reference, on stdout."""
    print(_encodable(printable(text), sys.stdout), flush=True)


def result_as_it_is(content: bytes) -> None:
    """Print bytes on stdout unchanged, such as those of the user's own file."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def result_as_json(value: object) -> None:
    """Print a value as JSON on stdout; all in ASCII if it has characters that may not or cannot be printed."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    shown = _encodable(printable(text), sys.stdout)
    result(text if shown == without_secrets(text) else json.dumps(value, indent=2))


def _encodable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for what the encoding of a stream lacks, as Python has them on stderr anyway."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def table(rows: Sequence[Sequence[str]], *, to: TextIO | None = None) -> None:
    """Print rows in columns, indented below the lines of a step."""
    for line in columns(rows):
        say("", line, to=to)


def sent(image: Published) -> str:
    """Return a sentence on how much of an image was sent."""
    pushed = image.pushed
    if any(not layer.outcome for layer in pushed.layers):
        return f"{size(pushed.sent + pushed.there)} in total; the engine does not report how much of it was sent"
    return f"sent {size(pushed.sent)}, {size(pushed.there)} already existed"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each cell as wide as the widest in its column."""
    rows = [list(map(on_one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream can show motion and colours. Args: stream: None where there is none."""
    return stream is not None and stream.isatty() and process.environment().get("TERM", "dumb") != "dumb"


class _View(Protocol):
    """Where rows are shown and lines are printed; called by one thread at a time."""

    every: float
    """Seconds between two updates."""
    depths: range
    """The rows that are shown."""

    def prepare(self) -> None:
        """Load what showing rows needs, which may take a while; called from a thread of its own."""

    def show(self, rows: Sequence[Row]) -> None:
        """Show what is in progress now."""

    def say(self, step: str, text: str) -> None:
        """Print a line."""


class _Screen:
    """A terminal: a block at its bottom shows what is in progress."""

    every = 0.2
    depths = range(3)

    def __init__(self) -> None:
        self._block: Block | None = None

    def prepare(self) -> None:
        if self._block is None:
            from bentoship.commands.block import Block  # rich takes longer to import than most steps take

            self._block = Block(_WIDTH)

    def show(self, rows: Sequence[Row]) -> None:
        if self._block:
            self._block.show([row for row in rows if row.age >= SOON])

    def say(self, step: str, text: str) -> None:
        if self._block and self._block.is_shown:
            self._block.say(step, text)
        else:
            say(step, text)


class _Log:
    """A file or a pipe: it gets a line when a task begins, and one on its progress every few seconds."""

    every = 0.5
    depths = range(1, 2)

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._due: dict[Row, float] = {}

    def prepare(self) -> None: ...

    def show(self, rows: Sequence[Row]) -> None:
        self._due = {row: self._due.get(row, SOON) for row in rows}
        for row, due in self._due.items():
            if row.age >= due:
                self._due[row] = row.age + self._pause
                self._report(row, is_first=due == SOON)

    def _report(self, row: Row, *, is_first: bool) -> None:
        if is_first:
            say(row.step, row.title)
            return
        state = row.state
        if state.done or state.total:
            say(row.step, f"{state.title}: {amount(state.done, state.total, state.unit)}")

    def say(self, step: str, text: str) -> None:
        say(step, text)


class Terminal:
    """Shows a person what a run does; a script that reads stdout gets the image's name alone.

    Args:
        pause: seconds between two lines on the progress of a task, where only lines can be shown.
    """

    def __init__(self, *, pause: float = 5.0) -> None:
        self._view: _View = _Screen() if is_terminal(sys.stderr) else _Log(pause)
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._looking = ExitStack()

    def say(self, step: str, text: str) -> None:
        """Print a line about a step."""
        with self._lock:
            self._view.say(step, text)

    @contextmanager
    def task(self, step: str, title: str = "", **details: Unpack[Details]) -> Iterator[Counter]:
        """Show that a task of a step is in progress, or the step itself; print how long a long task took."""
        ended = details.get("ended")
        row = Row(step, 1 if title else 0, counter_of(title, details), details.get("measure"), ended)
        self._add(row)
        try:
            yield row.counter
            if ended is None or ended():
                self._finish(row)
        finally:
            self._remove(row)

    @contextmanager
    def transfer(self, step: str, titles: Mapping[str, str]) -> Iterator[Transfer]:
        """Show the progress of a copy, and which of its parts are being copied."""
        rows: list[Row] = []

        def add(row: Row) -> None:
            rows.append(row)
            self._add(row)

        transfer = Transfer(step, titles, add, self._remove)
        try:
            yield transfer
            transfer.end()
            for row in rows:
                self._finish(row)
        finally:
            for row in reversed(rows):
                self._remove(row)

    def pushed(self, image: Published) -> None:
        """Print what became of each layer, and the image's names."""
        for line in columns([(size(layer.size), layer.outcome, layer.title) for layer in image.pushed.layers]):
            self.say("", line)
        for line in (sent(image), *map(str, image.tags)):
            self.say("push", line)

    def _add(self, row: Row) -> None:
        if row.depth not in self._view.depths:
            return
        with self._lock:
            self._rows.append(row)
            if len(self._rows) == 1:
                self._looking.enter_context(repeating(self._look, self._view.every))

    def _remove(self, row: Row) -> None:
        with self._lock:
            if row not in self._rows:
                return
            self._rows.remove(row)
            self._show()
            looking = ExitStack() if self._rows else self._looking.pop_all()
        looking.close()  # waits for the thread, which may wait for the lock

    def _show(self) -> None:
        self._view.show([row for row in self._rows if not row.is_over])

    def _look(self) -> None:
        if any(row.age >= SOON for row in self._rows):
            self._view.prepare()
        with self._lock:
            for row in self._rows:
                if row.ended and row.ended():
                    self._finish(row)
            self._show()

    def _finish(self, row: Row) -> None:
        """End a row, and print how long it took."""
        with self._lock:
            if row.is_over:
                return
            row.is_over = True
            self._show()
            if row.depth == 1 and row.age >= SOON:
                self._view.say(row.step, f"{row.title} took {row.age:.1f} s")


class Transfer:
    """Receives the progress of a copy, from several threads at once.

    Args:
        step: the step that it belongs to.
        titles: what its blobs are, by digest.
        add: shows a row.
        remove: stops showing it.
    """

    def __init__(
        self, step: str, titles: Mapping[str, str], add: Callable[[Row], None], remove: Callable[[Row], None]
    ) -> None:
        self._step, self._titles, self._add, self._remove = step, titles, add, remove
        self._lock = threading.Lock()
        self._whole: Row | None = None
        self._parts: dict[str, Row] = {}
        self.seconds = 0.0
        """How long it took, from when it was known that there is something to send."""

    def begin(self, missing: Sequence[Descriptor]) -> None:
        """Add to what will be sent."""
        count = sum(descriptor.size for descriptor in missing)
        with self._lock:
            if self._whole is None and count:
                self._whole = Row(self._step, 1, Counter("sending layers"))
                self._add(self._whole)
            if self._whole:
                self._whole.counter.expect(count)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        """Add to the bytes of a part that were sent; negative when they have to be sent again."""
        with self._lock:
            part = self._parts.get(descriptor.digest)
            if part is None:
                title = self._titles.get(descriptor.digest) or f"{_kind(descriptor)} {descriptor.hex[:12]}"
                part = Row(self._step, 2, Counter(title, descriptor.size))
                self._parts[descriptor.digest] = part
                self._add(part)
            part.counter.advance(count)
            if self._whole:
                self._whole.counter.advance(count)
            if part.state.done >= descriptor.size:
                self._remove(part)  # one that is complete makes room for the others

    def end(self) -> None:
        """Take the time until now."""
        self.seconds = self._whole.age if self._whole else 0.0


def _kind(descriptor: Descriptor) -> str:
    kinds = {
        CONFIG: "configuration",
        **dict.fromkeys(MANIFEST_TYPES, "manifest"),
        **dict.fromkeys(INDEX_TYPES, "index"),
    }
    return kinds.get(descriptor.media_type, "layer")
