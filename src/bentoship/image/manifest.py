"""The configuration and the manifest of an image, and the index of several (OCI image spec: config.md, manifest.md,
image-index.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bentoship.image.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from bentoship.image.layer import MTIME, Layer
from bentoship.image.platforms import describe

KIND = "org.bentoship.layer.kind"
"""The annotation of a layer's descriptor that says which part of the image it is."""

CREATED = datetime.fromtimestamp(MTIME, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Image:
    """An image, ready to be stored: layers that lie in a store, and two small documents.

    Args:
        layers: lowest first.
        config: the configuration's JSON.
        manifest: the manifest's JSON.
        platform: such as "linux/amd64".
        annotations: what the manifest says of the image.
    """

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes
    platform: str
    annotations: Mapping[str, str]

    @property
    def config_descriptor(self) -> Descriptor:
        """Points at the configuration."""
        return Descriptor.of(CONFIG, self.config)

    @property
    def descriptor(self) -> Descriptor:
        """Points at the manifest; its digest is the image's."""
        return Descriptor.of(MANIFEST, self.manifest)

    @property
    def size(self) -> int:
        """What it weighs in a registry, in bytes."""
        return sum(layer.descriptor.size for layer in self.layers) + len(self.config) + len(self.manifest)


def image_of(
    layers: Sequence[Layer], config: Mapping[str, Any], platform: str, annotations: Mapping[str, str]
) -> Image:
    """Put an image together.

    Args:
        layers: lowest first.
        config: the `config` object of its configuration: User, Env, Entrypoint, …
        platform: such as "linux/amd64" or "linux/arm64/v8".
        annotations: what the manifest says of the image.
    """
    described = describe(platform)
    document = {
        "created": CREATED,
        "architecture": described["architecture"],
        **({"variant": described["variant"]} if "variant" in described else {}),
        "os": described["os"],
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": "bentoship", "comment": layer.title} for layer in layers],
    }
    config_bytes = _json(document)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of(CONFIG, config_bytes).to_dict(),
        "layers": [{**layer.descriptor.to_dict(), "annotations": {KIND: layer.kind}} for layer in layers],
        "annotations": dict(sorted(annotations.items())),
    }
    return Image(tuple(layers), config_bytes, _json(manifest), platform, annotations)


def index_of(images: Sequence[Image]) -> bytes:
    """The index of images for several platforms: the same whichever is named first.

    It says of them what all their manifests say, so that it can be read without pulling any of them.
    """
    ordered = sorted(images, key=lambda image: image.platform)
    common = [
        item for item in ordered[0].annotations.items() if all(item in one.annotations.items() for one in ordered)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**image.descriptor.to_dict(), "platform": describe(image.platform)} for image in ordered],
        "annotations": dict(sorted(common)),
    }
    return _json(document)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
