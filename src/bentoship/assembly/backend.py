"""The backend that assembles images from layers, without Docker, in an OCI image layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bentoship.assembly.image import assemble
from bentoship.assembly.recipe import Recipe, check, recipes, with_packages
from bentoship.assembly.sending import Sending
from bentoship.backend import Built, LayerSummary, Pushed
from bentoship.bases import Base, BaseSource, Outline
from bentoship.bento import Bento
from bentoship.errors import DamagedError, RegistryError, StoreError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.manifest import Image, index_of
from bentoship.image.platforms import with_owners, with_platforms
from bentoship.image.progress import Progress
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.stores import Registry, Store, transfer
from bentoship.stores.layout import LayoutStore
from bentoship.system.files import private_folder
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.assembly.plan import PlannedImage
    from bentoship.image.component import Contents
    from bentoship.packages.install import Staged


@dataclass(frozen=True)
class Workplace:
    """The folders in which images are assembled.

    Args:
        cache: the layers of all projects.
        layout: the images of this project.
        scratch: a folder for temporary files.
    """

    cache: LayerCache
    layout: LayoutStore
    scratch: Path


@dataclass(frozen=True)
class DirectBackend:
    """A backend that assembles images in a layout and pushes them from there.

    Args:
        place: the folders to use.
        platforms: such as "linux/amd64"; several platforms result in an index.
        source: returns the source of a Bento's base.
        registry: opens a repository to push to.
        engine: loads an image of a store into Docker's engine, under a name.
        holders: returns the paths of other repositories of a registry that have blobs, by digest.
        reporter: receives the progress.
    """

    place: Workplace
    platforms: Sequence[str]
    source: Callable[[Bento], BaseSource]
    registry: Callable[[ImageReference], Registry]
    engine: Callable[[Store, Descriptor, str], str]
    holders: Callable[[ImageReference], Mapping[str, str]] = lambda _: {}
    reporter: StepReporter = SILENT

    def containerize(self, bento: Bento) -> Built:
        """Assemble the image of a Bento, or an index of one per platform, and tag it in the layout by version."""
        check(bento)
        private_folder(self.place.scratch)
        source = self.source(bento)
        outlines = [_outline(source, platform) for platform in self.platforms]
        with self.reporter.task("locking packages"):
            prepared = recipes(bento, outlines, self.place.cache)
        assembled = self._assembled(bento, source, prepared)
        images = [image for image, _ in assembled]
        for image in images:
            self._keep(image)
        built = {image.platform: _built(image, contents) for image, contents in assembled}
        if len(images) == 1:
            root, result = images[0].descriptor, built[images[0].platform]
        else:
            index = index_of(images)
            root = self._write(Descriptor.of(INDEX, index), index)
            layers = with_owners({name: one.layers for name, one in built.items()}, lambda layer: layer.digest)
            streams = {digest: stream for one in built.values() for digest, stream in one.streams.items()}
            titled = (replace(layer, title=with_platforms(layer.title, names, built)) for layer, names in layers)
            result = Built(root.digest, tuple(titled), built, streams)
        self._store(result).tag(root, bento.version)
        return result

    def _assembled(
        self, bento: Bento, source: BaseSource, prepared: Sequence[Recipe]
    ) -> list[tuple[Image, Callable[[], Contents]]]:
        with ExitStack() as stack:
            # Downloads run in parallel, with each other and with all else. No base is made before the end of the check,
            # which has the better errors for packages that are unavailable.
            staged = {
                recipe.platform: stack.enter_context(self._staging(recipe))
                for recipe in prepared
                if recipe.outline.base is None
            }
            with self.reporter.task("checking that every package has a wheel"):
                complete = with_packages(bento, prepared, self.place.cache)
            begun = {recipe.platform: recipe.lock for recipe in prepared}
            bases = [recipe.outline.base or source.make(recipe.platform) for recipe in complete]
            # One platform after the other: each step already uses all processors.
            return [
                self._assemble(recipe, base, staged if recipe.lock == begun[recipe.platform] else {})
                for recipe, base in zip(complete, bases, strict=True)
            ]

    def _assemble(
        self, recipe: Recipe, base: Base, staged: Mapping[str, Staged]
    ) -> tuple[Image, Callable[[], Contents]]:
        """Assemble the image of a recipe. Args: staged: by platform; what had to be built was not installed with it."""
        cache, scratch, by_now = self.place.cache, self.place.scratch, staged.get(recipe.platform)
        image = assemble(recipe, base, cache, scratch, reporter=self.reporter, staged=by_now)

        def contents() -> Contents:
            from bentoship.assembly.contents import contents_of  # not for an image that has its SBOM

            return contents_of(recipe, base, cache, image)

        return image, contents

    def _staging(self, recipe: Recipe) -> AbstractContextManager[Staged]:
        from bentoship.packages.install import staging  # not when the base and the packages were made before

        lock = recipe.lock
        return staging(recipe.bento.path, lock.installed, lock.target, self.place.scratch, self.reporter)

    def _keep(self, image: Image) -> None:
        for layer in image.layers:
            if layer.stream is None and not self.place.layout.exists(layer.descriptor):
                self.place.layout.adopt(self.place.cache.blob(layer.descriptor), layer.descriptor)
        self._write(image.config_descriptor, image.config)
        self._write(image.descriptor, image.manifest)

    def _write(self, descriptor: Descriptor, content: bytes) -> Descriptor:
        self.place.layout.put(descriptor, content)
        return descriptor

    def plan(self, bento: Bento) -> dict[str, PlannedImage]:
        """Return the planned images by platform, as far as they are known without downloading anything large.

        Raises: PackagesError when a package has no wheel for one of the platforms; UnsupportedBentoError.
        """
        from bentoship.assembly.plan import planned_image  # not needed for publishing

        check(bento)
        source = self.source(bento)
        prepared = recipes(bento, list(map(source.outline, self.platforms)), self.place.cache)
        complete = with_packages(bento, prepared, self.place.cache)
        return {recipe.platform: planned_image(recipe, self.place.cache) for recipe in complete}

    def load(self, image: Built, name: str) -> str:
        """Load the image from the layout into the engine. Returns: a sentence on what was done."""
        store = self._store(image)
        return self.engine(store, store.resolve(image.digest), name)

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Tag the image in the layout, with the references' tags alone."""
        store = self._store(image)
        root = store.resolve(image.digest)
        for reference in references:
            store.tag(root, reference.tag or "latest")

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Send the parts that the registry lacks, then set its tags.

        Raises: RegistryError; DamagedError when a cached part was damaged, which is then removed; StoreError.
        """
        store = self._store(image)
        root = store.resolve(image.digest)
        registry, holders = self.registry(references[0]), self.holders(references[0])
        sending = Sending(self.place.cache.folder, references[0])
        shared = {layer.digest for layer in image.layers}  # with other images, unlike a configuration

        def mount(blob: Descriptor) -> bool:
            place = holders.get(blob.digest) or (blob.digest in shared and sending.sent_to(blob))
            return bool(place and registry.mount(blob, place))

        tags = [reference.tag or "latest" for reference in references]
        try:
            options = transfer.Options(whole=True, turn=sending.turn)
            outcomes = transfer.copy(store, registry, root, tags=tags, options=options, progress=progress, mount=mount)
        except RegistryError:
            raise
        except StoreError as error:
            dropped = store.drop_damaged(root)
            for descriptor in dropped:
                self.place.cache.drop(descriptor)
            if not dropped:
                raise
            raise DamagedError(error.doing, error.why, "It has been removed: run the same command again.") from error
        by_digest = {descriptor.digest: outcome for descriptor, outcome in outcomes.items()}
        sent = sum(descriptor.size for descriptor, outcome in outcomes.items() if outcome == "sent")
        layers = tuple(replace(layer, outcome=by_digest[layer.digest]) for layer in image.layers)
        return Pushed(root.digest, layers, sent, sum(descriptor.size for descriptor in outcomes) - sent)

    def _store(self, image: Built) -> LayoutStore:
        """Return the layout, together with those layers of an image that are not stored in it."""
        return LayoutStore(self.place.layout.folder, image.streams)


def _outline(source: BaseSource, platform: str) -> Outline:
    """Return the outline of a base, pulling it if only its files reveal the glibc that packages have to run on."""
    outline = source.outline(platform)
    return source.make(platform).outline if outline.glibc is None else outline


def _built(image: Image, contents: Callable[[], Contents]) -> Built:
    layers = (LayerSummary(layer.title, layer.size, digest=layer.descriptor.digest) for layer in image.layers)
    streams = {layer.descriptor.digest: layer.stream for layer in image.layers if layer.stream is not None}
    return Built(image.descriptor.digest, tuple(layers), streams=streams, contents=contents)
