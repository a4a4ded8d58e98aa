"""What publish would do: which layers there will be, what each weighs, and what would be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentoship.assembly import made_model_layer, model_layer, source_layer, system_layer, target_of
from bentoship.bases import Base, Unmade
from bentoship.bento import Bento, Model
from bentoship.errors import PackagesError
from bentoship.image.descriptor import Descriptor
from bentoship.image.layer import Layer
from bentoship.image.platforms import each_once
from bentoship.layers import LayerCache
from bentoship.locks import download_size, lock, lock_all
from bentoship.package_layers import Job, made_layers
from bentoship.packages import Target

# About what the image's configuration weighs, and its user and environment, while nobody has made them.
_SMALL = 20_000


@dataclass(frozen=True)
class PlannedLayer:
    """A layer of the image to be.

    Args:
        title: what is in it.
        size: its bytes in a registry; an estimate unless there is a descriptor.
        descriptor: the layer itself, where it is known already.
        made: whether its blob lies on this machine.
    """

    title: str
    size: int
    descriptor: Descriptor | None = None
    made: bool = False


Outline = Base | Unmade | Sequence[Descriptor]
"""What is known of a base: all of it, what its packages tell, or the layers that a registry has."""


def planned_layers(bento: Bento, outlines: Mapping[str, Outline], cache: LayerCache) -> list[PlannedLayer]:
    """The layers of a Bento's image, as far as they are known without downloading anything large.

    Args:
        bento: a Bento, which need not be in the store.
        outlines: what is known of its base, for each platform.
        cache: where layers are found; the small ones are made.

    Raises:
        PackagesError: a package has no wheel for one of the platforms.
    """
    check_packages(bento, outlines, cache)
    layers = {platform: _for_platform(bento, outlines[platform], platform, cache) for platform in outlines}
    # What is not known yet is taken for one platform's own.
    return each_once(layers, lambda layer: layer.descriptor.digest if layer.descriptor else str(id(layer)))


def check_packages(bento: Bento, outlines: Mapping[str, Outline], cache: LayerCache) -> None:
    """See that the packages that are still to be installed can be had, for all platforms. Raises PackagesError."""
    targets = [
        _target(bento, outline, platform)
        for platform, outline in outlines.items()
        if _packages_made(bento, outline, cache) is None
    ]
    lock_all(bento.path, targets, cache.folder / "locks")


def _for_platform(bento: Bento, outline: Outline, platform: str, cache: LayerCache) -> list[PlannedLayer]:
    return [
        *_base(outline),
        *_system(bento, outline, cache),
        *_packages(bento, outline, platform, cache),
        *(layer for model in bento.models for layer in _model(model, cache)),
        *map(_made, source_layer(bento, cache)),
    ]


def survey(layers: Sequence[PlannedLayer], exists: Callable[[Descriptor], bool]) -> list[tuple[PlannedLayer, bool]]:
    """Each layer, and whether the registry has it; what isn't known yet is taken for new."""
    return [(layer, layer.descriptor is not None and exists(layer.descriptor)) for layer in layers]


def _made(layer: Layer) -> PlannedLayer:
    return PlannedLayer(layer.title, layer.descriptor.size, layer.descriptor, made=True)


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


def _packages(bento: Bento, outline: Outline, platform: str, cache: LayerCache) -> Iterator[PlannedLayer]:
    made = _packages_made(bento, outline, cache)
    if made is not None:
        yield from map(_made, made)
    else:
        target = _target(bento, outline, platform)
        locked = lock(bento.path, target, cache.folder / "locks")
        yield PlannedLayer(f"{len(locked)} packages", download_size(bento.path, locked, target))


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
