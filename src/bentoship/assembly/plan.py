"""What publish would do: which layers there will be, how large each is, and what would be sent."""

import functools
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from typing import Literal

from bentoship.assembly.image import image_from, made_model_layer, model_layer, source_layer, system_layer
from bentoship.assembly.recipe import Recipe
from bentoship.bento import Model
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.layer import Estimate, Layer
from bentoship.image.manifest import Image, index_of
from bentoship.image.platforms import with_owners
from bentoship.layers.cache import LayerCache
from bentoship.packages.layers import expected_layers
from bentoship.packages.resolving import download_sizes
from bentoship.stores.graph import is_manifest
from bentoship.system.values import dataclass

_SMALL = 20_000
"""The estimated size in bytes of the layer with user and environment, while it is not built."""

_SMALL_MODEL = 10_000_000
"""Bytes; the layer of a smaller model is built right away, so that its size is known exactly."""

State = Literal["new", "present", "mountable", "unknown"]
"""The state of a layer in the registry: new layers would be sent, mountable ones taken from another repository of the
registry; unknown means that the registry could not be queried."""


@dataclass(frozen=True)
class PlannedImage:
    """The image for one platform, as far as it is known.

    Args:
        recipe: its recipe.
        layers: lowest first.
        image: the image itself, if all its layers are built.
    """

    recipe: Recipe
    layers: tuple[Layer | Estimate, ...]
    image: Image | None = None


@dataclass(frozen=True)
class Unplanned:
    """An image that cannot be planned, only built.

    Args:
        reason: a sentence on how it would be built.
    """

    reason: str


@dataclass(frozen=True)
class PlannedLayer:
    """A layer of the planned images.

    Args:
        layer: the layer.
        platforms: the platforms that have it.
        state: its state in the registry.
    """

    layer: Layer | Estimate
    platforms: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class PushPlan:
    """The plan of a push.

    Args:
        digest: the digest of the manifest or index; None until all layers are built.
        layers: each layer once.
        size: the number of bytes to send; an estimate unless there is a digest.
    """

    digest: str | None
    layers: tuple[PlannedLayer, ...]
    size: int


def planned_image(recipe: Recipe, cache: LayerCache) -> PlannedImage:
    """Return an image as far as it is known without downloading anything large.

    Args:
        recipe: its recipe.
        cache: the cache of layers; small layers that it lacks are built.
    """
    layers = (
        *_layers(recipe, cache),
        *(layer for model in recipe.bento.models for layer in _model(model, cache)),
        *source_layer(recipe.bento, cache),
    )
    made = [layer for layer in layers if isinstance(layer, Layer)]
    base = recipe.outline.base
    image = image_from(recipe, base, made) if base and len(made) == len(layers) else None
    return PlannedImage(recipe, layers, image)


def push_plan(
    images: Mapping[str, PlannedImage],
    exists: Callable[[Descriptor], bool | None],
    mountable: Container[str] = (),
) -> PushPlan:
    """Return the plan for pushing planned images; all that is not built yet counts as new.

    Args:
        images: the planned images, by platform.
        exists: returns whether the repository has content; None when it cannot be queried.
        mountable: the digests of blobs that can be mounted from another repository of the registry.
    """
    # A layer without a digest counts separately for each platform.
    layers = with_owners(
        {platform: image.layers for platform, image in images.items()},
        lambda layer: layer.descriptor.digest if layer.descriptor else str(id(layer)),
    )
    documents = _documents(images.values())
    exists = functools.cache(exists)
    # As in a push: a registry that has all manifests has all their parts (transfer.survey).
    complete = bool(documents) and all(exists(document) for document in documents if is_manifest(document))

    def state(descriptor: Descriptor | None) -> State:
        present = complete or (descriptor is not None and exists(descriptor))
        if present:
            return "present"
        if descriptor is not None and descriptor.digest in mountable:
            return "mountable"
        return "unknown" if present is None else "new"

    planned = tuple(PlannedLayer(layer, platforms, state(layer.descriptor)) for layer, platforms in layers)
    size = sum(layer.layer.size for layer in planned if layer.state in ("new", "unknown"))
    size += 0 if complete else sum(document.size for document in documents if not exists(document))
    return PushPlan(documents[-1].digest if documents else None, planned, size)


def _documents(images: Collection[PlannedImage]) -> Sequence[Descriptor]:
    """Return configurations, manifests and index, the root last; none unless all of them are known."""
    made = [planned.image for planned in images if planned.image]
    if len(made) < len(images):
        return []
    documents = [document for image in made for document in (image.config_descriptor, image.descriptor)]
    return [*documents, Descriptor.of(INDEX, index_of(made))] if len(made) > 1 else documents


def _layers(recipe: Recipe, cache: LayerCache) -> Iterator[Layer | Estimate]:
    """Yield the layers below models and source: base, user and environment, packages."""

    def weigh(lines: Sequence[str]) -> dict[str, int]:
        return download_sizes(recipe.bento.path, lines, recipe.lock.target)

    yield from recipe.outline.layers
    if base := recipe.outline.base:
        yield from system_layer(recipe.bento, base, cache)
        yield from expected_layers(recipe.job(base, cache), recipe.lock.installed, weigh)
    else:
        lines = recipe.lock.installed
        yield Estimate("user and environment", "system", _SMALL)
        yield Estimate(f"{len(lines)} packages", "packages", sum(weigh(lines).values()))


def _model(model: Model, cache: LayerCache) -> Iterator[Layer | Estimate]:
    made = made_model_layer(model, cache)
    size = sum(path.stat().st_size for path in model.path.rglob("*") if path.is_file())
    if made is not None or size < _SMALL_MODEL:
        yield from made or model_layer(model, cache)
    else:
        yield Estimate(f"model {model.tag}", "model", size)
