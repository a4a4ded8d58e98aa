"""Artifacts in a store, and the referrers of an image: signatures, attestations, documents.

Referrers are listed by the registry's API or, without one, by an index that clients keep under a tag made of the
image's digest (OCI distribution spec, "Listing Referrers" and "Referrers Tag Schema").
"""

from __future__ import annotations

import io
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from bentoship.errors import RegistryError, StoreError
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.stores.listing import NotJSONError, pages
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import map_in_order
from bentoship.system.values import dataclass

_NO_API = frozenset({400, 401, 403, 404, 405, 406, 501})
"""Statuses of registries that lack the API, or refuse it."""

_SIDE_TAG = re.compile(r"sha256-([0-9a-f]{64})(?:\.[a-z0-9]+)?")

_ATTEMPTS = 10
"""How often the index is written while other clients write it, too."""

_PAUSE = (2.0, 4.0)
"""The shortest and longest time before the index is read back, in times that reading and writing it took."""


@dataclass(frozen=True)
class Referrer:
    """An artifact that refers to an image.

    Args:
        descriptor: of its manifest.
        artifact_type: the media type that says what it is; empty when unknown.
        annotations: the annotations of its manifest.
    """

    descriptor: Descriptor
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


def push(store: RegistryStore, artifact: Artifact, tag: str = "") -> Descriptor:
    """Push an artifact, and return its descriptor. Args: tag: set afterwards; empty for none. Raises: StoreError."""
    for blob in (artifact.config, *artifact.blobs):
        store.write_bytes(blob.descriptor, blob.content)
    store.write(artifact.descriptor, io.BytesIO(artifact.manifest), lambda _: None)
    if tag:
        store.tag(artifact.descriptor, tag)
    return artifact.descriptor


def attach(store: RegistryStore, artifact: Artifact) -> Referrer:
    """Push an artifact that has a subject, so that it is listed among the subject's referrers.

    Args:
        store: the repository that has the subject.
        artifact: what refers to it.

    Raises: StoreError.
    """
    (added,) = attach_all(store, [artifact])
    return added


def attach_all(store: RegistryStore, artifacts: Sequence[Artifact]) -> list[Referrer]:
    """Push artifacts that have the same subject, side by side. Args, raises: as `attach`."""
    subjects = {artifact.subject for artifact in artifacts}
    assert len(subjects) == 1
    (subject,) = subjects
    assert subject
    pushed = map_in_order(lambda artifact: push(store, artifact, _keeping_tag(store, artifact)), artifacts)
    added = [
        # Without an artifact type, the type of the configuration stands for it ("Listing Referrers").
        Referrer(descriptor, artifact.artifact_type or artifact.config.media_type, artifact.annotations)
        for descriptor, artifact in zip(pushed, artifacts, strict=True)
    ]
    if from_api(store, subject.digest) is None:
        _add_to_fallback(store, subject.digest, added)
    return added


def _keeping_tag(store: RegistryStore, artifact: Artifact) -> str:
    """Return the tag that keeps an artifact in a registry which may delete what has none; empty for any other one.

    Each artifact has its own: an index of all of them would have to be replaced, where tags may be immutable.
    """
    if not artifact.subject or not store.deletes_untagged:
        return ""
    return f"{fallback_tag(artifact.subject.digest)}.{artifact.descriptor.hex[:12]}"


def referrers(store: RegistryStore, digest: str, artifact_type: str = "") -> list[Referrer]:
    """Return the referrers of an image.

    Args:
        store: the repository that has the image.
        digest: the digest of its manifest or index.
        artifact_type: the only artifact type to return; empty for all.

    Raises: StoreError.
    """
    found = from_api(store, digest)
    if found is None:
        found = _from_fallback(store, digest)
    return [one for one in found if not artifact_type or one.artifact_type == artifact_type]


def subject_of(tag: str) -> str:
    """Return the digest of the image that a tag is beside; empty for any other tag.

    Such tags are made by `fallback_tag`, by `_keeping_tag`, and by cosign, whose end with .sig, .att or .sbom.
    """
    found = _SIDE_TAG.fullmatch(tag)
    return f"sha256:{found[1]}" if found else ""


def fallback_tag(digest: str) -> str:
    """Return the tag of the index of an image's referrers, in registries without the API."""
    return digest.replace(":", "-", 1)


def from_api(store: RegistryStore, digest: str) -> list[Referrer] | None:
    """Return the referrers of an image by the registry's API; None when it has none. Raises StoreError."""
    if store.has_referrers is False:
        return None
    doing, path = f"List the referrers of {digest} in {store.repository}", f"/v2/{store.client.path}/referrers/{digest}"
    try:
        documents = list(pages(store.client, doing, path))
    except StoreError as error:
        # What is no JSON is the page that a web server has for all paths that it does not know.
        if not isinstance(error, NotJSONError) and not (isinstance(error, RegistryError) and error.status in _NO_API):
            raise
        store.has_referrers = False
        return None
    return [one for document in documents for one in listed(document)]


def _from_fallback(store: RegistryStore, digest: str) -> list[Referrer]:
    found = store.find(fallback_tag(digest))
    if found and found[0].digest == digest:
        return []  # `cosign copy` gives this tag to the image itself, and an index lists its images
    try:
        return listed(parse_json(found[1])) if found else []
    except ValueError:
        return []


def listed(index: Any) -> list[Referrer]:
    """Return the referrers in an index; entries that are no descriptors are skipped: anyone may write them."""
    found = []
    entries = index.get("manifests") if isinstance(index, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        try:
            descriptor = Descriptor.from_dict(entry)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        given = entry.get("annotations")
        items = given.items() if isinstance(given, dict) else ()
        texts = {str(key): value for key, value in items if isinstance(value, str)}
        found.append(Referrer(descriptor, str(entry.get("artifactType") or ""), texts))
    return found


def _add_to_fallback(store: RegistryStore, digest: str, referrers: Iterable[Referrer]) -> None:
    """Add referrers to the index of an image.

    The last client to write the index wins. So one that there was already is read back once another client that has
    read it before must have written it, and is written again if that has undone the change.
    A registry refuses an index of what it does not have any more: what others have deleted is left out then.

    Raises: StoreError, also when others keep undoing it.
    """
    added = {one.descriptor.digest: one for one in referrers}
    for _ in range(_ATTEMPTS):
        began = time.monotonic()
        there = {one.descriptor.digest: one for one in _from_fallback(store, digest)}
        if added.keys() <= there.keys():
            return
        wanted = list({**there, **added}.values())
        try:
            _put_fallback(store, digest, wanted)
        except RegistryError:
            left = [one for one in wanted if store.exists(one.descriptor)]
            if len(left) == len(wanted):
                raise
            _put_fallback(store, digest, left)
        if there:  # to an image without any, only its publisher attaches: it would take a twentieth of a publish
            # Random, so that two clients do not undo each other's changes again and again.
            time.sleep(random.uniform(*_PAUSE) * (time.monotonic() - began))
    raise StoreError(
        f"List the referrers of {digest} in {store.repository}",
        "other clients keep writing the same index",
        "Try again when they have finished.",
    )


def _put_fallback(store: RegistryStore, digest: str, listed: Iterable[Referrer]) -> None:
    content = _index_of(listed)
    store.write_tagged(Descriptor.of(INDEX, content), content, fallback_tag(digest))


def _index_of(listed: Iterable[Referrer]) -> bytes:
    manifests = [
        {
            **one.descriptor.to_dict(),
            **({"artifactType": one.artifact_type} if one.artifact_type else {}),
            **({"annotations": dict(one.annotations)} if one.annotations else {}),
        }
        for one in listed
    ]
    return to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
