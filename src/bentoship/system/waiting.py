"""What is waited for elsewhere: who learns of it, and for how long it is waited for, as long as a block lasts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Waiting:
    """How servers are waited for.

    Args:
        say: receives what is waited for, as a sentence.
        patience: seconds in which nothing may move before it is given up.
    """

    say: Callable[[str], None] = lambda _: None
    patience: float = 180.0


# Of a step, which everything that it calls has in common, however deep below.
_of_step: ContextVar[Waiting] = ContextVar("waiting")


def waiting() -> Waiting:
    """Return how servers are waited for here."""
    return _of_step.get(Waiting())


@contextmanager
def reporting_waits(say: Callable[[str], None], patience: float) -> Iterator[None]:
    """Report during the block what is waited for, in this thread. Args: as of `Waiting`."""
    token = _of_step.set(Waiting(say, patience))
    try:
        yield
    finally:
        _of_step.reset(token)
