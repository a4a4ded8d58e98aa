"""Layers: what is in them, and their tar streams, the same to the byte wherever they are made."""

import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bentoship.image.descriptor import Descriptor

MTIME = 315_619_200
"""The time of every file, in seconds: 1980-01-02 UTC, because zip files, which wheels are, know no earlier day."""

CHUNK = 1 << 20


Stream = Callable[[], Iterator[bytes]]
"""Gives the same bytes whenever it is called, in pieces."""


Kind = Literal["base", "system", "packages", "model", "source"]
"""Which part of an image a layer holds: the system below, user and environment, Python packages, a model, the Bento."""


@dataclass(frozen=True)
class Layer:
    """A layer that lies in a store, or that is read from its files whenever it is wanted.

    Args:
        descriptor: its blob, as it is sent.
        diff_id: "sha256:…" of its tar, before compression (OCI image spec, config.md).
        title: what is in it, for people ("packages", "model celestial:1f2e").
        kind: which part of the image it is.
        stream: gives its blob; None where it lies in a store.
    """

    descriptor: Descriptor
    diff_id: str
    title: str
    kind: Kind
    stream: Stream | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """The bytes of its blob."""
        return self.descriptor.size


@dataclass(frozen=True)
class Estimate:
    """A layer that is yet to be made, or to be pulled.

    Args:
        title: what will be in it, for people.
        kind: which part of the image it will be.
        size: about how many bytes its blob will have; exactly so many where there is a descriptor.
        descriptor: its blob's, where a registry has it already.
    """

    title: str
    kind: Kind
    size: int
    descriptor: Descriptor | None = None


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of a layer.

    Args:
        path: where it lies in the image, without a slash in front.
        kind: tarfile's REGTYPE, DIRTYPE, SYMTYPE or LNKTYPE.
        mode: the permission bits.
        uid, gid: the owner.
        content: a regular file's bytes, or the file on this machine that holds them.
        target: what a link points at.
    """

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: Path | bytes = b""
    target: str = ""


def folder(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """A folder."""
    return Entry(path, tarfile.DIRTYPE, mode, uid, gid)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, tarfile.SYMTYPE, 0o777, target=target)


def tree(root: Path, at: str, *, uid: int = 0, gid: int = 0) -> Iterator[Entry]:
    """Everything below a folder, with modes made 0755 or 0644 (the owner's executable bit decides).

    Args:
        root: a folder on this machine.
        at: where it lies in the image; empty for the image's root. The folder itself is an entry, too, but for that.
        uid, gid: the owner of all of it.
    """
    if at:
        yield folder(at, uid=uid, gid=gid)
    # Entries of folders and texts: a path object for each of thousands of files takes longer than to look at it.
    with os.scandir(root) as listing:
        found = sorted(listing, key=lambda one: one.name)
    for one in found:
        name = f"{at}/{one.name}" if at else one.name
        if one.is_symlink():
            yield Entry(name, tarfile.SYMTYPE, 0o777, uid, gid, target=str(Path(one.path).readlink()))
        elif one.is_dir():
            yield from tree(Path(one.path), name, uid=uid, gid=gid)
        elif one.is_file():
            executable = one.stat(follow_symlinks=False).st_mode & 0o100
            yield Entry(name, tarfile.REGTYPE, 0o755 if executable else 0o644, uid, gid, Path(one.path))


def size_of(entries: Iterable[Entry]) -> int:
    """Return the bytes of the files among some entries."""
    return sum(
        len(entry.content) if isinstance(entry.content, bytes) else entry.content.stat().st_size for entry in entries
    )


def tar_stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The tar of a layer, in pieces of at most 1 MiB: entries sorted, parents added, times fixed.

    Raises: as `members` does.
    """
    total = 0
    for piece in members(entries):
        total += len(piece)
        yield piece
    yield end_of_tar(total)


def end_of_tar(size: int) -> bytes:
    """What follows the members of a tar, which have so many bytes together."""
    end = 2 * tarfile.BLOCKSIZE
    return b"\0" * (end + -(size + end) % tarfile.RECORDSIZE)


def members(entries: Iterable[Entry], *, parents: bool = True) -> Iterator[bytes]:
    """A part of a tar: some entries, sorted, in pieces of at most 1 MiB.

    A path that is given twice is an error of the caller's: ValueError. A file that changes while it is read: OSError.

    Args:
        entries: files, folders and links.
        parents: whether to add the folders that they lie in.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise ValueError(f"{entry.path} is in the layer twice")
        by_path[entry.path] = entry
    if parents:
        by_path |= {path: folder(path) for path in folders_of(by_path) - by_path.keys()}
    # By parts, so that a folder stands right before what is in it.
    for entry in sorted(by_path.values(), key=lambda entry: entry.path.split("/")):
        yield from _member(entry)


def folders_of(paths: Iterable[str]) -> set[str]:
    """The folders that some paths lie in, at any depth."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found


def _member(entry: Entry) -> Iterator[bytes]:
    info = tarfile.TarInfo(entry.path)
    info.type, info.mode, info.uid, info.gid = entry.kind, entry.mode, entry.uid, entry.gid
    info.mtime, info.linkname = MTIME, entry.target
    if entry.kind == tarfile.REGTYPE:
        info.size = len(entry.content) if isinstance(entry.content, bytes) else entry.content.stat().st_size
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if not info.size:
        return
    if isinstance(entry.content, bytes):
        yield entry.content
    else:
        yield from _file(entry.content, info.size)
    yield b"\0" * (-info.size % tarfile.BLOCKSIZE)


def _file(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for start in range(0, size, CHUNK):
            piece = stream.read(min(CHUNK, size - start))
            if len(piece) < min(CHUNK, size - start):
                raise OSError(f"{path} became shorter while it was read")
            yield piece
