"""A block at the bottom of a terminal that shows what is in progress, and disappears when nothing is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bentoship.commands.rows import Row
from bentoship.system.progress import State
from bentoship.system.text import amount, duration, on_one_line, printable

HEIGHT = 8
"""Lines at most."""

_MARGIN = 4
"""Columns left free at the right, where the terminal shows the ^C of an interrupt."""

_NARROW = 60
"""Columns; with fewer there is no room for bars."""


class Block:
    """A block of rows.

    Args:
        width: of the column with the names of steps.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._console = Console(stderr=True, highlight=False)
        self._overflow: OverflowMethod = "crop" if self._console.options.ascii_only else "ellipsis"
        self._live: Live | None = None

    @property
    def is_shown(self) -> bool:
        """Return whether it has any rows."""
        return self._live is not None

    def show(self, rows: Sequence[Row]) -> None:
        """Show rows: the last step as the heading of its tasks; nothing when there are none."""
        steps = [row for row in rows if row.depth == 0]
        shown = [*steps[-1:], *(row for row in rows if row.depth)]
        if shown and self._live is None:
            # What others write to stderr, such as Python's warnings, comes above it.
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
            # It would stay hidden wherever this process cannot bring it back: Ctrl-Z, SIGQUIT, SIGKILL.
            self._console.show_cursor()
        if self._live and shown:
            self._live.update(self._block(shown), refresh=True)
        elif self._live:
            self._live.stop()
            self._live = None

    def say(self, step: str, text: str) -> None:
        """Print a line above it, in full; the terminal wraps it if necessary."""
        self._console.print(Text.assemble((f"{step:<{self._width}}", "cyan"), " ", printable(text)), soft_wrap=True)

    def _block(self, rows: Sequence[Row]) -> RenderableType:
        lines = [self._line(row) for row in rows]
        if len(lines) > HEIGHT:
            lines[HEIGHT - 1 :] = [Text(f"  and {len(lines) - HEIGHT + 1} more")]
        return Constrain(Group(*lines), self._console.width - _MARGIN)

    def _line(self, row: Row) -> RenderableType:
        """Return the line of a row: its title, how much of it is done, and the time it takes."""
        state = row.state
        title = Text("  " * row.depth + on_one_line(state.title)) if row.depth else Text(row.step, "cyan")
        cells = self._cells(row, state)
        line = Table.grid(expand=True, padding=(0, 2, 0, 0))
        line.add_column(no_wrap=True, overflow=self._overflow, ratio=1)
        for _, width in cells:
            line.add_column(no_wrap=True, overflow=self._overflow, justify="right", width=width)
        line.add_row(title, *(cell for cell, _ in cells))
        return line

    def _cells(self, row: Row, state: State) -> list[tuple[RenderableType, int]]:
        """Return what stands at the right of a line, each with its width."""
        done, total, left = state.done, state.total, row.seconds_left(state)
        time = (duration(row.age) if left is None else f"{duration(left)} left", 11)
        if self._console.width < _NARROW:
            return [(f"{min(done / total, 1):.0%}", 4)] if total else [time]
        if total:
            bar = ProgressBar(total, min(done, total), 12, complete_style="cyan", finished_style="cyan")
            return [(bar, 12), (amount(done, total, state.unit), 18), time]
        return [(amount(done, None, state.unit), 18), time] if done else [time]
