"""The images in the repositories, as pushes tell of them; blobs are the registry's own business."""

from __future__ import annotations

import hashlib
import json
import time
from urllib.parse import quote

from google.cloud.artifactregistry_v1.types import DockerImage
from google.protobuf.timestamp_pb2 import Timestamp
from tests.support.google.state import Image, State

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def tagged(state: State, repository: str, path: str, tag: str) -> str:
    """The digest that a tag stands for; empty when it is free."""
    with state.lock:
        return next((image.digest for image in _of(state, repository, path) if tag in image.tags), "")


def tags(state: State, repository: str, path: str) -> list[str] | None:
    """The tags of an image, in order; None when there is no such image."""
    with state.lock:
        found = _of(state, repository, path)
        return sorted(tag for image in found for tag in image.tags) if found else None


def pushed(state: State, repository: str, path: str, reference: str, media_type: str, manifest: bytes) -> None:
    """A manifest was put there, under a tag or its digest."""
    document = json.loads(manifest)
    parts = [part for part in [document.get("config"), *document.get("layers", [])] if part]
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    with state.lock:
        found = state.images.setdefault(repository, {})
        kind = media_type or document.get("mediaType", _MANIFEST)
        new = Image(path, digest, kind, sum(part.get("size", 0) for part in parts), int(time.time()))
        image = found.setdefault(f"{path}@{digest}", new)
        if ":" not in reference:
            for other in _of(state, repository, path):
                other.tags.discard(reference)
            image.tags.add(reference)


def deleted(state: State, repository: str, path: str, reference: str) -> None:
    """A manifest was deleted, or a tag."""
    with state.lock:
        if ":" in reference:
            state.images.get(repository, {}).pop(f"{path}@{reference}", None)
        for image in _of(state, repository, path):
            image.tags.discard(reference)


def listed(state: State, repository: str) -> list[DockerImage]:
    """The images of a repository, as the API tells of them."""
    _, project, _, location, _, short = repository.split("/")
    host = f"{location}-docker.pkg.dev/{project}/{short}"
    with state.lock:
        return [
            DockerImage(
                name=f"{repository}/dockerImages/{quote(image.path, safe='')}@{image.digest}",
                uri=f"{host}/{image.path}@{image.digest}",
                tags=sorted(image.tags),
                image_size_bytes=image.size,
                upload_time=Timestamp(seconds=image.uploaded),
                update_time=Timestamp(seconds=image.uploaded),
                media_type=image.media_type,
            )
            for image in sorted(state.images.get(repository, {}).values(), key=lambda image: (image.path, image.digest))
        ]


def _of(state: State, repository: str, path: str) -> list[Image]:
    return [image for image in state.images.get(repository, {}).values() if image.path == path]
