"""The progress of long work: what is being done, and how much of it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol, TypedDict, Unpack

from bentoship.system.values import dataclass


@dataclass(frozen=True)
class State:
    """The progress of a task at one moment.

    Args:
        title: what is being done, such as "compressing 72 packages".
        done: how much of it is done, in its unit.
        total: how much there is to do; None where that is unknown.
        unit: "bytes", or what else is counted, in the plural: "packages".
    """

    title: str
    done: int = 0
    total: int | None = None
    unit: str = "bytes"


class Details(TypedDict, total=False):
    """What is known of a task besides its title.

    Keys:
        total: how much there is to do; None where that is unknown, or not known yet.
        unit: as in `State`.
        measure: returns the progress, instead of its receiver; called now and then, from another thread.
        ended: returns whether work in the background has succeeded, which may be before the end of the block; None for
            work that ends with the block.
    """

    total: int | None
    unit: str
    measure: Callable[[], State] | None
    ended: Callable[[], bool] | None


class Task(Protocol):
    """A receiver of a task's progress, called from several threads at once."""

    def expect(self, count: int) -> None:
        """Add to what there is to do."""

    def advance(self, count: int) -> None:
        """Add to what is done; a negative count for what has to be done again."""


class StepReporter(Protocol):
    """A receiver of what happens in a step."""

    def say(self, text: str) -> None:
        """Report a sentence."""

    def task(self, title: str, **details: Unpack[Details]) -> AbstractContextManager[Task]:
        """Report a task, which lasts as long as the block, and return the receiver of its progress.

        Args:
            title: what is being done; its first word ends in "ing".
            details: what else is known of it.
        """


class Silent:
    """A reporter that drops everything."""

    def say(self, text: str) -> None: ...

    def task(self, title: str, **_: Unpack[Details]) -> AbstractContextManager[Task]:
        """Return a task whose progress is dropped."""
        return nullcontext(Counter(title))


SILENT = Silent()


class Counter:
    """A task that counts.

    Args:
        title: what is being done.
        total: how much there is to do, as in `State`.
        unit: as in `State`.
    """

    def __init__(self, title: str, total: int | None = None, unit: str = "bytes") -> None:
        self.state = State(title, 0, total, unit)
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        """Add to what there is to do."""
        with self._lock:
            self.state = replace(self.state, total=(self.state.total or 0) + count)

    def advance(self, count: int) -> None:
        """Add to what is done; a negative count for what has to be done again."""
        with self._lock:
            self.state = replace(self.state, done=self.state.done + count)


def counter_of(title: str, details: Details) -> Counter:
    """Return a counter for a task."""
    return Counter(title, details.get("total"), details.get("unit", "bytes"))
