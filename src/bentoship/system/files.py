"""Files and folders that several processes may use at once."""

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
    """Hold a lock between processes, waiting for it first. The empty file stays: removing it would race."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_present(path: Path, size: int) -> bool:
    """Return whether a file of a size, in bytes, exists; update its time, at most daily, to record its last use."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return False
    if time.time() - info.st_mtime > 24 * 3600:
        with suppress(OSError):  # it may belong to another user, or be on a read-only disk
            os.utime(path)
    return info.st_size == size


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Create a folder that is removed soon after the block, and remove those that killed processes left behind.

    Args:
        parent: the folder to create it in, created if missing.
        prefix: the beginning of its name.
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
            # Removing thousands of files takes a while; only the end of the process waits for it.
            hold = stack.pop_all()
            try:
                threading.Thread(target=_remove, args=(folder, hold)).start()
            except RuntimeError:  # no more threads can be started
                _remove(folder, hold)


def _remove(folder: Path | str, hold: ExitStack) -> None:
    """Remove a folder, then release its lock."""
    with hold:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unless_held(folder: Path) -> None:
    """Remove a folder if the process that made it has ended."""
    with ExitStack() as stack, suppress(OSError):
        _hold(folder, stack)
        shutil.rmtree(folder, ignore_errors=True)


def _hold(folder: Path | str, stack: ExitStack) -> None:
    """Lock a folder until the stack is closed or this process ends. Raises OSError when another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def partial_file(folder: Path, pieces: Iterable[bytes]) -> Iterator[tuple[Path, str, int]]:
    """Write a file under a temporary name, for the block to move into place; it is removed unless moved.

    Args:
        folder: the folder to create it in, created if missing.
        pieces: its content.

    Yields: the file, the digest of its content ("sha256:…"), and its size in bytes.
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
    """Add a path to OSErrors in the block that name no file, such as that of a disk that fills up."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(place)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see either the old or the new content."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with writing(path):
            partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class SharedFolder:
    """A registration of this process as a user of a folder, until the object is deleted or the process ends.

    Args:
        folder: the folder, created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = folder / ".gate"
        with file_lock(self._gate):
            self._users = (folder / ".users").open("a")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes from starting to use the folder during the block.

        Yields: whether no other process uses it.
        """
        # Converting a shared lock to an exclusive one releases it for a moment (man 2 flock); the gate keeps other
        # processes out meanwhile.
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
