"""Folders that are made once, and whole: what caches keep that is more than a file."""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from bentoship.system.files import file_lock, write_whole


def make_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder unless it is there as it was made; under another name meanwhile, so that it is never half there.

    Args:
        folder: is safe to make from several processes at once.
        fill: puts everything into the empty folder that it is given.
    """
    with file_lock(folder.parent / "lock"):
        if is_as_made(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        for abandoned in folder.parent.glob(".partial-*"):  # by a run that was killed: who holds the lock is alone
            shutil.rmtree(abandoned)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
        try:
            fill(partial)
            write_whole(_record(folder), _state(partial).encode())
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def is_as_made(folder: Path) -> bool:
    """Return whether a folder that `make_once` made is there, and no file in it was changed, added or lost since."""
    try:
        return folder.is_dir() and _record(folder).read_bytes() == _state(folder).encode()
    except OSError:
        return False


def _record(folder: Path) -> Path:
    """Return the file that says how a folder was made."""
    return folder.with_name(f"{folder.name}.state")


def _state(folder: Path) -> str:
    """Return a hash over the name, kind, size and time of every file: reading all of them would take seconds."""
    lines: list[str] = []

    def add(path: str, prefix: str) -> None:
        # Texts, and entries of folders: to make a Path of each of thousands of files takes as long as to look at it.
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(info.st_mode)
            version = "" if is_folder else f"{info.st_size} {info.st_mtime_ns}"
            lines.append(f"{prefix}{entry.name}\0{info.st_mode} {version}\n")
            if is_folder:
                add(entry.path, f"{prefix}{entry.name}/")

    add(str(folder), "")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()
