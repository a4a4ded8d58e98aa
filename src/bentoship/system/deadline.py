"""Time limits: for what the main thread does, and for what others' code does."""

import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Done = TypeVar("Done")


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


def within(seconds: float, work: Callable[[], Done]) -> Done:
    """Return the result of a function that has no time limit of its own. One that hangs dies with the process.

    Args:
        seconds: how long it may take.
        work: the function.

    Raises: what the function raises; TimeoutError when it takes longer.
    """
    ended: queue.SimpleQueue[tuple[Done, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:  # for the thread that waits
            ended.put((None, error))

    threading.Thread(target=attempt, daemon=True).start()
    try:
        done, error = ended.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"there was no answer within {seconds:.0f} s") from None
    if error:
        raise error
    return done  # type: ignore[return-value]  # there is one, or there was an error
