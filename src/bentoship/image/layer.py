"""Layers: their contents and their tar streams, byte for byte the same wherever they are made."""

import errno
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from bentoship.errors import BentoshipError
from bentoship.image.descriptor import Descriptor
from bentoship.system.values import dataclass

MTIME = 315_619_200
"""The modification time of every file, in seconds: 1980-01-02 UTC, as early as zip files (and so wheels) can express
in any time zone."""

CHUNK = 1 << 20


Stream = Callable[[], Iterator[bytes]]
"""A function that yields the same bytes, in pieces, whenever it is called."""


Kind = Literal["base", "system", "packages", "model", "source"]
"""The part of an image that a layer holds: base system, user and environment, Python packages, a model, the Bento."""


@dataclass(frozen=True)
class Layer:
    """A layer whose blob is in a store, or is generated from its files on demand.

    Args:
        descriptor: its blob, as sent.
        diff_id: "sha256:…" of its tar before compression (OCI image spec, config.md).
        title: what it contains, for display ("packages", "model celestial:1f2e").
        kind: the part of the image that it holds.
        stream: generates its blob; None when the blob is in a store.
    """

    descriptor: Descriptor
    diff_id: str
    title: str
    kind: Kind
    stream: Stream | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Return the size of its blob in bytes."""
        return self.descriptor.size


@dataclass(frozen=True)
class Estimate:
    """A layer that has yet to be built or pulled.

    Args:
        title: what it will contain, for display.
        kind: the part of the image that it will hold.
        size: the estimated size of its blob in bytes; the exact size when there is a descriptor.
        descriptor: the descriptor of its blob, when a registry already has it.
    """

    title: str
    kind: Kind
    size: int
    descriptor: Descriptor | None = None


@dataclass(frozen=True)
class Entry:
    """A file, folder or link in a layer.

    Args:
        path: its path in the image, without a leading slash.
        kind: tarfile's REGTYPE, DIRTYPE, SYMTYPE or LNKTYPE.
        mode: the permission bits.
        uid, gid: the owner.
        content: the content of a regular file, or the path of the file on this machine that holds it.
        target: the target of a link.
        sha256: what the content of a file on this machine has to have as its digest; empty when that is unknown.
    """

    path: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    content: Path | bytes = b""
    target: str = ""
    sha256: str = ""


def folder(path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """Return the entry of a folder."""
    return Entry(path, tarfile.DIRTYPE, mode, uid, gid)


def symlink(path: str, target: str) -> Entry:
    """Return the entry of a symbolic link."""
    return Entry(path, tarfile.SYMTYPE, 0o777, target=target)


def tree(root: Path, at: str, *, uid: int = 0, gid: int = 0) -> Iterator[Entry]:
    """Yield the entries of everything below a folder, with mode 0755 or 0644 (by the owner's executable bit).

    Args:
        root: a folder on this machine.
        at: its path in the image; empty for the image's root. Unless empty, the folder itself is an entry, too.
        uid, gid: the owner of every entry.
    """
    if at:
        yield folder(at, uid=uid, gid=gid)
    # scandir and strings: creating a Path for each of thousands of files takes longer than reading its metadata.
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


def whole_tree(root: Path, at: str, *, uid: int = 0, gid: int = 0, above: tuple[Path, ...] = ()) -> Iterator[Entry]:
    """Yield what `tree` does, with what they lead to in place of links that lead out of the folder.

    Args:
        root: a folder on this machine.
        at: its path in the image.
        uid, gid: the owner of every entry.
        above: the folders with links that were followed to this one.

    Raises: OSError for a link that leads nowhere, or around in a circle.
    """
    for entry in tree(root, at, uid=uid, gid=gid):
        if entry.kind != tarfile.SYMTYPE:
            yield entry
            continue
        place = root / entry.path.removeprefix(f"{at}/")
        # Unlike Path.resolve, realpath does not fail for a link to itself.
        target, passed = Path(os.path.realpath(place)), (*above, place.parent.resolve())
        if not target.exists() or any(one.is_relative_to(target) for one in passed if target.is_dir()):
            raise OSError(errno.ENOENT, f"a link that leads to no file ({entry.target})", str(place))
        if not entry.target.startswith("/") and target.is_relative_to(root.resolve()):
            yield entry
        elif target.is_dir():
            yield from whole_tree(target, entry.path, uid=uid, gid=gid, above=passed)
        else:
            mode = 0o755 if target.stat().st_mode & 0o100 else 0o644
            yield replace(entry, kind=tarfile.REGTYPE, mode=mode, content=target, target="")


def size_of(entries: Iterable[Entry]) -> int:
    """Return the bytes of the files among some entries."""
    return sum(
        len(entry.content) if isinstance(entry.content, bytes) else entry.content.stat().st_size for entry in entries
    )


def tar_stream(entries: Iterable[Entry], *, whiteouts: bool = False) -> Iterator[bytes]:
    """Yield the tar of a layer, in pieces of at most 1 MiB: entries sorted, parent folders added, times fixed.

    Args, raises: as `members`.
    """
    total = 0
    for piece in members(entries, whiteouts=whiteouts):
        total += len(piece)
        yield piece
    yield end_of_tar(total)


def end_of_tar(size: int) -> bytes:
    """Return the end of a tar. Args: size: the total size of its members in bytes."""
    end = 2 * tarfile.BLOCKSIZE
    return b"\0" * (end + -(size + end) % tarfile.RECORDSIZE)


def members(entries: Iterable[Entry], *, parents: bool = True, whiteouts: bool = False) -> Iterator[bytes]:
    """Yield a part of a tar: entries, sorted, in pieces of at most 1 MiB.

    Raises:
        BentoshipError: a name begins with .wh., which deletes another (OCI image spec, layer.md, "Whiteouts").
        ValueError: a path is given twice.
        OSError: a file becomes shorter while it is read, or has another digest than it has to have.

    Args:
        entries: files, folders and links.
        parents: whether to add the folders that contain them.
        whiteouts: whether the layer may delete files of others.
    """
    by_path: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise ValueError(f"{entry.path} is in the layer twice")
        if not whiteouts and "/.wh." in f"/{entry.path}":
            why = f"{entry.path}: a name that begins with .wh. deletes other files of an image"
            raise BentoshipError("Write a layer", why, "Rename it, or leave it out.")
        by_path[entry.path] = entry
    if parents:
        by_path |= {path: folder(path) for path in folders_of(by_path) - by_path.keys()}
    # By path components, so that a folder comes right before its content.
    for entry in sorted(by_path.values(), key=lambda entry: entry.path.split("/")):
        yield from _member(entry)


def folders_of(paths: Iterable[str]) -> set[str]:
    """Return the folders that contain some paths, at any depth."""
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
        yield from _file(entry.content, info.size, entry.sha256)
    yield b"\0" * (-info.size % tarfile.BLOCKSIZE)


def _file(path: Path, size: int, sha256: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for start in range(0, size, CHUNK):
            piece = stream.read(min(CHUNK, size - start))
            if len(piece) < min(CHUNK, size - start):
                raise OSError(f"{path} became shorter while it was read")
            if sha256:
                digest.update(piece)
            yield piece
    if sha256 and digest.hexdigest() != sha256:
        raise OSError(errno.EIO, "its content is damaged", str(path))
