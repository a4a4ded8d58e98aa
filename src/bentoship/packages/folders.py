"""Folders of this machine that uv finds packages in: what they hold changes without a word in the requirements."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bentoship.packages.requirements import canonical_name

_OPTION = re.compile(r"(?P<name>-f|--find-links|-i|--index-url|--extra-index-url)[ =]\s*(?P<entry>\S.*)")
_FILE = re.compile(r"(?P<name>[A-Za-z0-9._-]+?)-(?P<version>\d[^-]*?)(?:-.*\.whl|\.tar\.gz|\.zip)")


def named_in(options: Iterable[str], start: Path) -> list[Path]:
    """Return the folders that lines of requirements name as links or indexes. Args: start: where their paths begin."""
    found = filter(None, map(_OPTION.fullmatch, options))
    return [folder for match in found for folder in folders_of(match["entry"], start, is_index="-i" in match["name"])]


def folders_of(entry: str, start: Path, *, is_index: bool) -> list[Path]:
    """Return the folders with the packages of a place that uv gets; none of one elsewhere.

    Args:
        entry: a path or an address.
        start: what a path begins at.
        is_index: whether each package has a folder of its own there (PEP 503).
    """
    file = file_of(entry)
    if file is None:
        return []
    root = start / file.expanduser()
    with suppress(OSError):
        return [root, *sorted(one for one in root.iterdir() if one.is_dir())] if is_index else [root]
    return [root]


def file_of(entry: str) -> Path | None:
    """Return the file that a path or an address stands for; None for one elsewhere."""
    parts = urlsplit(entry)
    return Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None


def listing(folders: Iterable[Path]) -> str:
    """Return a hash over the names, sizes and times of the files in folders; empty without folders."""
    states = [repr((str(folder), sorted(_files(folder)))) for folder in folders]
    return hashlib.sha256(os.fsencode("\n".join(states))).hexdigest() if states else ""


def refreshing(folders: Iterable[Path]) -> list[str]:
    """Return uv's options by which it reads the packages in folders again: it keeps them by their names alone."""
    files = (_FILE.fullmatch(name) for folder in folders for name, _, _ in _files(folder))
    names = sorted({canonical_name(file["name"]) for file in files if file})
    return [word for name in names for word in ("--refresh-package", name)]


def states_of(line: str, folders: Iterable[Path]) -> list[str]:
    """Return the names, sizes and times of the files in folders that a line of a lock may stand for."""
    name, version = canonical_name(line), line.partition("==")[2].partition(";")[0].split()[:1]
    return sorted(
        repr(file)
        for folder in folders
        for file in _files(folder)
        if (found := _FILE.fullmatch(file[0]))
        and canonical_name(found["name"]) == name
        and [found["version"]] == version
    )


def _files(folder: Path) -> Iterator[tuple[str, int, int]]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file():
                info = entry.stat()
                yield entry.name, info.st_size, info.st_mtime_ns
