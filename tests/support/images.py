"""Small images for tests."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
from collections.abc import Mapping

from bentoship.image.descriptor import CONFIG, INDEX, LAYER_TAR, MANIFEST, Descriptor
from bentoship.stores import Store


def put(store: Store, media_type: str, content: bytes) -> Descriptor:
    """Write a content that is in memory."""
    descriptor = Descriptor.of(media_type, content)
    store.write(descriptor, io.BytesIO(content), lambda count: None)
    return descriptor


def noise(size: int, seed: int) -> bytes:
    """Bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(size)


def put_image(store: Store, *, sizes: tuple[int, ...] = (20_000, 3_000), seed: int = 0) -> Descriptor:
    """Write an image that engines can read.

    Args:
        store: gets it.
        sizes: how much is in each layer, in bytes.
        seed: of what is in the layers.

    Returns: the manifest's descriptor.
    """
    contents = [{"content": noise(size, seed * 100 + number)} for number, size in enumerate(sizes)]
    return put_image_of(store, *contents)


def put_image_of(
    store: Store, *contents: dict[str, bytes] | bytes, settings: Mapping[str, object] | None = None
) -> Descriptor:
    """Write an image of given files.

    Args:
        store: gets it.
        contents: each layer's files, by their paths, or its tar.
        settings: what the configuration says of containers, such as their `User`.

    Returns: the manifest's descriptor.
    """
    tars = [files if isinstance(files, bytes) else _tar(files) for files in contents]
    layers = [put(store, LAYER_TAR, tar) for tar in tars]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings or {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(store, CONFIG, json.dumps(config).encode()).to_dict(),
        "layers": [layer.to_dict() for layer in layers],
    }
    return put(store, MANIFEST, json.dumps(manifest).encode())


def put_index(store: Store, *images: Descriptor) -> Descriptor:
    """Write an index of images that are there."""
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image.to_dict() for image in images]}
    return put(store, INDEX, json.dumps(index).encode())


def _tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
