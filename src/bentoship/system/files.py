"""Files and folders that several processes may use at once."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_PIECE = 1 << 18
"""The bytes that are read at once. (hashlib.file_digest came with Python 3.11.)"""


def private_folder(folder: Path) -> Path:
    """Create a folder and its parents, each for this user alone whatever the umask; return it. Others stay as they are.

    What a folder holds need not be closed itself where others made it, such as packages and the systems of bases.
    """
    try:
        folder.mkdir(0o700, exist_ok=True)
    except FileNotFoundError:
        private_folder(folder.parent)
        folder.mkdir(0o700, exist_ok=True)
    return folder


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file; one that is created is for this user alone, whatever the umask."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))


def close_to_others(folder: Path) -> None:
    """Take other users' rights to a folder and everything in it; executable files stay executable."""
    for place, folders, names in os.walk(folder):
        for path in (place, *(f"{place}/{name}" for name in [*folders, *names])):
            if not os.path.islink(path):  # noqa: PTH114  # texts
                os.chmod(path, os.stat(path).st_mode & 0o700)  # noqa: PTH101, PTH116


def close_folder(folder: Path) -> None:
    """Take other users' rights to a folder, so that they reach nothing in it; another user's folder stays as it is."""
    with suppress(OSError):
        info = folder.stat()
        if info.st_uid == os.geteuid() and info.st_mode & 0o077:
            folder.chmod(0o700)


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes, waiting for it first. The empty file stays: removing it would race."""
    private_folder(path.parent)
    with open_private(path, "a") as stream:
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


def digest_of(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


PARTIAL = ".partial-"
"""The beginning of the names of files that are not complete yet."""

OWN = "bentoship-"
"""The beginning of the names of our folders where others have theirs, too."""


def unwritable(folder: Path) -> str:
    """Return why nothing can be written to a folder, which may have to be created; empty when something can."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        return f"{there} is no folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} is not writable"


@contextmanager
def temporary_folder(parent: Path | None, prefix: str, *, wait: bool = False) -> Iterator[Path]:
    """Create a folder that is removed soon after the block, and remove those that killed processes left behind.

    Args:
        parent: the folder to create it in, created if missing; None for the system's folder for temporary files.
        prefix: the beginning of its name.
        wait: whether the block ends only when the folder is removed.
    """
    place = parent or Path(tempfile.gettempdir())
    private_folder(place)
    with ExitStack() as stack:
        remove_abandoned(place, prefix)
        folder = _held(stack, lambda: tempfile.mkdtemp(prefix=prefix, dir=place))
        try:
            yield Path(folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # the system does not say which disk is full
                error.filename = error.filename or str(place)
            raise
        finally:
            # Removing thousands of files takes a while; only the end of the process waits for it.
            hold = stack.pop_all()
            removing = threading.Thread(target=_remove, args=(folder, hold))
            try:
                removing.start()
            except RuntimeError:  # no more threads can be started
                removing.run()
            else:
                removing.join(None if wait else 0)


def remove_tree(folder: Path | str) -> None:
    """Remove a folder with all that is in it, as far as possible, also below folders that may not be written to."""
    shutil.rmtree(folder, ignore_errors=True)
    if Path(folder).is_dir() and not Path(folder).is_symlink():
        for below, names, _ in os.walk(folder):
            for path in (Path(below, name) for name in names):
                with suppress(OSError):
                    path.chmod(0o700) if not path.is_symlink() else None
        shutil.rmtree(folder, ignore_errors=True)


def _remove(folder: Path | str, hold: ExitStack) -> None:
    """Remove a folder, then release its lock."""
    with hold:
        remove_tree(folder)


def remove_abandoned(folder: Path | None, prefix: str) -> None:
    """Remove what processes that have ended left in a folder under temporary names.

    Args: as of `temporary_folder`.
    """
    with os.scandir(folder or tempfile.gettempdir()) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(prefix)]
    for path in left:
        with ExitStack() as stack, suppress(OSError):  # another process holds it, or has just moved or removed it
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid != os.geteuid():
                continue
            remove_tree(path) if stat.S_ISDIR(os.fstat(descriptor).st_mode) else Path(path).unlink()


def _held(stack: ExitStack, make: Callable[[], str]) -> str:
    """Make a file or folder and lock it until the stack is closed or this process ends; return its path.

    Args:
        stack: closes what holds the lock.
        make: makes it, and returns its path, another one each time.
    """
    while True:
        path = make()
        with ExitStack() as attempt, suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            attempt.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Another process may have taken it for abandoned before it was locked.
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):  # noqa: PTH116
                stack.enter_context(attempt.pop_all())
                return path


@contextmanager
def unfinished_file(folder: Path, pieces: Iterable[bytes], *, synced: bool = True) -> Iterator[Path]:
    """Write a file under a temporary name, for the block to move into place; it is removed unless moved.

    Files that killed processes left in the folder are removed.

    Args:
        folder: the folder to create it in, created if missing.
        pieces: its content.
        synced: whether it is on the disk before the block, so that it survives a loss of power.
    """
    private_folder(folder)
    with ExitStack() as stack:
        remove_abandoned(folder, PARTIAL)
        partial = Path(_held(stack, lambda: _new_file(folder)))
        stack.callback(partial.unlink, missing_ok=True)
        with writing(folder), partial.open("wb") as stream:
            for piece in pieces:
                stream.write(piece)
            if synced:
                stream.flush()
                os.fsync(stream.fileno())
        yield partial


def _new_file(folder: Path) -> str:
    path = folder / f"{PARTIAL}{secrets.token_hex(8)}"
    open_private(path, "x").close()
    return str(path)


@contextmanager
def linked_file(folder: Path, path: Path) -> Iterator[Path]:
    """Make a second name of a file, for the block to move into place; it is removed unless moved.

    Args:
        folder: the folder to create it in.
        path: the file.

    Raises: OSError where there are no links, such as from one disk to another.
    """
    name = folder / f"{PARTIAL}{secrets.token_hex(8)}"
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)  # that of all its names, this one among them: it is not abandoned
        try:
            name.hardlink_to(path)
            yield name
        finally:
            name.unlink(missing_ok=True)


@contextmanager
def partial_file(folder: Path, pieces: Iterable[bytes]) -> Iterator[tuple[Path, str, int]]:
    """Write a file under a temporary name as `unfinished_file` does, and compute its digest meanwhile.

    It is not synced, which would take long for a layer: what has another size or digest is made again.

    Yields: the file, the digest of its content ("sha256:…"), and its size in bytes.
    """
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            yield piece

    with unfinished_file(folder, counted(), synced=False) as partial:
        yield partial, f"sha256:{digest.hexdigest()}", size


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Add a path to OSErrors in the block that name no file, such as that of a disk that fills up."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(place)
        raise


def write_whole(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Write a file atomically, for this user alone: readers see either the old or the new content.

    Args:
        path: the file.
        content: what is to be in it.
        synced: whether that holds after a loss of power, too; not for a file that readers check by a digest.
    """
    with suppress(OSError):
        if path.read_bytes() == content:  # as for most files of a run in which little has changed
            os.utime(path)
            return
    with writing(path), unfinished_file(path.parent, [content], synced=synced) as partial:
        partial.replace(path)


class SharedFolder:
    """A registration of this process as a user of a folder, until the object is deleted or the process ends.

    Args:
        folder: the folder, created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = folder / ".gate"
        with file_lock(self._gate):
            self._users = open_private(folder / ".users", "a")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    @contextmanager
    def alone(self, patience: float = 0.0) -> Iterator[bool]:
        """Keep other processes from starting to use the folder during the block.

        Args: patience: for how many seconds to wait for others; programs that one has started end just after it.

        Yields: whether no other process uses it.
        """
        # Converting a shared lock to an exclusive one releases it for a moment (man 2 flock); the gate keeps other
        # processes out meanwhile.
        with file_lock(self._gate):
            end = time.monotonic() + patience
            while not (is_alone := self._try_alone()) and time.monotonic() < end:
                time.sleep(0.02)
            try:
                yield is_alone
            finally:
                fcntl.flock(self._users, fcntl.LOCK_SH)

    def _try_alone(self) -> bool:
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
