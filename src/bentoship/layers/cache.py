"""Layers on this machine: made once from their inputs, and found again by them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.layer import Entry, Kind, Layer, Stream, tar_stream
from bentoship.layers.compression import gzip_members
from bentoship.layers.limit import MAKING, cached_files, forget, trim
from bentoship.system import records
from bentoship.system.files import file_lock, is_present, partial_file
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class LayerCache:
    """Layers by a key over what they are made of, and their blobs.

    Args:
        folder: where both are kept; blobs/sha256 in it is that of an OCI image layout.
    """

    folder: Path

    def blob(self, descriptor: Descriptor) -> Path:
        """Return where a blob is, or would be."""
        return self.folder / "blobs" / "sha256" / descriptor.hex

    def find(self, key: str, *, stream: Stream | None = None) -> tuple[Layer, ...] | None:
        """Return the layers that were made for a key; None when there are none, or a blob is missing or truncated.

        Args:
            key: over all that they are made of.
            stream: gives the tar of a layer of which no blob is kept.
        """
        layers = records.read_as(self._record(key), lambda data: tuple(from_record(one, stream) for one in data))
        return layers if layers and all(map(self.has, layers)) else None

    def has(self, layer: Layer) -> bool:
        """Return whether a layer's blob exists in its full size, or can be made from its files."""
        return layer.stream is not None or is_present(self.blob(layer.descriptor), layer.descriptor.size)

    def make(
        self, key: str, layers: Callable[[], Iterable[Layer]], *, stream: Stream | None = None
    ) -> tuple[Layer, ...]:
        """Return the layers for a key, made unless they are cached, or another run makes them meanwhile.

        Args: as of `find`.
        """
        if found := self.find(key, stream=stream):
            return found
        # A lock for each key: what is made of layers, such as those of packages, waits for their locks with its own.
        with file_lock(self.folder / MAKING / key):
            return self.find(key, stream=stream) or self._made(key, layers)

    def _made(self, key: str, layers: Callable[[], Iterable[Layer]]) -> tuple[Layer, ...]:
        made = tuple(layers())
        records.keep(self._record(key), [to_record(one) for one in made])
        return made

    def drop(self, descriptor: Descriptor) -> None:
        """Remove a layer that was found to be damaged, so that the next run rebuilds it."""
        self.blob(descriptor).unlink(missing_ok=True)
        forget(self.folder, [descriptor.hex])

    @property
    def size(self) -> int:
        """Return the bytes that only the cache holds: what projects' images hold, too, takes no extra space."""
        return sum(file.size for file in cached_files(self.folder))

    def trim(self, limit: int | None, needed: Iterable[str]) -> int:
        """Remove the least recently used layers until the cache is within its limit. No other run may use it meanwhile.

        Args:
            limit: in bytes; None when there is none.
            needed: digests of blobs that stay in any case.

        Returns: the number of bytes that were freed.
        """
        names = {digest.removeprefix("sha256:") for digest in needed}
        return 0 if limit is None else trim(self.folder, limit, names)

    def write(
        self, entries: Iterable[Entry], title: str, kind: Kind, advance: Callable[[int], None] = lambda _: None
    ) -> Layer:
        """Make a layer and keep its blob, whole or not at all.

        Args:
            entries: what is in it.
            title: what that is, for people.
            kind: which part of the image it is.
            advance: called with the number of bytes compressed since the last call.
        """
        plain = hashlib.sha256()

        def hashed() -> Iterator[bytes]:
            for piece in tar_stream(entries):
                plain.update(piece)
                yield piece
                advance(len(piece))

        descriptor = self.keep(gzip_members(hashed()))
        return Layer(descriptor, f"sha256:{plain.hexdigest()}", title, kind)

    def keep(self, compressed: Iterable[bytes]) -> Descriptor:
        """Keep a layer's blob, which comes in pieces, whole or not at all."""
        with partial_file(self.folder / "blobs" / "sha256", compressed) as (file, digest, size):
            descriptor = Descriptor(LAYER_GZIP, digest, size)
            file.replace(self.blob(descriptor))
        return descriptor

    def _record(self, key: str) -> Path:
        return self.folder / "keys" / f"{key}.json"


def measured(stream: Stream, title: str, kind: Kind, advance: Callable[[int], None] = lambda _: None) -> Layer:
    """Return a layer that is not compressed and of which no blob is kept: its files are read again instead.

    Args:
        stream: gives its tar.
        title: what is in it.
        kind: which part of the image it is.
        advance: called with the number of bytes read since the last call.
    """
    digest, size = hashlib.sha256(), 0
    for piece in stream():
        digest.update(piece)
        size += len(piece)
        advance(len(piece))
    name = f"sha256:{digest.hexdigest()}"
    return Layer(Descriptor(LAYER_TAR, name, size), name, title, kind, stream)


def to_record(layer: Layer) -> dict[str, object]:
    """Return a layer as JSON holds it."""
    return {
        "descriptor": layer.descriptor.to_dict(),
        "diffId": layer.diff_id,
        "title": layer.title,
        "kind": layer.kind,
        "kept": layer.stream is None,
    }


def from_record(data: Mapping[str, Any], stream: Stream | None = None) -> Layer:
    """Return what `to_record` was given; a layer without a blob gets the stream. Raises ValueError or KeyError."""
    descriptor = Descriptor.from_dict(data["descriptor"])
    return Layer(descriptor, data["diffId"], data["title"], data["kind"], None if data["kept"] else stream)
