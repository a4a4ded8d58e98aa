"""Cached folders, each made once and completely."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from bentoship.system.files import PARTIAL, file_lock, remove_tree, temporary_folder, write_whole


def make_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder, unless it already exists unchanged; a temporary name ensures that it is never incomplete.

    Args:
        folder: the folder; several processes may make it at once.
        fill: fills the empty folder that it is given.
    """
    with file_lock(folder.parent / "lock"):
        if is_as_made(folder):
            return
        remove_tree(folder)
        with temporary_folder(folder.parent, PARTIAL) as partial:
            fill(partial)
            write_whole(_record(folder), _state(partial).encode())
            partial.rename(folder)


def is_as_made(folder: Path) -> bool:
    """Return whether a folder made by `make_once` exists, with no file changed, added or removed since."""
    try:
        return folder.is_dir() and _record(folder).read_bytes() == _state(folder).encode()
    except OSError:
        return False


def _record(folder: Path) -> Path:
    """Return the file that records a folder's state."""
    return folder.with_name(f"{folder.name}.state")


def _state(folder: Path) -> str:
    """Return a hash of every file's name, mode, size and time; reading their contents would take seconds."""
    lines: list[str] = []

    def add(path: str, prefix: str) -> None:
        # scandir and strings: creating a Path for each of thousands of files takes as long as reading its metadata.
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
