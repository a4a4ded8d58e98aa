"""An image of a store into Docker's engine, as `docker load` takes it, without a file in between."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bentoship.engine import Engine, refused
from bentoship.errors import EngineError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.layer import CHUNK
from bentoship.stores import Store
from bentoship.stores.graph import children, read_manifest
from bentoship.transfer import Progress

_NAME = "io.containerd.image.name"


def load_image(engine: Engine, store: Store, image: Descriptor, name: str, progress: Progress) -> str:
    """Put an image into an engine; what it has of it is not sent again where its store allows that.

    Args:
        engine: gets it.
        store: has it.
        image: its manifest.
        name: what the engine is to call it, "NAME:latest".
        progress: told how it goes on.

    Returns: what that took, in words. Raises: EngineError, and StoreError when the image is not whole.
    """
    doing = f"Load {name} into Docker's engine"
    manifest = read_manifest(store, image)
    config, *layers = children(manifest)
    layers = [Descriptor.from_dict(layer) for layer in json.loads(manifest)["layers"]]
    with engine.doing(doing):
        before = engine.identity(name)
        # One store knows images by their configuration, the other by their manifest.
        if before in (config.digest, image.digest):
            return f"{name} is in Docker's engine already"
        diff_ids = json.loads(read_manifest(store, config))["rootfs"]["diff_ids"]
        known = _known(engine, diff_ids)
        try:
            _send(engine, doing, _archive(store, image, config, layers, known, name, progress))
        except EngineError:
            if not known:
                raise
            # What an image stands on may have been removed meanwhile.
            known = 0
            _send(engine, doing, _archive(store, image, config, layers, known, name, progress))
        if engine.identity(name) not in (config.digest, image.digest):
            raise EngineError(doing, "the engine took it, but calls another image so", "Try it again.")
        engine.forget(before)
    there = f", {known} of its {len(layers)} layers were there" if known else ""
    return f"{name} is in Docker's engine at {engine.place.host}{there}"


def _known(engine: Engine, diff_ids: list[str]) -> int:
    """How many layers, from the lowest, the engine has in this order; 0 where its store wants all of them anyway."""
    if engine.has_containerd_store or engine.is_podman:
        return 0
    chains = [one.attrs["RootFS"].get("Layers") or [] for one in engine.client.images.list()]
    return max((_common(diff_ids, chain) for chain in chains), default=0)


def _common(one: list[str], other: list[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _send(engine: Engine, doing: str, archive: Iterator[bytes]) -> None:
    for event in engine.client.api.load_image(archive):
        if "errorDetail" in event or "error" in event:
            raise refused(doing, str((event.get("errorDetail") or {}).get("message") or event.get("error")))


def _archive(
    store: Store,
    image: Descriptor,
    config: Descriptor,
    layers: list[Descriptor],
    known: int,
    name: str,
    progress: Progress,
) -> Iterator[bytes]:
    """The archive, piece by piece: an OCI layout, which containerd's store reads, with Docker's own list of images.

    Args:
        known: how many of the lowest layers are left out.
    """
    sent = list(dict.fromkeys([*layers[known:], config, image]))
    progress.begin(sent)
    yield from _file("oci-layout", [b'{"imageLayoutVersion": "1.0.0"}'])
    entry = {**image.to_dict(), "annotations": {_NAME: f"docker.io/{'' if '/' in name else 'library/'}{name}"}}
    yield from _json("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
    docker = {"Config": _path(config), "RepoTags": [name], "Layers": [_path(layer) for layer in layers]}
    yield from _json("manifest.json", [docker])
    for descriptor in sent:
        yield from _blob(store, descriptor, progress)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _blob(store: Store, descriptor: Descriptor, progress: Progress) -> Iterator[bytes]:
    def pieces() -> Iterator[bytes]:
        with store.open(descriptor) as content:
            while piece := content.read(CHUNK):
                yield piece
                progress.advance(descriptor, len(piece))

    yield from _file(_path(descriptor), pieces(), descriptor.size)


def _json(path: str, document: Mapping[str, Any] | list[Any]) -> Iterator[bytes]:
    yield from _file(path, [json.dumps(document).encode()])


def _file(path: str, content: Iterable[bytes], size: int | None = None) -> Iterator[bytes]:
    """A file of a tar archive; its size may be left out when its content is but one piece."""
    pieces = list(content) if size is None else content
    entry = tarfile.TarInfo(path)
    entry.size = len(b"".join(pieces)) if size is None else size
    yield entry.tobuf(tarfile.USTAR_FORMAT)
    yield from pieces
    yield bytes(-entry.size % tarfile.BLOCKSIZE)


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.hex}"
