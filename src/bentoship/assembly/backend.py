"""Images put together from layers, without Docker, in an OCI image layout."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from bentoship.assembly.image import assemble, check, target_of
from bentoship.assembly.plan import Outline, PlannedImage, check_packages, planned_images
from bentoship.backend import Built, Part, Pushed
from bentoship.bases import Base, Unmade
from bentoship.bento import Bento
from bentoship.errors import DamagedError, PackagesError, RegistryError, StoreError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.layer import CHUNK
from bentoship.image.manifest import Image, index_of
from bentoship.image.platforms import each_once
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.packages.layers import Staged, staging
from bentoship.packages.locks import lock
from bentoship.stores import Registry, Store, transfer
from bentoship.stores.graph import below
from bentoship.stores.layout import LayoutStore
from bentoship.stores.transfer import Progress


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
        holders: tells which other repositories of a registry have which blobs: their paths, by digest.
        tell: told in words what takes a while, before it begins.
    """

    def __init__(
        self,
        cache: LayerCache,
        layout: LayoutStore,
        scratch: Path,
        base: Callable[[Bento, str], Base],
        registry: Callable[[ImageReference], Registry],
        outline: Callable[[Bento, str], Outline],
        engine: Callable[[Store, Descriptor, str], str],
        platforms: Sequence[str],
        holders: Callable[[ImageReference], Mapping[str, str]] = lambda _: {},
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
        self._holders = holders
        self._tell = tell

    def containerize(self, bento: Bento) -> Built:
        """Assemble the image of a Bento, or one for each platform and their index; the layout has it by the version."""
        check(bento)
        self._scratch.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            outlines = self._outlines(bento)
            unmade = {platform: outline for platform, outline in outlines.items() if isinstance(outline, Unmade)}
            # Downloads go side by side, with each other and with what else is done: the check, too, before whose end no
            # base is made, and which tells more of what cannot be had.
            staged: dict[str, Staged] = {}
            with suppress(PackagesError):
                for platform, outline in unmade.items():
                    staged[platform] = stack.enter_context(self._staging(bento, outline))
            check_packages(bento, outlines, self._cache)
            bases = {
                platform: outline if isinstance(outline, Base) else self._base(bento, platform)
                for platform, outline in outlines.items()
            }
            # One platform after the other: each step uses all processors by itself.
            images = {
                platform: assemble(
                    bento, base, self._cache, self._scratch, tell=self._tell, staged=staged.get(platform)
                )
                for platform, base in bases.items()
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
            streams = {digest: stream for one in built.values() for digest, stream in one.streams.items()}
            result = Built(root.digest, tuple(parts), built, streams)
        self._store(result).tag(root, bento.version)
        return result

    def _outlines(self, bento: Bento) -> Mapping[str, Outline]:
        """What is known of the base for each platform."""
        outlines: dict[str, Outline] = {}
        for platform in self._platforms:
            outline = self._outline(bento, platform)
            # Of a base in a registry, only its files tell what packages have to run on.
            outlines[platform] = outline if isinstance(outline, Base | Unmade) else self._base(bento, platform)
        return outlines

    def _staging(self, bento: Bento, base: Unmade) -> AbstractContextManager[Staged]:
        target = target_of(bento, base)
        locked = lock(bento.path, target, self._cache.folder / "locks")
        self._tell(f"installing {len(locked)} packages for {target}")
        return staging(bento.path, locked, target, self._scratch)

    def _keep(self, image: Image) -> None:
        for layer in image.layers:
            if layer.stream is None and not self._layout.exists(layer.descriptor):
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
        store = self._store(image)
        return self._engine(store, store.resolve(image.digest), name)

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Name the image in the layout, by the tags alone."""
        store = self._store(image)
        root = store.resolve(image.digest)
        for reference in references:
            store.tag(root, reference.tag or "latest")

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Send what the registry lacks, then set the tags there."""
        store = self._store(image)
        root = store.resolve(image.digest)
        tags = [reference.tag or "latest" for reference in references]
        registry, holders = self._registry(references[0]), self._holders(references[0])

        def mount(blob: Descriptor) -> bool:
            return blob.digest in holders and registry.mount(blob, holders[blob.digest])

        try:
            result = transfer.copy(store, registry, root, tags=tags, whole=True, progress=progress, mount=mount)
        except RegistryError:
            raise
        except StoreError as error:
            if not self._drop_damaged(store, root):
                raise
            raise DamagedError(error.doing, error.why, "It is removed now: run it again.") from error
        outcomes = {descriptor.digest: outcome for descriptor, outcome in result.outcomes}
        there = sum(descriptor.size for descriptor, outcome in result.outcomes if outcome != "sent")
        parts = tuple(replace(part, outcome=outcomes[part.digest]) for part in image.parts)
        return Pushed(result.root.digest, parts, result.sent_bytes, there)

    def _store(self, image: Built) -> LayoutStore:
        """The layout, and what of an image does not lie in it."""
        return self._layout.with_streams(image.streams)

    def _drop_damaged(self, store: LayoutStore, root: Descriptor) -> bool:
        """Remove the blobs of an image that are not what their digests say, from layout and cache; whether any were."""
        damaged = [one for one in below(store, root) if not _is_whole(store, one)]
        for descriptor in damaged:
            store.path(descriptor).unlink(missing_ok=True)
            self._cache.drop(descriptor)
        return bool(damaged)


def _is_whole(store: Store, descriptor: Descriptor) -> bool:
    try:
        with store.open(descriptor) as content:
            while content.read(CHUNK):
                pass
    except StoreError:
        return False
    return True


def _built(image: Image) -> Built:
    layers = (Part(layer.title, layer.descriptor.size, digest=layer.descriptor.digest) for layer in image.layers)
    streams = {layer.descriptor.digest: layer.stream for layer in image.layers if layer.stream is not None}
    return Built(image.descriptor.digest, tuple(layers), streams=streams)
