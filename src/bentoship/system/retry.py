"""Retrying what may work the next time, for as long as anything moves."""

import itertools
import random
import time
from collections.abc import Callable
from typing import TypeVar

from bentoship.errors import BentoshipError, RegistryError

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled before each further one."""

LONGEST_PAUSE = 30.0
"""Seconds; longer only where a server asks for it (Retry-After)."""

REPORTED_AFTER = 3
"""Attempts, or seconds that a server asks for, after which a user should know what is being waited for."""

Policy = Callable[[BentoshipError, int, float], float | None]
"""When to retry: a function of the error, the number of attempts, and the seconds since the first one began, which
returns the seconds to wait before the next attempt, or None to give up."""

Wait = Callable[[float], bool | None]
"""A function that waits for some seconds and returns whether the work was cancelled, like `threading.Event.wait`."""

T = TypeVar("T")


class CancelledError(Exception):
    """The work was cancelled because other work failed; raised only to callers that pass `wait`."""


class Clock:
    """Measures for how long nothing has moved, over all attempts at one thing.

    Time in which bytes move does not count, so that a slow link is not a broken one. Only what gets farther than every
    attempt before resets the count, so that a server that always breaks off at the same place does not.
    """

    def __init__(self) -> None:
        self.idle = 0.0
        """Seconds in which nothing moved, since an attempt last got farther than those before."""
        self.attempts = 0
        """The attempts since then."""
        self._farthest = 0
        self._last = time.monotonic()

    def move(self, *, to: int) -> None:
        """Record that bytes moved, and reset the count if they got farther. Args: to: how many this attempt moved."""
        self._last = time.monotonic()
        if to > self._farthest:
            self._farthest, self.idle, self.attempts = to, 0.0, 0

    def begin(self) -> None:
        """Begin an attempt."""
        self._last = time.monotonic()

    def fail(self) -> None:
        """End an attempt that has failed."""
        self.idle += time.monotonic() - self._last
        self.attempts += 1


def persist(
    action: Callable[[], T],
    *,
    patience: float,
    wait: Wait = time.sleep,
    clock: Clock | None = None,
    tell: Callable[[RegistryError, float], None] = lambda error, left: None,
) -> T:
    """Call a function, and again after temporary registry errors, with growing pauses.

    Args:
        action: the function to call.
        patience: the seconds in which nothing may move before the last error is final; 0 for one attempt.
        wait: as for `retry`.
        clock: notes what the function moves; None for a function that succeeds or fails as a whole.
        tell: receives an error that does not pass soon, and the seconds for which it will be waited for.

    Raises: as `retry`.
    """
    clock = clock or Clock()
    limited = itertools.count(1)

    def attempt() -> T:
        clock.begin()
        return action()

    def pause(error: BentoshipError, attempt: int, elapsed: float) -> float | None:
        clock.fail()
        if not isinstance(error, RegistryError) or not error.temporary:
            return None
        left = patience - clock.idle
        if left <= 0 or error.retry_after > left or (error.retries is not None and next(limited) > error.retries):
            return None
        if clock.attempts >= REPORTED_AFTER or error.retry_after >= REPORTED_AFTER:
            tell(error, left)
        longest = min(FIRST_PAUSE * 2 ** (clock.attempts - 1), LONGEST_PAUSE)
        # Random, so that parallel requests do not retry all at once.
        seconds = min(max(random.uniform(longest / 2, longest), error.retry_after), left)
        clock.idle += seconds
        return seconds

    return retry(attempt, pause, wait)


def retry(action: Callable[[], T], policy: Policy, wait: Wait = time.sleep) -> T:
    """Call a function, and again for as long as a policy says so.

    Args:
        action: the function to call.
        policy: decides whether and when to retry.
        wait: waits between attempts; no further attempt is made once it returns True.

    Raises: whatever the last attempt raises; CancelledError when cancelled.
    """
    began = time.monotonic()
    seconds = 0.0
    for attempt in itertools.count(1):
        if wait(seconds):
            break
        try:
            return action()
        except BentoshipError as error:
            pause = policy(error, attempt, time.monotonic() - began)
            if pause is None:
                raise
            seconds = pause
    raise CancelledError
