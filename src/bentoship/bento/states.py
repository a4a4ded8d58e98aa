"""The states of files and folders, by which a change of what a Bento is made of is noticed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from bentoship.bento.packing import NEVER_WALKED
from bentoship.bento.walking import walk
from bentoship.packages.folders import listing
from bentoship.system.files import digest_of

EVERYTHING = "**"
"""What stands for all files of a project, where it is not known which ones were read."""

Stamp = tuple[int, ...]
"""What changes with every write of a file, as no one can set the time of its last change; empty when it is missing."""


def file_state(file: Path) -> str:
    """Return whether a file is executable ("1" or "0") and the hash of its content; or what else is in its place."""
    if file.is_symlink():
        return f"link {file.readlink()} {file_state(file.resolve()) if file.exists() else 'dangling'}"
    if not file.is_file():
        return "missing"
    return f"{bool(file.stat().st_mode & 0o100):d} {digest_of(file)}"


def project_state(project: Path, kept: Collection[str] = ()) -> str:
    """Return a hash of the names, sizes and times of a project's files, without those of caches.

    Args:
        project: the project.
        kept: of its BuildContext.
    """
    states = [(name, *stamp(project / name)[1:3]) for name in walk(project, {*NEVER_WALKED, *kept}).names]
    return f"files {hashlib.sha256(os.fsencode(repr(states))).hexdigest()}"


def folder_state(folder: Path) -> str:
    """Return a hash of the names in a folder, without those of caches; or "missing"."""
    try:
        names = sorted(set(os.listdir(folder)) - NEVER_WALKED)  # noqa: PTH208  # texts
    except OSError:
        return "missing"
    return f"names {hashlib.sha256(os.fsencode('/'.join(names))).hexdigest()}"


def state_of(project: Path, name: str, kept: Collection[str] = ()) -> str:
    """Return the state of a file or a folder.

    Args:
        project: the project.
        name: a path in it, with a slash for the names in a folder, and with "/*" for its files, by size and time; or
            EVERYTHING.
        kept: of its BuildContext.
    """
    try:
        if name == EVERYTHING:
            return project_state(project, kept)
        if name.endswith("/*"):
            return listing([project / name.removesuffix("/*")])
        return folder_state(project / name) if name.endswith("/") else file_state(project / name)
    except PermissionError:
        return "unreadable"


def states_of(project: Path, paths: Iterable[Path]) -> dict[str, str]:
    """Return the states of files and folders by their paths in the project; those elsewhere by their whole paths."""
    names = (f"{relative(path, project)}{'/' if path.is_dir() else ''}" for path in sorted(paths))
    return {name: state_of(project, name) for name in names}


def stamp(file: Path | str) -> Stamp:
    """Return a file's stamp."""
    try:
        info = os.stat(file)  # noqa: PTH116  # as quick as can be, in an audit hook
    except (OSError, ValueError):
        return ()
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def relative(file: Path, folder: Path) -> str:
    """Return the path of a file in a folder; the whole one of a file elsewhere."""
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
