"""What long work tells of itself while it goes on: what it is, and how far it has come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True)
class State:
    """How far a piece of work has come.

    Args:
        title: what is being done, such as "compressing 72 packages".
        done: how much of it is done, in its unit.
        total: how much there is to do; None where that is not known.
        unit: "bytes", or what else is counted, in the plural: "packages".
    """

    title: str
    done: int = 0
    total: int | None = None
    unit: str = "bytes"


class Task(Protocol):
    """Told how a piece of work goes on, from several threads at once."""

    def expect(self, count: int) -> None:
        """Add to what there is to do."""

    def advance(self, count: int) -> None:
        """Add to what is done; a negative count for what has to be done again."""


class StepReporter(Protocol):
    """Told what happens in a step."""

    def say(self, text: str) -> None:
        """Take a sentence."""

    def task(
        self,
        title: str,
        *,
        total: int | None = None,
        unit: str = "bytes",
        measure: Callable[[], State] | None = None,
        ended: Callable[[], bool] | None = None,
    ) -> AbstractContextManager[Task]:
        """Return what is told of a piece of work as long as the block lasts.

        Args:
            title: what is being done; its first word ends in "ing".
            total: how much there is to do; None where that is not known, or not yet.
            unit: as in `State`.
            measure: tells how far it has come, in place of the task; it is called now and then, from another thread.
            ended: tells of work that goes on by itself whether it has come to a good end, which may be before the end
                of the block; None for work that ends with the block.
        """


class Silent:
    """A reporter that nobody listens to."""

    def say(self, text: str) -> None: ...

    def task(
        self,
        title: str,
        *,
        total: int | None = None,
        unit: str = "bytes",
        measure: Callable[[], State] | None = None,
        ended: Callable[[], bool] | None = None,
    ) -> AbstractContextManager[Task]:
        """Return a task that nobody looks at."""
        return nullcontext(Counter(State(title, 0, total, unit)))


SILENT = Silent()


class Counter:
    """A task that counts.

    Args:
        state: how far the work has come at the beginning.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        """Add to what there is to do."""
        with self._lock:
            self.state = replace(self.state, total=(self.state.total or 0) + count)

    def advance(self, count: int) -> None:
        """Add to what is done; a negative count for what has to be done again."""
        with self._lock:
            self.state = replace(self.state, done=self.state.done + count)
