"""Images put together from layers, without Docker, in an OCI image layout."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bentoship import transfer
from bentoship.assembly import assemble, check
from bentoship.backends import Built, Part, Pushed
from bentoship.bases import Base, Unmade
from bentoship.bento import Bento
from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.manifest import Image, index_of
from bentoship.image.platforms import each_once
from bentoship.layers import LayerCache
from bentoship.plan import Outline, PlannedImage, check_packages, planned_images
from bentoship.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.graph import below
from bentoship.stores.layout import LayoutStore
from bentoship.transfer import Progress


class DirectBackend:
    """Assembles into a layout, and transfers from there.

    Args:
        cache: layers of all projects.
        layout: the images of this project.
        scratch: a folder for what is needed only meanwhile.
        base: gives the base for a Bento and a platform.
        registry: opens a repository to push to.
        outline: tells what is known of that base without making it.
        engine: puts an image of a store into Docker's engine, under a name.
        platforms: such as "linux/amd64"; of several images, an index is made.
        tell: told in words what takes a while, before it begins.
    """

    def __init__(
        self,
        cache: LayerCache,
        layout: LayoutStore,
        scratch: Path,
        base: Callable[[Bento, str], Base],
        registry: Callable[[ImageReference], Store],
        outline: Callable[[Bento, str], Outline],
        engine: Callable[[Store, Descriptor, str], str],
        platforms: Sequence[str],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cache = cache
        self._layout = layout
        self._scratch = scratch
        self._base = base
        self._registry = registry
        self._outline = outline
        self._engine = engine
        self._platforms = platforms
        self._tell = tell

    def containerize(self, bento: Bento) -> Built:
        """Assemble the image of a Bento, or one for each platform and their index; the layout has it by the version."""
        check(bento)
        self._scratch.mkdir(parents=True, exist_ok=True)
        # One platform after the other: each step uses all processors by itself.
        images = {
            platform: assemble(bento, base, self._cache, self._scratch, tell=self._tell)
            for platform, base in self._bases(bento).items()
        }
        for image in images.values():
            self._keep(image)
        built = {platform: _built(image) for platform, image in images.items()}
        if len(images) == 1:
            [root] = (image.descriptor for image in images.values())
            [result] = built.values()
        else:
            index = index_of(list(images.values()))
            root = self._write(Descriptor.of(INDEX, index), index)
            parts = each_once({platform: one.parts for platform, one in built.items()}, lambda part: part.digest)
            result = Built(root.digest, tuple(parts), built)
        self._layout.tag(root, bento.version)
        return result

    def _bases(self, bento: Bento) -> dict[str, Base]:
        """The base for each platform, put together only when the packages can be had for all of them."""
        outlines: dict[str, Outline] = {}
        for platform in self._platforms:
            outline = self._outline(bento, platform)
            # Of a base in a registry, only its files tell what packages have to run on.
            outlines[platform] = outline if isinstance(outline, Base | Unmade) else self._base(bento, platform)
        check_packages(bento, outlines, self._cache)
        return {
            platform: outline if isinstance(outline, Base) else self._base(bento, platform)
            for platform, outline in outlines.items()
        }

    def _keep(self, image: Image) -> None:
        for layer in image.layers:
            if not self._layout.exists(layer.descriptor):
                self._layout.adopt(self._cache.blob(layer.descriptor), layer.descriptor)
        self._write(image.config_descriptor, image.config)
        self._write(image.descriptor, image.manifest)

    def _write(self, descriptor: Descriptor, content: bytes) -> Descriptor:
        self._layout.write(descriptor, io.BytesIO(content), lambda _: None)
        return descriptor

    def plan(self, bento: Bento) -> dict[str, PlannedImage]:
        """The images, as far as they are known without downloading anything large."""
        check(bento)
        outlines = {platform: self._outline(bento, platform) for platform in self._platforms}
        return planned_images(bento, outlines, self._cache)

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
        there = sum(descriptor.size for descriptor, outcome in result.outcomes if outcome != "sent")
        parts = tuple(replace(part, outcome=outcomes[part.digest]) for part in image.parts)
        return Pushed(result.root.digest, parts, result.sent_bytes, there)

    def _drop_damaged(self, root: Descriptor) -> bool:
        """Remove the blobs of an image that are not what their digests say, from layout and cache; whether any were."""
        damaged = [one for one in below(self._layout, root) if not self._is_whole(one)]
        for descriptor in damaged:
            self._layout.path(descriptor).unlink(missing_ok=True)
            self._cache.blob(descriptor).unlink(missing_ok=True)
        return bool(damaged)

    def _is_whole(self, descriptor: Descriptor) -> bool:
        with self._layout.path(descriptor).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == descriptor.hex


def _built(image: Image) -> Built:
    layers = (Part(layer.title, layer.descriptor.size, digest=layer.descriptor.digest) for layer in image.layers)
    return Built(image.descriptor.digest, tuple(layers))
