"""Unpacking the files of an image from its layers in a store."""

import gzip
import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.layer import CHUNK, Layer
from bentoship.stores import Reader, Store
from bentoship.system.rootfs import extract

# Docker's names for the same types (Docker's image manifest v2, schema 2).
LAYER_TYPES = {
    LAYER_GZIP: LAYER_GZIP,
    LAYER_TAR: LAYER_TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER_TAR,
}
"""The types of layers that can be unpacked, with the OCI name of each."""

_SMALL, _RATIO = 1 << 29, 50
"""The bytes that a layer may have unpacked, and how many times its size; a system's files compress to a third."""


def unpack(layers: Sequence[Layer], store: Store, folder: Path) -> None:
    """Unpack layers into a folder, checking each against its digests.

    Args:
        layers: lowest first, of types in LAYER_TYPES.
        store: the store that has them.
        folder: an empty folder.

    Raises:
        StoreError: a layer is missing or damaged.
        OSError, EOFError, tarfile.TarError, zlib.error: it cannot be unpacked.
    """
    for layer in layers:
        with store.open(layer.descriptor) as content:
            plain = _Hashed(
                layer.descriptor,
                gzip.GzipFile(fileobj=cast("IO[bytes]", content))
                if LAYER_TYPES[layer.descriptor.media_type] == LAYER_GZIP
                else content,
            )
            with tarfile.open(fileobj=cast("IO[bytes]", plain), mode="r|", bufsize=CHUNK, encoding="utf-8") as tar:
                extract(tar, folder, whiteouts=True)
            while plain.read(CHUNK):  # the padding of the archive is part of its digest
                pass
            if plain.digest != layer.diff_id:
                raise StoreError(f"Unpack {layer.descriptor.digest}", f"its content is {plain.digest}")


class _Hashed:
    """A stream with the content of a layer that computes its digest, and ends in an error where a layer has no end."""

    def __init__(self, layer: Descriptor, stream: Reader) -> None:
        self._layer = layer
        self._stream = stream
        self._hash = hashlib.sha256()
        self._left = max(_SMALL, _RATIO * layer.size)

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            why = f"{self._layer.size} bytes are more than {max(_SMALL, _RATIO * self._layer.size)} bytes unpacked"
            raise StoreError(f"Unpack {self._layer.digest}", why)
        self._hash.update(piece)
        return piece

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
