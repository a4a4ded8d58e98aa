"""The configuration and manifest of an image, and the index of several images (OCI image spec: config.md, manifest.md,
image-index.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bentoship.image.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.image.layer import MTIME, Layer
from bentoship.image.platforms import platform_fields, platform_name
from bentoship.system.values import dataclass

AUTHOR = "bentoship"
"""The `created_by` of layers assembled here, in an image's history; the layer's title is the comment."""

KIND = "org.bentoship.layer.kind"
"""The annotation of a layer's descriptor that names the part of the image that it holds."""

CREATED = datetime.fromtimestamp(MTIME, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Image:
    """An image for one platform, read-only, wherever it is stored: its manifest and configuration, parsed.

    Args:
        manifest: the manifest's JSON.
        config: the configuration's JSON.
        layers: lowest first; the layers of an image that was not assembled here all count as base.
        platform: such as "linux/amd64".
        annotations: the manifest's annotations.
    """

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    platform: str
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, manifest: bytes, config: bytes) -> Image:
        """Parse an image's documents. Raises KeyError, TypeError, AttributeError or ValueError when invalid."""
        document, settings = parse_json(manifest), parse_json(config)
        _check_texts(document.get("annotations"), settings)
        titles = _titles(settings.get("history") or [], len(document["layers"]))
        layers = (
            Layer(Descriptor.from_dict(entry), str(diff_id), title, (entry.get("annotations") or {}).get(KIND, "base"))
            for entry, diff_id, title in zip(document["layers"], settings["rootfs"]["diff_ids"], titles, strict=True)
        )
        return cls(manifest, config, tuple(layers), platform_name(settings), document.get("annotations") or {})

    @property
    def config_descriptor(self) -> Descriptor:
        """Return the descriptor of the configuration."""
        return Descriptor.from_dict(parse_json(self.manifest)["config"])

    @property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of the manifest, whose digest is the image's."""
        return Descriptor.of(parse_json(self.manifest).get("mediaType") or MANIFEST, self.manifest)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings for the image's containers: User, Env, Entrypoint, Labels, …"""
        return parse_json(self.config).get("config") or {}


def _check_texts(annotations: Any, settings: Mapping[str, Any]) -> None:
    """Raise ValueError where an image says something in another form than texts (OCI image spec, config.md)."""
    own = settings.get("config") or {}
    mappings = [annotations, own.get("Labels"), own.get("ExposedPorts"), own.get("Volumes")]
    lists = [own.get(name) for name in ("Env", "Entrypoint", "Cmd")]
    texts = [own.get(name) for name in ("User", "WorkingDir")]
    if wrong := [one for one in mappings if not isinstance(one, Mapping | None)]:
        raise ValueError(f"{_start_of(wrong[0])} is not an object")
    if wrong := [one for one in lists if not isinstance(one, list | None)]:
        raise ValueError(f"{_start_of(wrong[0])} is not a list")
    texts += [text for one in lists for text in one or ()]
    texts += [text for one in mappings[:2] for text in (one or {}).values()]
    if wrong := [one for one in texts if not isinstance(one, str | None)]:
        raise ValueError(f"{_start_of(wrong[0])} is not a text")


def _start_of(value: object) -> str:
    return repr(value)[:80]


def variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a container's environment. Args: settings: the `config` object of an image's configuration."""
    return dict(entry.partition("=")[::2] for entry in settings.get("Env") or [])


def _titles(history: Sequence[Mapping[str, Any]], count: int) -> list[str]:
    """Return a title for each of `count` layers: the one it was assembled with, or the builder's command."""
    steps = [step for step in history if not step.get("empty_layer")]
    if len(steps) != count:
        return ["layer"] * count
    return [str(step.get("comment" if step.get("created_by") == AUTHOR else "created_by") or "") for step in steps]


def image_of(
    layers: Sequence[Layer], config: Mapping[str, Any], platform: str, annotations: Mapping[str, str]
) -> Image:
    """Return the image that consists of some layers.

    Args:
        layers: lowest first.
        config: the `config` object of its configuration: User, Env, Entrypoint, …
        platform: such as "linux/amd64" or "linux/arm64/v8".
        annotations: the manifest's annotations.
    """
    described = platform_fields(platform)
    document = {
        "created": CREATED,
        "architecture": described["architecture"],
        **({"variant": described["variant"]} if "variant" in described else {}),
        "os": described["os"],
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": AUTHOR, "comment": layer.title} for layer in layers],
    }
    config_bytes = to_json(document)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of(CONFIG, config_bytes).to_dict(),
        "layers": [{**layer.descriptor.to_dict(), "annotations": {KIND: layer.kind}} for layer in layers],
        "annotations": dict(sorted(annotations.items())),
    }
    return Image(to_json(manifest), config_bytes, tuple(layers), platform, annotations)


def index_of(images: Sequence[Image]) -> bytes:
    """Return the index of images for several platforms, independent of their order.

    It repeats the annotations that all their manifests share, so that these can be read without pulling any manifest.
    """
    ordered = sorted(images, key=lambda image: image.platform)
    common = [
        item for item in ordered[0].annotations.items() if all(item in one.annotations.items() for one in ordered)
    ]
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                {**image.descriptor.to_dict(), "platform": platform_fields(image.platform)} for image in ordered
            ],
            "annotations": dict(sorted(common)),
        }
    )
