"""A limit for what the layer cache keeps: the least recently used goes first.

A file's time is that of its last use. A blob that a project's image has, too, is a hard link to the file there:
removing it would free nothing, so it neither counts nor is removed.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bentoship.system.files import PARTIAL, remove_abandoned, write_whole
from bentoship.system.values import dataclass

MAKING = ".making"
"""The folder in a cache with the files by which runs wait for each other to make something."""

_DIGEST = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True)
class CachedFile:
    """A blob or a segment that nothing but the cache has.

    Args:
        path: where it is.
        size: in bytes.
        used: when it was last used, in seconds since 1970.
    """

    path: Path
    size: int
    used: float


def excess(files: Sequence[CachedFile], limit: int, needed: Collection[str] = ()) -> list[CachedFile]:
    """Return the least recently used files, which have to go so that the others fit.

    Args:
        files: all that there are.
        limit: the bytes that may stay.
        needed: names of files that stay in any case.
    """
    surplus = sum(file.size for file in files) - limit
    removed = []
    for file in sorted(files, key=lambda file: (file.used, file.path)):
        if surplus <= 0:
            break
        if file.path.name not in needed:
            removed.append(file)
            surplus -= file.size
    return removed


def cached_files(folder: Path) -> list[CachedFile]:
    """Return the blobs and segments of a cache that no image of a project has, too."""
    files = []
    for entry in _entries(folder):
        with suppress(FileNotFoundError):  # another run may have removed it meanwhile
            if not (entry.name.startswith(".") or entry.name.endswith(".json")) and entry.stat().st_nlink == 1:
                files.append(CachedFile(Path(entry.path), entry.stat().st_size, entry.stat().st_mtime))
    return files


def trim(folder: Path, limit: int, needed: Collection[str] = ()) -> int:
    """Remove what a cache has beyond its limit, locks, and partial files of runs that died.

    No other run may use the cache meanwhile. It is looked through only when something has been put there since the last
    time, or the limit is another one.

    Args:
        folder: the cache.
        limit: in bytes.
        needed: names of blobs that stay in any case.

    Returns: the number of bytes that were freed.
    """
    stamp = folder / ".limit"
    if not _has_changed(folder, stamp, limit):
        return 0
    for place in filter(Path.is_dir, _places(folder)):
        remove_abandoned(place, PARTIAL)
    removed = excess(cached_files(folder), limit, needed)
    for path in (*(file.path for file in removed), *folder.glob(f"{MAKING}/*")):
        path.unlink()
    forget(folder, {file.path.stem for file in removed})
    write_whole(stamp, str(limit).encode())
    return sum(file.size for file in removed)


def forget(folder: Path, names: Collection[str]) -> None:
    """Remove a cache's records of files that are gone, and records that name such a file.

    Args:
        folder: the cache.
        names: of the files, 64 hex digits each.
    """
    gone = {name.encode() for name in names}
    for record in [*folder.glob("keys/*.json"), *folder.glob("packages/*.json")] if gone else []:
        if not gone.isdisjoint([record.stem.encode(), *_DIGEST.findall(record.read_bytes())]):
            record.unlink(missing_ok=True)


def _has_changed(folder: Path, stamp: Path, limit: int) -> bool:
    try:
        last = stamp.stat().st_mtime_ns
        return stamp.read_bytes() != str(limit).encode() or any(
            place.stat().st_mtime_ns > last for place in _places(folder) if place.is_dir()
        )
    except FileNotFoundError:
        return True


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    for place in _places(folder):
        with suppress(FileNotFoundError), os.scandir(place) as entries:
            yield from list(entries)


def _places(folder: Path) -> tuple[Path, Path]:
    return folder / "blobs" / "sha256", folder / "packages"
