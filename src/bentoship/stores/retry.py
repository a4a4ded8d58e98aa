"""Trying again what may work the next time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from bentoship.errors import RegistryError

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; twice as long before each further one."""

LONGEST_PAUSE = 60.0
"""Seconds; a registry that asks for more is not waited for."""

T = TypeVar("T")


class CancelledError(Exception):
    """Somebody else's failure ended this work; only for those who set `cancelled`."""


def persist(action: Callable[[], T], *, attempts: int, cancelled: threading.Event | None = None) -> T:
    """Do something, and again after temporary errors of a registry, with growing pauses.

    Args:
        action: what to do; each attempt starts it afresh.
        attempts: how many at most.
        cancelled: ends it at its next pause.

    Raises: whatever the last attempt raises; CancelledError.
    """
    cancelled = cancelled or threading.Event()
    for attempt in range(1, attempts + 1):
        if cancelled.is_set():
            break
        try:
            return action()
        except RegistryError as error:
            if not error.temporary or attempt == attempts or error.retry_after > LONGEST_PAUSE:
                raise
            pause = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
            # Not all at the same time again.
            cancelled.wait(max(random.uniform(pause / 2, pause), error.retry_after))
    raise CancelledError
