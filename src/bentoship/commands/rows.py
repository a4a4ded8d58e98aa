"""What is in progress, as a row to show to a person."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bentoship.system.progress import Counter, State

_PATIENCE = 2.0
"""Seconds before the remaining time is estimated."""


@dataclass(eq=False)
class Row:
    """A step, a task or a part of one that is in progress.

    Args:
        step: the step that it belongs to.
        depth: 0 for a step itself, 1 for a task, 2 for a part of one.
        counter: counts its progress.
        measure: returns its progress, instead of the counter.
        ended: returns whether it has succeeded in the background; None where it ends with its block.
    """

    step: str
    depth: int
    counter: Counter
    measure: Callable[[], State] | None = None
    ended: Callable[[], bool] | None = None
    began: float = field(default_factory=time.monotonic)
    is_over: bool = False
    _phase: State | None = None
    _phase_began: float = 0.0

    @property
    def title(self) -> str:
        """Return what it is."""
        return self.counter.state.title

    @property
    def state(self) -> State:
        """Return its progress."""
        return self.measure() if self.measure else self.counter.state

    def seconds_left(self, state: State) -> float | None:
        """Return an estimate of the remaining seconds; None where there is none.

        Args:
            state: its progress now.
        """
        now = time.monotonic()
        # What is measured may go through several phases, each with a speed of its own.
        if self._phase is None or (self._phase.unit, self._phase.total) != (state.unit, state.total):
            self._phase, self._phase_began = state, now
        done, seconds = state.done - self._phase.done, now - self._phase_began
        if state.total is None or done <= 0 or seconds < _PATIENCE:
            return None
        return max(0, state.total - state.done) * seconds / done

    @property
    def age(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self.began
