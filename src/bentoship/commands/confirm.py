"""Asking for confirmation before something is replaced."""

from __future__ import annotations

import sys

from bentoship.commands.terminal import say
from bentoship.errors import BentoshipError


def confirm(step: str, doing: str, what: str, *, yes: bool) -> None:
    """Ask for confirmation on a terminal.

    Args:
        step: the command.
        doing: what is to be done, as an imperative phrase.
        what: what that would replace.
        yes: whether it is confirmed already.

    Raises: BentoshipError unless it is confirmed: what follows on the command line must not go on, either.
    """
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise BentoshipError(doing, what, "Add --yes to confirm.")
    say(step, what)
    say(step, f"{doing}? [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BentoshipError(doing, "the answer was not yes, and nothing was changed")
