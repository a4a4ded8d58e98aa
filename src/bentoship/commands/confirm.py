"""Asking a person before something is replaced."""

from __future__ import annotations

import sys

from bentoship.commands.terminal import say
from bentoship.errors import BentoshipError


def confirm(step: str, doing: str, what: str, *, yes: bool) -> None:
    """Ask on a terminal whether to go on.

    Args:
        step: the command.
        doing: what is to be done, as an imperative phrase.
        what: what that would replace.
        yes: whether it is agreed to already.

    Raises: BentoshipError unless it is agreed to: what follows on the command line must not go on, either.
    """
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise BentoshipError(doing, what, "Add --yes to go on without being asked.")
    say(step, what)
    say(step, f"{doing}? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BentoshipError(doing, "the answer was not yes, and nothing was changed")
