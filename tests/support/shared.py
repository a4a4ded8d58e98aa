"""What several test processes use at once, and the last one of them clears away."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bentoship.system.files import file_lock

T = TypeVar("T")


@contextmanager
def shared(folder: Path, enter: Callable[[], T], leave: Callable[[], object]) -> Iterator[T]:
    """Something that processes share as long as the block lasts in one of them.

    Args:
        folder: the same one for all; made when it isn't there.
        enter: makes it or finds it; called by each process, one after the other.
        leave: clears it away; called by the last process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A lock is gone with its process, however that ends, where a count of users would go wrong.
    with (folder / "users").open("a") as users:
        with file_lock(folder / "lock"):
            made = enter()
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield made
        finally:
            with file_lock(folder / "lock"):
                if _is_last(users.fileno()):
                    leave()


def _is_last(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
