"""Versions of an image in a registry, as publish leaves them there: small, with metadata and attestations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.image.manifest import KIND
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import Referrer, attach, fallback_tag, from_api, push
from bentoship.stores.registry import RegistryStore
from tests.support.images import noise, put

BASE = "python:3.11-slim"


def project_beside(place: ImageReference, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A project whose image is "image", in a place of a registry that is its own. Args: folder: gets all its files."""
    settings = {
        "REGISTRY": f"http://{place.host}/{place.path}",
        "IMAGE_NAME": "image",
        "METRICS_LOWER": "loss",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "BENTOML_HOME": str(folder / "bentoml"),
        "DOCKER_CONFIG": str(folder / "docker"),
    }
    for name, value in settings.items():
        patch.setenv(name, value)
    (folder / "project").mkdir()
    return folder / "project"


def put_version(
    store: RegistryStore,
    number: int,
    *,
    tags: Sequence[str] = (),
    metrics: Mapping[str, float] | None = None,
    parameters: Mapping[str, object] | None = None,
    packages: Sequence[str] = ("numpy==2.0",),
    layers: Sequence[Descriptor] = (),
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Write a version with two layers, of which the first is that of all versions.

    Args:
        store: the repository.
        number: what distinguishes it from others.
        tags: "v" and the number when there are none.
        metrics: of its model.
        parameters: that it was trained with.
        packages: the requirement lines of its packages.
        layers: what it has in place of the first one.
        annotations: further ones.
    """
    base = [("base", layer) for layer in layers or [put(store, LAYER_GZIP, noise(500, 0))]]
    parts = [*base, ("source", put(store, LAYER_GZIP, noise(100, number + 1)))]
    labels = {"org.bentoship.packages": json.dumps(list(packages)), "org.bentoship.base": '{"image": "python"}'}
    digests = [layer.digest for _, layer in parts]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": digests},
    }
    texts = {
        keys.TITLE: "classifier",
        keys.VERSION: f"v{number}",
        keys.BENTO: f"classifier:v{number}",
        keys.BASE_NAME: BASE,
        keys.MODELS: json.dumps([{"tag": f"stars:m{number}", "metadata": {"number": str(number)}}]),
        **({keys.METRICS: json.dumps(metrics)} if metrics else {}),
        **({keys.PARAMETERS: json.dumps(parameters)} if parameters else {}),
        **(annotations or {}),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(store, CONFIG, json.dumps(config).encode()).to_dict(),
        "layers": [{**layer.to_dict(), "annotations": {KIND: kind}} for kind, layer in parts],
        "annotations": texts,
    }
    descriptor = put(store, MANIFEST, json.dumps(manifest).encode())
    for tag in tags or [f"v{number}"]:
        store.tag(descriptor, tag)
    return descriptor


def attest(
    store: RegistryStore, image: Descriptor, created: str, *, commit: str = "", verified: bool | None = None
) -> None:
    """Attach an attestation to a version: of its origin, or, where `verified` is given, of whether it worked."""
    annotations = {
        keys.CREATED: created,
        **({keys.COMMIT: commit} if commit else {}),
        **({keys.VERIFIED: json.dumps(verified)} if verified is not None else {}),
    }
    attach(store, Artifact(keys.STATEMENT_TYPE, [Blob(keys.STATEMENT_TYPE, b"{}")], annotations, image))


def promote(store: RegistryStore, name: str, *images: Descriptor, move: bool = True) -> None:
    """Promote versions to a name, one after the other. Args: move: whether the name is a tag, too."""
    promotions = [
        {
            "digest": image.digest,
            "tags": [],
            "from": images[place - 1].digest if place else None,
            "by": "alice",
            "when": f"2026-03-0{place + 1}T12:00:00Z",
            "why": f"reason {place + 1}",
            "conditions": ["accuracy >= 0.9 (0.95)"],
        }
        for place, image in enumerate(images)
    ]
    content = json.dumps({"promotions": promotions}).encode()
    push(store, Artifact(keys.HISTORY_TYPE, [Blob("application/json", content)]), f"{name}.history")
    if move:
        store.tag(images[-1], name)


def detach(store: RegistryStore, image: str, those: Iterable[Referrer]) -> None:
    """Delete what refers to an image, and list it no more. Args: image: its digest."""
    gone = {one.descriptor.digest for one in those if store.delete(one.descriptor.digest)}
    if from_api(store, image) is None:
        index = parse_json(store.read(fallback_tag(image))[1])
        left = [entry for entry in index["manifests"] if entry["digest"] not in gone]
        content = to_json({**index, "manifests": left})
        store.write_tagged(Descriptor.of(INDEX, content), content, fallback_tag(image))
