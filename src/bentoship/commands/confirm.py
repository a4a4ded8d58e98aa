"""Asking for confirmation before something is replaced."""

from __future__ import annotations

import sys

from bentoship.commands.terminal import say
from bentoship.errors import BentoshipError


def confirm(step: str, doing: str, what: str, *, yes: bool) -> bool:
    """Ask for confirmation on a terminal, and return the answer.

    Args:
        step: the command.
        doing: what is to be done, as an imperative phrase.
        what: what that would replace.
        yes: whether it is confirmed already.

    Raises: BentoshipError without a terminal, unless it is confirmed already.
    """
    if yes:
        return True
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise BentoshipError(doing, what, "Add --yes to confirm.")
    say(step, what)
    say(step, f"{doing}? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
