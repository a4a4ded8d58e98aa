"""The files of a project, also through links to folders of it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import field
from pathlib import Path

from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Walk:
    """What was found below a folder, by paths in it.

    Args:
        names: the files, sorted.
        linked: those of them that are links, or in a folder that is one.
        unfollowed: the links to folders that lead out of the folder, or to one that contains them, sorted.
        caches: the folders with a cache of uv's, which are not looked into; each ends in a slash.
    """

    names: list[str] = field(default_factory=list)
    linked: set[str] = field(default_factory=set)
    unfollowed: list[str] = field(default_factory=list)
    caches: set[str] = field(default_factory=set)


# What uv puts into its cache; others' caches have the tag, too (bford.info/cachedir), and may be packed on purpose.
_CACHE_TAG = "CACHEDIR.TAG"
_IN_UVS_CACHE = re.compile(r"(archive|builds|interpreter|sdists|simple|wheels)-v\d+")


def walk(folder: Path, never: Collection[str]) -> Walk:
    """Return the files below a folder.

    Args:
        folder: the folder.
        never: names of folders that are not looked into; with a slash in front, their paths in the walked folder.
    """
    found = Walk()
    _add(found, str(folder), "", (os.path.realpath(folder),), never, is_linked=False)
    found.names.sort()
    found.unfollowed.sort()
    return found


def _add(found: Walk, folder: str, at: str, above: tuple[str, ...], never: Collection[str], *, is_linked: bool) -> None:
    """Add what is in a folder.

    Args:
        found: what it is added to.
        folder: the folder.
        at: its path in the walked one, ending in a slash.
        above: the real paths of the walked folder, and of those that contain the links that were followed to this one.
        never: as for `walk`.
        is_linked: whether links were followed to it.
    """
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:  # it may not be read
        return
    if at and _is_uvs_cache([entry.name for entry in entries]):
        found.caches.add(at)
        return
    # Texts: a path object for each of hundreds of files takes longer than to find it.
    for entry in entries:
        name, is_link = f"{at}{entry.name}", entry.is_symlink()
        if not _is_folder(entry):
            found.names.append(name)
            if is_link or is_linked:
                found.linked.add(name)
        elif entry.name in never or f"/{name}" in never:
            continue
        elif not is_link:
            _add(found, entry.path, f"{name}/", above, never, is_linked=is_linked)
        else:
            passed = (*above, os.path.realpath(folder))
            target = os.path.realpath(entry.path)
            if not target.startswith(f"{above[0]}/") or any(f"{one}/".startswith(f"{target}/") for one in passed):
                found.unfollowed.append(name)
            else:
                _add(found, entry.path, f"{name}/", passed, never, is_linked=True)


def _is_uvs_cache(names: Collection[str]) -> bool:
    return _CACHE_TAG in names and any(map(_IN_UVS_CACHE.fullmatch, names))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
