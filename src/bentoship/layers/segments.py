"""Layers that are joined from segments: parts of a tar, each compressed once.

So a change of one package costs its own compression and a copy of the others. A series of gzip members is a gzip file,
too (RFC 1952, section 2.2).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bentoship.errors import DamagedError
from bentoship.image.layer import CHUNK, Entry, end_of_tar, folder, members
from bentoship.layers.compression import gzip_members
from bentoship.system.files import digest_of, is_present, partial_file
from bentoship.system.values import dataclass

_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Segment:
    """A part of a tar, compressed, in a file of its own.

    Args:
        path: the file.
        digest: "sha256:…" of what is in it.
        size: its bytes.
    """

    path: Path
    digest: str
    size: int

    @property
    def is_there(self) -> bool:
        """Return whether the file exists in its full size."""
        return is_present(self.path, self.size)

    @property
    def is_whole(self) -> bool:
        """Return whether the file still matches its digest."""
        return f"sha256:{digest_of(self.path)}" == self.digest


def write_segment(path: Path, entries: Iterable[Entry], advance: Callable[[int], None] = lambda _: None) -> Segment:
    """Make a segment, whole or not at all.

    Args:
        path: where it goes.
        entries: its files, without the folders that they are in, since a tar may hold a folder only once.
        advance: called with the number of bytes compressed since the last call.
    """

    def counted() -> Iterator[bytes]:
        for piece in members(entries, parents=False):
            yield piece
            advance(len(piece))

    with partial_file(path.parent, gzip_members(counted())) as (file, digest, size):
        file.replace(path)
    return Segment(path, digest, size)


def joined(folders: Iterable[str], segments: Sequence[Segment], plain: hashlib._Hash) -> Iterator[bytes]:
    """Yield the compressed tar of a layer, in pieces.

    Args:
        folders: all of the layer; they come first, each before its subfolders.
        segments: what follows; no path may be in two of them, since engines refuse that.
        plain: receives the tar before compression.

    Raises: DamagedError, after removing the damaged segment.
    """
    total = 0

    def counted(content: bytes) -> bytes:
        nonlocal total
        total += len(content)
        plain.update(content)
        return content

    yield from gzip_members([counted(piece) for piece in members(map(folder, folders))])
    for segment in segments:
        for compressed, content in _checked(segment):
            counted(content)
            yield compressed
    yield from gzip_members([counted(end_of_tar(total))])


def _checked(segment: Segment) -> Iterator[tuple[bytes, bytes]]:
    """Yield a segment in pieces, each compressed and decompressed. Raises DamagedError."""
    digest, inflate = hashlib.sha256(), zlib.decompressobj(_GZIP)
    try:
        with segment.path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                digest.update(piece)
                content = inflate.decompress(piece)
                while inflate.eof and inflate.unused_data:  # the next member
                    rest, inflate = inflate.unused_data, zlib.decompressobj(_GZIP)
                    content += inflate.decompress(rest)
                yield piece, content
        whole = inflate.eof and f"sha256:{digest.hexdigest()}" == segment.digest
    except (OSError, zlib.error) as error:
        raise _damaged(segment, str(error)) from error
    if not whole:
        raise _damaged(segment, "its content does not match its digest")


def _damaged(segment: Segment, how: str) -> DamagedError:
    """Remove a segment, and return the error for it."""
    segment.path.unlink(missing_ok=True)
    hint = "It has been removed: run the same command again."
    return DamagedError(f"Read {segment.path}", f"it is damaged: {how}", hint)
