"""What publish would do: which layers there will be, what each weighs, and what would be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bentoship.assembly.image import described, made_model_layer, model_layer, source_layer, system_layer, target_of
from bentoship.bases import Base, Unmade
from bentoship.bento import Bento, Model
from bentoship.errors import PackagesError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import Image, index_of
from bentoship.image.platforms import owned
from bentoship.layers.cache import LayerCache
from bentoship.packages.install import Target
from bentoship.packages.layers import Job, expected_layers, made_layers
from bentoship.packages.locks import download_sizes, lock, lock_all
from bentoship.stores.graph import is_manifest

# About what the image's configuration weighs, and its user and environment, while nobody has made them.
_SMALL = 20_000

State = Literal["new", "present", "mountable", "unknown"]
"""Of a layer in the registry: new ones are sent, mountable ones it takes from another repository of its own; unknown
are those of which it could not be asked."""


@dataclass(frozen=True)
class PlannedLayer:
    """A layer of the image to be.

    Args:
        title: what is in it.
        size: its bytes in a registry; an estimate unless there is a descriptor.
        descriptor: the layer itself, where it is known already.
        layer: all of it, where it is made already.
    """

    title: str
    size: int
    descriptor: Descriptor | None = None
    layer: Layer | None = None

    @property
    def made(self) -> bool:
        """Whether it need not be made any more."""
        return self.layer is not None


@dataclass(frozen=True)
class PlannedImage:
    """What is known of the image for one platform.

    Args:
        layers: lowest first.
        packages: every Python package with its version, as requirement lines.
        base: what its base is made of, as `Base.origin` tells it; empty where only its layers are known.
        image: the image itself, where all of its layers are made.
    """

    layers: tuple[PlannedLayer, ...]
    packages: tuple[str, ...]
    base: Mapping[str, Any] = field(default_factory=dict)
    image: Image | None = None


@dataclass(frozen=True)
class Part:
    """A layer of the images to be.

    Args:
        layer: itself.
        platforms: those that have it.
        state: of the layer in the registry.
    """

    layer: PlannedLayer
    platforms: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class Shipment:
    """What a push would do.

    Args:
        digest: of the manifest or index; None while not all of it is made.
        parts: the layers, each once.
        size: the bytes to send; an estimate unless there is a digest.
    """

    digest: str | None
    parts: tuple[Part, ...]
    size: int


Outline = Base | Unmade | Sequence[Descriptor]
"""What is known of a base: all of it, what its packages tell, or the layers that a registry has."""


def planned_images(bento: Bento, outlines: Mapping[str, Outline], cache: LayerCache) -> dict[str, PlannedImage]:
    """A Bento's image for each platform, as far as it is known without downloading anything large.

    Args:
        bento: a Bento, which need not be in the store.
        outlines: what is known of its base, for each platform.
        cache: where layers are found; the small ones are made.

    Raises:
        PackagesError: a package has no wheel for one of the platforms.
    """
    check_packages(bento, outlines, cache)
    return {platform: _planned(bento, outline, platform, cache) for platform, outline in outlines.items()}


def check_packages(bento: Bento, outlines: Mapping[str, Outline], cache: LayerCache) -> None:
    """See that the packages that are still to be installed can be had, for all platforms. Raises PackagesError."""
    targets = [
        _target(bento, outline, platform)
        for platform, outline in outlines.items()
        if _packages_made(bento, outline, cache) is None
    ]
    lock_all(bento.path, targets, cache.folder / "locks")


def shipment(
    images: Mapping[str, PlannedImage],
    exists: Callable[[Descriptor], bool | None],
    mountable: Callable[[Descriptor], bool] = lambda _: False,
) -> Shipment:
    """What a push of planned images would send; of what isn't made yet, all.

    Args:
        images: by platform.
        exists: tells whether the repository has it; None for one that cannot be asked.
        mountable: tells whether the registry has it in another repository that it can be taken from.
    """
    # What is not known yet is taken for one platform's own.
    layers = owned(
        {platform: image.layers for platform, image in images.items()},
        lambda layer: layer.descriptor.digest if layer.descriptor else str(id(layer)),
    )

    documents = _documents(images)
    # As a push takes it: where all manifests are, their parts are (transfer.survey).
    whole = bool(documents) and all(exists(one) for one in documents if is_manifest(one))

    def state(descriptor: Descriptor | None) -> State:
        there = whole or (descriptor is not None and exists(descriptor))
        if there:
            return "present"
        if descriptor is not None and mountable(descriptor):
            return "mountable"
        return "unknown" if there is None else "new"

    parts = tuple(Part(layer, platforms, state(layer.descriptor)) for layer, platforms in layers)
    size = sum(part.layer.size for part in parts if part.state in ("new", "unknown"))
    size += 0 if whole else sum(document.size for document in documents if not exists(document))
    return Shipment(documents[-1].digest if documents else None, parts, size)


def _documents(images: Mapping[str, PlannedImage]) -> list[Descriptor]:
    """Configurations, manifests and index, the root last; none while not all of them are known."""
    made = [planned.image for planned in images.values() if planned.image]
    if len(made) < len(images):
        return []
    of_each = [one for image in made for one in (image.config_descriptor, image.descriptor)]
    return [*of_each, Descriptor.of(INDEX, index_of(made))] if len(made) > 1 else of_each


def _planned(bento: Bento, outline: Outline, platform: str, cache: LayerCache) -> PlannedImage:
    target = _target(bento, outline, platform)
    locked = lock(bento.path, target, cache.folder / "locks")
    layers = (
        *_base(outline),
        *_system(bento, outline, cache),
        *_packages(bento, outline, target, locked, cache),
        *(layer for model in bento.models for layer in _model(model, cache)),
        *map(_made, source_layer(bento, cache)),
    )
    made = [planned.layer for planned in layers if planned.layer]
    origin = outline.origin if isinstance(outline, Base | Unmade) else {}
    whole = len(made) == len(layers)
    image = described(bento, outline, locked, made) if whole and isinstance(outline, Base) else None
    return PlannedImage(layers, tuple(locked), origin, image)


def _made(layer: Layer) -> PlannedLayer:
    return PlannedLayer(layer.title, layer.descriptor.size, layer.descriptor, layer)


def _base(outline: Outline) -> Iterator[PlannedLayer]:
    if isinstance(outline, Base):
        yield from map(_made, outline.layers)
    elif isinstance(outline, Unmade):
        yield PlannedLayer("base", outline.size)
    else:
        yield from (PlannedLayer("base", descriptor.size, descriptor) for descriptor in outline)


def _system(bento: Bento, outline: Outline, cache: LayerCache) -> Iterator[PlannedLayer]:
    if isinstance(outline, Base):
        yield from map(_made, system_layer(bento, outline, cache))
    else:
        yield PlannedLayer("user and environment", _SMALL)


def _packages(
    bento: Bento, outline: Outline, target: Target, locked: Sequence[str], cache: LayerCache
) -> Iterator[PlannedLayer]:
    def weigh(lines: Sequence[str]) -> dict[str, int]:
        return download_sizes(bento.path, lines, target)

    if isinstance(outline, Base):
        for title, size, layer in expected_layers(Job(bento.path, outline, target, cache), locked, weigh):
            yield _made(layer) if layer else PlannedLayer(title, size)
    else:
        yield PlannedLayer(f"{len(locked)} packages", sum(weigh(locked).values()))


def _packages_made(bento: Bento, outline: Outline, cache: LayerCache) -> tuple[Layer, ...] | None:
    """The layers with the packages, where they are made already."""
    if not isinstance(outline, Base):
        return None
    target = target_of(bento, outline)
    try:
        locked = lock(bento.path, target, cache.folder / "locks")
    except PackagesError:  # told with what else is missing
        return None
    return made_layers(Job(bento.path, outline, target, cache), locked)


def _target(bento: Bento, outline: Outline, platform: str) -> Target:
    """What the packages have to run on; that of Debian 12 while nothing is known of the base but its layers."""
    if isinstance(outline, Base | Unmade):
        return target_of(bento, outline)
    return Target(platform, bento.python_version, glibc=36)


def _model(model: Model, cache: LayerCache) -> Iterator[PlannedLayer]:
    made = made_model_layer(model, cache)
    size = _weight(model.path)
    # A small one is made at once, so that its size is known exactly.
    if made is not None or size < 10_000_000:
        yield from map(_made, made or model_layer(model, cache))
    else:
        yield PlannedLayer(f"model {model.tag}", size)


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
