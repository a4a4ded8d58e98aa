"""Trying again what may work the next time."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bentoship.errors import BentoshipError, RegistryError

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; twice as long before each further one."""

LONGEST_PAUSE = 60.0
"""Seconds; a registry that asks for more is not waited for."""

Policy = Callable[[BentoshipError, int, float], float | None]
"""When to try again: gets the error, how many attempts there were, and the seconds since the first one began; returns
the seconds to wait before the next one, or None for none."""

T = TypeVar("T")


class CancelledError(Exception):
    """Somebody else's failure ended this work; only for those who set `cancelled`."""


def persist(action: Callable[[], T], *, attempts: int, cancelled: threading.Event | None = None) -> T:
    """Do something, and again after temporary errors of a registry, with growing pauses.

    Args: attempts: how many at most; else as those of `retry`, as what it raises.
    """

    def pause(error: BentoshipError, attempt: int, elapsed: float) -> float | None:
        if not isinstance(error, RegistryError) or not error.temporary:
            return None
        if attempt == attempts or error.retry_after > LONGEST_PAUSE:
            return None
        longest = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
        # Not all at the same time again.
        return max(random.uniform(longest / 2, longest), error.retry_after)

    return retry(action, pause, cancelled)


def retry(action: Callable[[], T], policy: Policy, cancelled: threading.Event | None = None) -> T:
    """Do something, and again for as long as the policy wants it.

    Args:
        action: what to do; each attempt starts it afresh.
        policy: tells whether and when to try again.
        cancelled: ends it at its next pause.

    Raises: whatever the last attempt raises; CancelledError.
    """
    cancelled = cancelled or threading.Event()
    began = time.monotonic()
    for attempt in itertools.count(1):
        if cancelled.is_set():
            break
        try:
            return action()
        except BentoshipError as error:
            pause = policy(error, attempt, time.monotonic() - began)
            if pause is None:
                raise
            cancelled.wait(pause)
    raise CancelledError
