"""How failures are told."""

import errno
import functools
from collections.abc import Callable

import pytest

from bentoship import errors
from bentoship.errors import BentoshipError, EngineError, RegistryError, causes, explain


def test_an_error_says_what_why_and_what_next() -> None:
    """Two lines: what was being done and why it failed, then what to do."""
    error = BentoshipError("Push the image", "denied:\n  you may not", "Log in.")
    assert explain(error) == "Push the image: denied: you may not\nLog in."


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every error is drawn, and nothing else."""
    drawn = {word for word in (errors.__doc__ or "").split() if word.endswith("Error")}
    real = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == "bentoship.errors"
    }
    assert drawn == real


@pytest.mark.parametrize("why", ["write: No space left on device (os error 28)", "no space left on device"])
def test_a_full_disk_is_always_told_as_one(why: str) -> None:
    """Whatever else a failure would hint at."""
    told = explain(BentoshipError("Install the packages", why, "Change the requirement."))
    assert "Free up disk space" in told
    assert "requirement" not in told
    assert "Free up disk space" in explain(OSError(errno.ENOSPC, "No space left on device", "/some/file"))


@pytest.mark.parametrize("kind", [EngineError, functools.partial(RegistryError, status=500)])
def test_the_full_disk_of_a_server_is_not_cleared_from_here(kind: Callable[[str, str, str], BentoshipError]) -> None:
    """What to do there is told instead; one that is full here, while a registry is started, is this machine's."""
    assert explain(kind("Push", "no space left on device", "Clear it.")) == "Push: no space left on device\nClear it."
    assert "Free up" in explain(RegistryError("Unpack the program", "no space left on device", "Install it."))


def test_a_fault_of_ours_is_told_as_one() -> None:
    """With the way to see where, and no traceback."""
    assert explain(ValueError("what")).splitlines() == [
        "ValueError: what",
        "This is a bug in bentoship; BENTOSHIP_DEBUG=1 shows where.",
    ]


def test_causes_are_followed_wherever_they_are_kept() -> None:
    """As an argument, as the cause, and as what was being handled; the outermost comes first."""
    innermost, middle = OSError("no route"), ValueError("no answer")
    middle.__cause__ = innermost
    handled = KeyError("in vain", middle)
    outermost = RuntimeError("gave up")
    outermost.__context__ = handled
    assert causes(outermost) == [outermost, handled, middle, innermost]


def test_causes_end() -> None:
    """Where a context is suppressed, and where errors name each other in turns."""
    hidden, shown = KeyError("detail"), ValueError("told")
    shown.__context__, shown.__suppress_context__ = hidden, True
    assert causes(shown) == [shown]
    hidden.__context__, hidden.__cause__ = shown, shown
    shown.__suppress_context__ = False
    assert causes(shown) == [shown, hidden]
