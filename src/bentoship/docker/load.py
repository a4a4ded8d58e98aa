"""Loading an image of a store into Docker's engine, as `docker load` does, without a file in between."""

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from bentoship.docker.connection import Engine, check_events
from bentoship.errors import EngineError
from bentoship.image.descriptor import INDEX, INDEX_TYPES, Descriptor
from bentoship.image.layer import CHUNK
from bentoship.image.manifest import Image
from bentoship.image.platforms import manifests_by_platform
from bentoship.image.progress import Progress
from bentoship.image.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.graph import read_manifest
from bentoship.system.values import dataclass

_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class ImageArchive:
    """An image of a store in the form in which an engine loads it.

    Args:
        store: the store that has it.
        image: the image.
        name: its name in the engine, "NAME:latest".
    """

    store: Store
    image: Image
    name: str

    @property
    def identities(self) -> tuple[str, str]:
        """Return the possible ids: Docker's store uses the configuration's digest, containerd's the manifest's."""
        return self.image.config_descriptor.digest, self.image.descriptor.digest

    def stream(self, known: int, progress: Progress) -> Iterator[bytes]:
        """Yield the tar, piece by piece: an OCI layout, which containerd's store reads, with Docker's manifest.json.

        Args:
            known: how many of the lowest layers to leave out.
            progress: receives the progress.
        """
        config, manifest = self.image.config_descriptor, self.image.descriptor
        layers = [layer.descriptor for layer in self.image.layers]
        sent = list(dict.fromkeys([*layers[known:], config, manifest]))
        progress.begin(sent)
        yield from _json("oci-layout", {"imageLayoutVersion": "1.0.0"})
        entry = {**manifest.to_dict(), "annotations": {_NAME: str(ImageReference.parse(self.name))}}
        yield from _json("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})
        paths = [_path(layer) for layer in layers]
        yield from _json("manifest.json", [{"Config": _path(config), "RepoTags": [self.name], "Layers": paths}])
        for descriptor in sent:
            yield from self._blob(descriptor, progress)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _blob(self, descriptor: Descriptor, progress: Progress) -> Iterator[bytes]:
        """Yield the tar member of a blob of the store."""
        yield _header(_path(descriptor), descriptor.size)
        with self.store.open(descriptor) as content:
            while piece := content.read(CHUNK):
                yield piece
                progress.advance(descriptor, len(piece))
        yield bytes(-descriptor.size % tarfile.BLOCKSIZE)


def for_engine(engine: Engine, store: Store, image: Descriptor, name: str) -> Descriptor:
    """Return the image for the engine's platform, from an index if it is one. Raises EngineError when there is none."""
    if image.media_type not in INDEX_TYPES:
        return image
    doing = f"Load {name} into Docker's engine"
    images = manifests_by_platform(read_manifest(store, image))
    with engine.doing(doing):
        platform = engine.platform
    if platform not in images:
        why = f"the image is for {', '.join(images)}, and the engine runs {platform}"
        raise EngineError(doing, why, f"Add {platform} to PLATFORMS.")
    return images[platform]


def load_image(engine: Engine, archive: ImageArchive, progress: Progress) -> str:
    """Load an image into an engine, without the layers that it already has, if its store allows that.

    Returns: a sentence on what was done. Raises: EngineError; StoreError when a part is missing or damaged.
    """
    name = archive.name
    doing = f"Load {name} into Docker's engine"
    with engine.doing(doing):
        before = engine.identity(name)
        if before in archive.identities:
            return f"{name} is already in Docker's engine"
        known = _known(engine, [layer.diff_id for layer in archive.image.layers])
        try:
            check_events(doing, engine.client.api.load_image(archive.stream(known, progress)))
        except EngineError as error:
            # Lower layers may have been removed meanwhile, by another user or by a delayed cleanup of the engine.
            if not known and "does not exist" not in error.why:
                raise
            known = 0
            check_events(doing, engine.client.api.load_image(archive.stream(known, progress)))
        if engine.identity(name) not in archive.identities:
            raise EngineError(doing, "the engine accepted it, but has another image under this name", "Try again.")
        engine.forget(before)
    there = f"; {known} of its {len(archive.image.layers)} layers already existed" if known else ""
    return f"{name} is in Docker's engine at {engine.endpoint.host}{there}"


def _known(engine: Engine, diff_ids: Sequence[str]) -> int:
    """Return how many of the lowest layers the engine has; 0 when its store needs all of them anyway."""
    if engine.has_containerd_store or engine.is_podman:
        return 0
    chains = [image.attrs["RootFS"].get("Layers") or [] for image in engine.client.images.list()]
    return max((_common(diff_ids, chain) for chain in chains), default=0)


def _common(chain: Sequence[str], other: Sequence[str]) -> int:
    """Return how many of the lowest layers two chains share."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(chain, other, strict=False))))


def _json(path: str, document: Mapping[str, Any] | list[Any]) -> Iterator[bytes]:
    """Yield the tar member of a small JSON file."""
    content = json.dumps(document).encode()
    yield from (_header(path, len(content)), content, bytes(-len(content) % tarfile.BLOCKSIZE))


def _header(path: str, size: int) -> bytes:
    """Return the header of a tar member. Args: size: in bytes."""
    entry = tarfile.TarInfo(path)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)  # which does not limit the size


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.hex}"
