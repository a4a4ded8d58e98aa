"""Images put together from layers, without Docker, in an OCI image layout."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from bentoship import transfer
from bentoship.assembly import assemble, check
from bentoship.backends import Built, Part, Pushed
from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.layers import LayerCache
from bentoship.plan import Outline, PlannedLayer, planned_layers
from bentoship.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.graph import children, read_manifest
from bentoship.stores.layout import LayoutStore
from bentoship.transfer import Progress


class DirectBackend:
    """Assembles into a layout, and transfers from there.

    Args:
        cache: layers of all projects.
        layout: the images of this project.
        scratch: a folder for what is needed only meanwhile.
        base: gives the base for a Bento.
        registry: opens a repository to push to.
        outline: tells what is known of the base for a Bento without making it.
        engine: puts an image of a store into Docker's engine, under a name.
        platform: such as "linux/amd64".
        tell: told in words what takes a while, before it begins.
    """

    def __init__(
        self,
        cache: LayerCache,
        layout: LayoutStore,
        scratch: Path,
        base: Callable[[Bento], Base],
        registry: Callable[[ImageReference], Store],
        outline: Callable[[Bento], Outline],
        engine: Callable[[Store, Descriptor, str], str],
        platform: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cache = cache
        self._layout = layout
        self._scratch = scratch
        self._base = base
        self._registry = registry
        self._outline = outline
        self._engine = engine
        self._platform = platform
        self._tell = tell

    def containerize(self, bento: Bento) -> Built:
        """Assemble the image of a Bento; its blobs and manifest are in the layout then, under the Bento's version."""
        check(bento)
        self._scratch.mkdir(parents=True, exist_ok=True)
        image = assemble(bento, self._base(bento), self._cache, self._scratch, tell=self._tell)
        for layer in image.layers:
            if not self._layout.exists(layer.descriptor):
                self._layout.adopt(self._cache.blob(layer.descriptor), layer.descriptor)
        for descriptor, content in ((image.config_descriptor, image.config), (image.descriptor, image.manifest)):
            self._layout.write(descriptor, io.BytesIO(content), lambda _: None)
        self._layout.tag(image.descriptor, bento.version)
        return Built(image.descriptor.digest, tuple(Part(layer.title, layer.descriptor.size) for layer in image.layers))

    def plan(self, bento: Bento) -> list[PlannedLayer]:
        """The layers, as far as they are known without downloading anything large."""
        check(bento)
        return planned_layers(bento, self._outline(bento), bento.python_version, self._platform, self._cache)

    def load(self, image: Built, name: str) -> str:
        """Send the engine what it lacks, from the layout."""
        return self._engine(self._layout, self._layout.resolve(image.digest), name)

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Name the image in the layout, by the tags alone."""
        root = self._layout.resolve(image.digest)
        for reference in references:
            self._layout.tag(root, reference.tag or "latest")

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Send what the registry lacks, then set the tags there."""
        root = self._layout.resolve(image.digest)
        tags = [reference.tag or "latest" for reference in references]
        try:
            result = transfer.copy(self._layout, self._registry(references[0]), root, tags=tags, progress=progress)
        except RegistryError:
            raise
        except StoreError as error:
            if not self._drop_damaged(root):
                raise
            raise StoreError(error.doing, error.why, "What was damaged is removed now: run it again.") from error
        outcomes = {descriptor.digest: outcome for descriptor, outcome in result.outcomes}
        layers = json.loads(read_manifest(self._layout, root))["layers"]
        parts = zip(image.parts, layers, strict=True)
        there = sum(descriptor.size for descriptor, outcome in result.outcomes if outcome != "sent")
        return Pushed(
            result.root.digest,
            tuple(Part(part.title, part.size, outcomes[layer["digest"]]) for part, layer in parts),
            result.sent_bytes,
            there,
        )

    def _drop_damaged(self, root: Descriptor) -> bool:
        """Remove the blobs of an image that are not what their digests say, from layout and cache; whether any were."""
        damaged = [one for one in children(read_manifest(self._layout, root)) if not self._is_whole(one)]
        for descriptor in damaged:
            self._layout.path(descriptor).unlink(missing_ok=True)
            self._cache.blob(descriptor).unlink(missing_ok=True)
        return bool(damaged)

    def _is_whole(self, descriptor: Descriptor) -> bool:
        with self._layout.path(descriptor).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == descriptor.hex
