"""A time limit for what the main thread does."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Overdue(BaseException):
    """A block has reached its time limit. No Exception, which the block might take for a failure of its own work."""


@contextmanager
def time_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Raise Overdue in the main thread when a block takes too long; child processes are ended as on Ctrl-C.

    Args:
        seconds: how long it may last.

    Yields: a function that lifts the limit, which any thread may call.
    """

    def end(*_: object) -> None:
        raise Overdue

    def lift() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield lift
    finally:
        lift()
        signal.signal(signal.SIGALRM, before)
