"""Layers on this machine: made once from their inputs, and found again by them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bentoship.compression import gzip_members
from bentoship.files import write_whole
from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.layer import Entry, Layer, tar_stream


@dataclass(frozen=True)
class LayerCache:
    """Layers by a key over what they are made of, and their blobs.

    Args:
        folder: where both are kept; blobs/sha256 in it is that of an OCI image layout.
    """

    folder: Path

    def blob(self, descriptor: Descriptor) -> Path:
        """Where a blob lies, or would lie."""
        return self.folder / "blobs" / "sha256" / descriptor.hex

    def find(self, key: str) -> tuple[Layer, ...] | None:
        """The layers that were made for a key; None when there are none, or a blob is gone or cut short."""
        try:
            data = json.loads(self._record(key).read_text("utf-8"))
            layers = tuple(Layer(Descriptor.from_dict(d["descriptor"]), d["diffId"], d["title"]) for d in data)
            whole = all(self.blob(one.descriptor).stat().st_size == one.descriptor.size for one in layers)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return layers if whole else None

    def make(self, key: str, layers: Callable[[], Iterable[Layer]]) -> tuple[Layer, ...]:
        """The layers for a key, made unless they are there."""
        if found := self.find(key):
            return found
        made = tuple(layers())
        data = [{"descriptor": one.descriptor.to_dict(), "diffId": one.diff_id, "title": one.title} for one in made]
        self._record(key).parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._record(key), json.dumps(data).encode())
        return made

    def write(self, entries: Iterable[Entry], title: str, *, compress: bool = True) -> Layer:
        """Make a layer and keep its blob, whole or not at all."""
        blobs = self.folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        partial = blobs / f".partial-{os.getpid()}-{threading.get_ident()}"
        plain, sent, size = hashlib.sha256(), hashlib.sha256(), 0

        def hashed() -> Iterator[bytes]:
            for piece in tar_stream(entries):
                plain.update(piece)
                yield piece

        try:
            with partial.open("wb") as blob:
                for piece in gzip_members(hashed()) if compress else hashed():
                    blob.write(piece)
                    sent.update(piece)
                    size += len(piece)
            media_type = LAYER_GZIP if compress else LAYER_TAR
            descriptor = Descriptor(media_type, f"sha256:{sent.hexdigest()}", size)
            partial.replace(self.blob(descriptor))
        finally:
            partial.unlink(missing_ok=True)
        return Layer(descriptor, f"sha256:{plain.hexdigest()}", title)

    def _record(self, key: str) -> Path:
        return self.folder / "keys" / f"{key}.json"


def key_of(*parts: str) -> str:
    """A key over texts, 64 hex digits."""
    return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()
