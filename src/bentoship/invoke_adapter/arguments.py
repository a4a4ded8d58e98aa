"""The options that every task has, which count for the whole command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from invoke.exceptions import ParseError
from invoke.parser.argument import Argument

from bentoship import commands


class Option(Argument):
    """An option with a value, or a word, that one task has by itself.

    To a task, an option whose value is missing or empty looks like one that is left out. In a script, an unset variable
    would silently disable a condition or a limit. So it is refused.

    Args: own: as invoke makes it of the task's function.
    """

    _values: ClassVar[dict[str, int]] = {}

    def __init__(self, own: Argument) -> None:
        super().__init__(own.name, kind=own.kind, default=own.default, help=own.help)
        # invoke takes a list without a default for a word that is needed, too.
        self.positional = own.positional and own.kind is not list
        self.names, self.attr_name = own.names, own.attr_name
        self.raw_value = None  # for a list invoke has [], and would take the option without a value for given

    def __repr__(self) -> str:
        return self.names[0] if self.positional else f"--{self.names[0]}"

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Take a value. Raises ParseError when it is empty."""
        if value == "" and self.names[0] not in _MAY_BE_EMPTY:
            raise ParseError(commands.words.no_value(repr(self)))
        super().set_value(value, cast)
        self._values[repr(self)] = self._values.get(repr(self), 0) + 1

    @classmethod
    def check(cls, words: Sequence[str]) -> None:
        """Check that each time an option was given, it has got a value: invoke asks only of the first time.

        Args: words: the command line.

        Raises: ParseError.
        """
        for option, count in cls._values.items():
            if sum(word.partition("=")[0] == option for word in words) > count:
                raise ParseError(commands.words.no_value(option))


_MAY_BE_EMPTY = frozenset({"why"})
"""Options whose value is for people to read alone."""


class Project(Argument):
    """The option --project of every task, which counts for the whole command line.

    invoke gives a task's options to that task alone, and not to its pre-tasks, which run before it. So the option keeps
    what was given, as the parser sees it.
    """

    given: ClassVar[list[str]] = []

    def __init__(self) -> None:
        text = "a project's folder, in place of the current one; may be given several times"
        super().__init__(names=("project",), kind=list, help=text)
        self.raw_value = None  # as of Option

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
        self.raw_value = None  # as of Option
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
