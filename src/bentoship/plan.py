"""What publish would do: which layers there will be, what each weighs, and what would be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentoship import packages
from bentoship.assembly import model_key, model_layer, packages_key, source_layer, system_layer, target_of
from bentoship.bases import Base
from bentoship.bento import Bento, Model
from bentoship.image.descriptor import Descriptor
from bentoship.image.layer import Layer
from bentoship.layers import LayerCache
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


Outline = Base | Sequence[Descriptor] | int
"""What is known of a base: all of it, the layers that a registry has, or about how many bytes it will weigh."""


def planned_layers(bento: Bento, outline: Outline, python: str, platform: str, cache: LayerCache) -> list[PlannedLayer]:
    """The layers of a Bento's image, as far as they are known without downloading anything large.

    Args:
        bento: a Bento, which need not be in the store.
        outline: what is known of its base.
        python: the base's Python, such as "3.11".
        platform: such as "linux/amd64".
        cache: where layers are found; the small ones are made.

    Raises:
        PackagesError: no set of wheels satisfies the Bento.
    """
    return [
        *_base(outline),
        *_system(bento, outline, cache),
        *_packages(bento, outline, Target(platform, python, glibc=36), cache),
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
    elif isinstance(outline, int):
        yield PlannedLayer("base", outline)
    else:
        yield from (PlannedLayer("base", descriptor.size, descriptor) for descriptor in outline)


def _system(bento: Bento, outline: Outline, cache: LayerCache) -> Iterator[PlannedLayer]:
    if isinstance(outline, Base):
        yield from map(_made, system_layer(bento, outline, cache))
    else:
        yield PlannedLayer("user and environment", _SMALL)


def _packages(bento: Bento, outline: Outline, target: Target, cache: LayerCache) -> Iterator[PlannedLayer]:
    if isinstance(outline, Base):
        target = target_of(bento, outline)
    locked = packages.lock(bento.path, target, cache.folder / "locks")
    made = cache.find(packages_key(outline, target, locked)) if isinstance(outline, Base) else None
    if made is not None:
        yield from map(_made, made)
    else:
        yield PlannedLayer(f"{len(locked)} packages", packages.download_size(bento.path, locked, target))


def _model(model: Model, cache: LayerCache) -> Iterator[PlannedLayer]:
    made = cache.find(model_key(model))
    size = _weight(model.path)
    # A small one is made at once, so that its size is known exactly.
    if made is not None or size < 10_000_000:
        yield from map(_made, made or model_layer(model, cache))
    else:
        yield PlannedLayer(f"model {model.tag}", size)


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
