"""Retrying what may work the next time."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bentoship.errors import BentoshipError, RegistryError

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled before each further one."""

LONGEST_PAUSE = 60.0
"""Seconds; a registry that asks for a longer pause is not retried."""

Policy = Callable[[BentoshipError, int, float], float | None]
"""When to retry: a function of the error, the number of attempts, and the seconds since the first one began, which
returns the seconds to wait before the next attempt, or None to give up."""

T = TypeVar("T")


class CancelledError(Exception):
    """The work was cancelled because other work failed; raised only to callers that pass `cancelled`."""


def persist(action: Callable[[], T], *, attempts: int, cancelled: threading.Event | None = None) -> T:
    """Call a function, and again after temporary registry errors, with growing pauses.

    Args: attempts: how many at most; the others, and the errors raised, as for `retry`.
    """

    def pause(error: BentoshipError, attempt: int, elapsed: float) -> float | None:
        if not isinstance(error, RegistryError) or not error.temporary:
            return None
        if attempt == attempts or error.retry_after > LONGEST_PAUSE:
            return None
        longest = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
        # Random, so that parallel requests do not retry all at once.
        return max(random.uniform(longest / 2, longest), error.retry_after)

    return retry(action, pause, cancelled)


def retry(action: Callable[[], T], policy: Policy, cancelled: threading.Event | None = None) -> T:
    """Call a function, and again for as long as a policy says so.

    Args:
        action: the function to call.
        policy: decides whether and when to retry.
        cancelled: when set, no further attempt is made.

    Raises: whatever the last attempt raises; CancelledError when cancelled.
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
