"""Unpacking the files of an image from its layers in a store."""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.layer import CHUNK, Layer
from bentoship.stores import Reader, Store
from bentoship.system import text
from bentoship.system.rootfs import extract
from bentoship.system.tars import Member

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
            plain = Plain(layer.descriptor, content)
            with plain.tar() as tar:
                extract(tar, folder, members=plain.members(tar), whiteouts=True)
            while plain.read(CHUNK):  # the padding of the archive is part of its digest
                pass
            if plain.digest != layer.diff_id:
                raise StoreError(f"Unpack {layer.descriptor.digest}", f"its content is {plain.digest}")


class Plain:
    """The content of a layer, decompressed; it computes its digest, and raises StoreError where a layer has no end.

    Args:
        layer: the layer; its type is one of LAYER_TYPES.
        content: its blob.
    """

    def __init__(self, layer: Descriptor, content: Reader) -> None:
        is_gzip = LAYER_TYPES.get(layer.media_type) != LAYER_TAR
        self._stream = gzip.GzipFile(fileobj=cast("IO[bytes]", content)) if is_gzip else content
        self._layer = layer
        self._hash = hashlib.sha256()
        self._most = self._left = max(_SMALL, _RATIO * layer.size)

    def tar(self) -> tarfile.TarFile:
        """Return its members as a stream. Raises OSError, EOFError, tarfile.TarError or zlib.error, also later."""
        stream = cast("IO[bytes]", self)
        return tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK, encoding="utf-8", tarinfo=Member)

    def members(self, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """Yield the members of `tar`. Raises StoreError when they have too many bytes."""
        for member in tar:
            if member.issparse():  # it has more bytes than what is stored of it
                self._count(member.size)
            yield member

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        self._count(len(piece))
        self._hash.update(piece)
        return piece

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            why = f"its {text.size(self._layer.size)} unpack to more than {text.size(self._most)}"
            raise StoreError(f"Unpack {self._layer.digest}", why)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
