"""What an image that was assembled tells of itself: its layers with their titles, its packages, its base."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bentoship.errors import StoreError
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.platforms import images_of, written
from bentoship.stores import Source
from bentoship.stores.graph import read_manifest


@dataclass(frozen=True)
class PublishedImage:
    """An image for one platform, as its manifest and its configuration tell it.

    Args:
        layers: with their titles, lowest first.
        packages: its Python packages, as requirement lines.
        base: what its base was made of, as `Base.origin` tells it.
        config: the `config` object of its configuration: User, Env, Labels, …
    """

    layers: tuple[tuple[str, Descriptor], ...]
    packages: tuple[str, ...]
    base: Mapping[str, Any]
    config: Mapping[str, Any]


def published_images(store: Source, root: Descriptor) -> dict[str, PublishedImage]:
    """The images of a manifest or index, by platform.

    Raises: StoreError when one cannot be read, or was not assembled from layers.
    """
    try:
        content = read_manifest(store, root)
        manifests = images_of(content).values() if root.media_type in INDEX_TYPES else [root]
        return dict(_image(store, manifest) for manifest in manifests)
    except (ValueError, KeyError, TypeError, AttributeError):
        why = "it was not put together from layers here"
        raise StoreError(f"Understand {root.digest}", why) from None


def _image(store: Source, root: Descriptor) -> tuple[str, PublishedImage]:
    manifest = json.loads(read_manifest(store, root))
    document = json.loads(read_manifest(store, Descriptor.from_dict(manifest["config"])))
    config = document["config"]
    titles = [step["comment"] for step in document["history"]]
    return written(document), PublishedImage(
        tuple(zip(titles, map(Descriptor.from_dict, manifest["layers"]), strict=True)),
        tuple(json.loads(config["Labels"]["org.bentoship.packages"])),
        json.loads(config["Labels"]["org.bentoship.base"]),
        config,
    )
