"""The options that every task has, which count for the whole command line."""

from __future__ import annotations

from typing import Any, ClassVar

from invoke.parser.argument import Argument

from bentoship import commands


class Project(Argument):
    """The option --project of every task, which counts for the whole command line.

    invoke gives a task's options to that task alone, and not to its pre-tasks, which run before it. So the option keeps
    what was given, as the parser sees it.
    """

    given: ClassVar[list[str]] = []

    def __init__(self) -> None:
        text = "a project's folder, in place of the current one; may be given several times"
        super().__init__(names=("project",), kind=list, help=text)
        self.raw_value = None  # for a list invoke has [], and would take the option without a value for given

    def __repr__(self) -> str:
        return f"--{self.name}"

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take one more folder."""
        super().set_value(value, cast)
        self.given.append(value)


class Flag(Argument):
    """An option without a value that counts for the whole command line, as --project does."""

    given: ClassVar[set[str]] = set()

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Record that it was given."""
        super().set_value(value, cast)
        self.given.add(str(self.name))


class Setting(Argument):
    """An option of every task that stands for a setting, and wins over it.

    Args:
        setting: the name of the setting, which gets all values that are given, with commas between.
        details: as of invoke's Argument.
    """

    all_given: ClassVar[dict[str, str]] = {}

    def __init__(self, setting: str, **details: Any) -> None:
        super().__init__(**details)
        self.raw_value = None  # as of Project
        self._setting = setting
        self._given: list[str] = []

    __repr__ = Project.__repr__

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value, and set it in the environment, where all settings are read."""
        super().set_value(value, cast)
        self._given.append(value)
        self.all_given[self._setting] = self.names[0]
        # Under the name that wins over the setting alone; messages name the option.
        options = ",".join(f"{setting}=--{name}" for setting, name in self.all_given.items())
        commands.words.give({f"BENTOSHIP_{self._setting}": ",".join(self._given), "BENTOSHIP_OPTIONS": options})
