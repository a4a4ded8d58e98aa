"""Files and folders that more than one process may use at once."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock that other processes respect, too; waits for it. The file stays, empty, since removing it races."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_present(path: Path, size: int) -> bool:
    """Return whether a file is there with so many bytes; by its time, the day when somebody last asked is known."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return False
    if time.time() - info.st_mtime > 24 * 3600:
        with suppress(OSError):  # it may be somebody else's, or its disk not to be written to
            os.utime(path)
    return info.st_size == size


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that goes soon after the block; what killed processes have left of the same prefix goes before.

    Args:
        parent: where it is made; is made itself when it is not there.
        prefix: its name begins so.
    """
    with ExitStack() as stack:
        with file_lock(parent / "lock"):
            for leftover in parent.glob(f"{prefix}*"):
                _remove_unless_held(leftover)
            folder = tempfile.mkdtemp(prefix=prefix, dir=parent)
            _hold(folder, stack)
        try:
            yield Path(folder)
        finally:
            # Thousands of files take a while, for which only the end of the process has to wait.
            hold = stack.pop_all()
            try:
                threading.Thread(target=_remove, args=(folder, hold)).start()
            except RuntimeError:  # there may be no more threads
                _remove(folder, hold)


def _remove(folder: Path | str, hold: ExitStack) -> None:
    """Remove a folder, and then let go of it."""
    with hold:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unless_held(folder: Path) -> None:
    """Remove a folder, if the process that made it has ended."""
    with ExitStack() as stack, suppress(OSError):
        _hold(folder, stack)
        shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path | str, stack: ExitStack) -> None:
    """Lock a folder until the stack is closed, or this process has ended. Raises OSError when another one holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def partial_file(folder: Path, pieces: Iterable[bytes]) -> Iterator[tuple[Path, str, int]]:
    """Write a file under a name of its own, for the block to move to its place; one that is not moved is removed.

    Args:
        folder: where it is made; is made itself when it is not there.
        pieces: what goes into it.

    Yields: the file, "sha256:…" of what is in it, and how many bytes that is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".partial-{os.getpid()}-{threading.get_ident()}"
    digest, size = hashlib.sha256(), 0
    try:
        with writing(folder), partial.open("wb") as stream:
            for piece in pieces:
                stream.write(piece)
                digest.update(piece)
                size += len(piece)
        yield partial, f"sha256:{digest.hexdigest()}", size
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Have the system's errors name a place where they name none, as that of a disk that becomes full in a write."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(place)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees either the old content or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
