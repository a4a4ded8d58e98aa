"""A folder that several processes use at once, and in which one may clear up only while it is alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoship.system.files import file_lock


class SharedFolder:
    """The use of a folder by this process, from here on until the object is gone or the process has ended.

    Args:
        folder: is made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = folder / ".gate"
        with file_lock(self._gate):
            self._users = (folder / ".users").open("a")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes from beginning to use the folder while the block lasts.

        Yields: whether no other process uses it.
        """
        # Making a shared lock an exclusive one gives it up for a moment (man 2 flock); behind the gate nobody can take
        # that moment.
        with file_lock(self._gate):
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_alone = True
            except BlockingIOError:
                is_alone = False
            try:
                yield is_alone
            finally:
                fcntl.flock(self._users, fcntl.LOCK_SH)
