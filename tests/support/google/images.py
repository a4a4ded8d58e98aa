"""The images in the repositories, as pushes tell of them; blobs are the registry's own business."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any
from urllib.parse import quote

from google.cloud.artifactregistry_v1.types import CleanupPolicy, CleanupPolicyCondition, DockerImage, Package
from google.protobuf.timestamp_pb2 import Timestamp
from tests.support.google.state import Image, State

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def tagged(state: State, repository: str, path: str, tag: str) -> str:
    """The digest that a tag stands for; empty when it is free."""
    with state.lock:
        return next((image.digest for image in _of(state, repository, path) if tag in image.tags), "")


def has(state: State, repository: str, path: str, reference: str) -> bool:
    """Whether there is a manifest of a tag or a digest."""
    with state.lock:
        return any(reference == image.digest or reference in image.tags for image in _of(state, repository, path))


def tags_of(state: State, repository: str, path: str, digest: str) -> list[str]:
    """The tags of a manifest, in order."""
    with state.lock:
        return sorted(tag for image in _of(state, repository, path) if image.digest == digest for tag in image.tags)


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
        new = Image(
            path, digest, kind, sum(part.get("size", 0) for part in parts), int(time.time()), len(manifest), document
        )
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


def parents(state: State, repository: str, path: str, digest: str) -> list[str]:
    """The digests of the indexes that list a manifest, and of what refers to it: Google deletes neither before them."""
    with state.lock:
        return [one.digest for one in _of(state, repository, path) if digest in (*_lists(one), _subject(one))]


def referrers(state: State, repository: str, path: str, digest: str) -> list[dict[str, Any]]:
    """The descriptors of what refers to a manifest (OCI distribution spec, "Listing Referrers")."""
    with state.lock:
        found = [one for one in _of(state, repository, path) if _subject(one) == digest]
    return [
        {
            "mediaType": one.media_type,
            "digest": one.digest,
            "size": one.length,
            "artifactType": one.content.get("artifactType") or one.content.get("config", {}).get("mediaType", ""),
            "annotations": one.content.get("annotations", {}),
        }
        for one in found
    ]


def clean(state: State, repository: str, now: float) -> None:
    """Do what the repository's cleanup policies say, as Google does once a day. What an index lists stays with it.

    Args: now: seconds since 1970.
    """
    found = state.repositories[repository]
    with state.lock:
        images = state.images.get(repository, {})
        keep = max((one.most_recent_versions.keep_count for one in found.cleanup_policies.values()), default=0)
        kept: set[str] = set()
        for path in {one.path for one in images.values()}:
            newest = sorted(_of(state, repository, path), key=lambda one: one.uploaded, reverse=True)
            kept |= {one.digest for one in newest[:keep]}
            kept |= {digest for one in newest for digest in _lists(one)}
        for policy in found.cleanup_policies.values():
            if policy.action != CleanupPolicy.Action.DELETE or found.cleanup_policy_dry_run:
                continue
            assert policy.condition.tag_state == CleanupPolicyCondition.TagState.UNTAGGED
            before = now - policy.condition.older_than.total_seconds()
            for key, one in [*images.items()]:
                if not one.tags and one.uploaded < before and one.digest not in kept:
                    del images[key]


def packages(state: State, repository: str) -> list[Package]:
    """The names that images have in a repository, with slashes escaped."""
    with state.lock:
        paths = sorted({one.path for one in state.images.get(repository, {}).values()})
    return [Package(name=f"{repository}/packages/{quote(path, safe='')}") for path in paths]


def _lists(image: Image) -> list[str]:
    return [one["digest"] for one in image.content.get("manifests", [])]


def _subject(image: Image) -> str:
    return str((image.content.get("subject") or {}).get("digest", ""))


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
                image_manifests=[{"digest": digest} for digest in _lists(image)],
            )
            for image in sorted(state.images.get(repository, {}).values(), key=lambda image: (image.path, image.digest))
        ]


def _of(state: State, repository: str, path: str) -> list[Image]:
    return [image for image in state.images.get(repository, {}).values() if image.path == path]
