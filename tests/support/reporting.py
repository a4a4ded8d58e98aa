"""A reporter that keeps what it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Unpack

from bentoship.system.progress import Counter, Details, State, counter_of


class Told:
    """Keeps what a step says, and how far each of its tasks had come at its end.

    Attributes:
        said: sentences.
        titles: of the tasks, in the order in which they began.
        tasks: how far each had come.
        over: whether each had come to a good end by itself; None for those that end with their block.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.titles: list[str] = []
        self.tasks: list[State] = []
        self.over: list[bool | None] = []

    def say(self, text: str) -> None:
        """Keep a sentence."""
        self.said.append(text)

    @contextmanager
    def task(self, title: str, **details: Unpack[Details]) -> Iterator[Counter]:
        """Keep how far a task has come when its block ends."""
        counter, number = counter_of(title, details), len(self.tasks)
        measure, ended = details.get("measure"), details.get("ended")
        self.titles.append(title)
        self.tasks.append(counter.state)
        self.over.append(None)
        try:
            yield counter
        finally:
            self.tasks[number] = measure() if measure else counter.state
            self.over[number] = ended() if ended else None
