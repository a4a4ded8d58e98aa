"""Signed statements as Sigstore's bundles, each an artifact that refers to an image, where and as cosign 3 keeps them.

An image's signature is a statement as well, which says nothing but whose digest it is.

Sources: github.com/sigstore/cosign, specs/BUNDLE_SPEC.md, and cmd/cosign/cli/sign/sign.go for the statement.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bentoship.errors import RegistryError, VerifyError
from bentoship.image import keys
from bentoship.image.artifact import EMPTY, Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.image.document import parse_json
from bentoship.stores.artifacts import Referrer, attach_all, fallback_tag, referrers
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import map_in_order
from bentoship.versions.evidence.keyless import Signer, Verifier
from bentoship.versions.evidence.reading import content_if_readable
from bentoship.versions.evidence.statement import encoded, identity, subjects
from bentoship.versions.times import rfc3339

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate of an image's signature."""

_KIND = "application/vnd.dev.sigstore.bundle"
"""How the types of all bundles begin."""

_CONTENT, _PREDICATE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
_MOST = 1000
"""How many bundles of an image are looked at."""

_REASONS = 3
"""How many of them an error says what is wrong with."""


Opener = Callable[[bytes], bytes]
"""Returns the statement of a bundle. Raises ValueError, with why, when it is not signed as it has to be."""


def sign(store: RegistryStore, name: str, image: Descriptor, signer: Signer) -> bool:
    """Sign an image, unless the same identity has signed it already.

    Args:
        store: the repository that has it.
        name: the repository's host and path.
        image: its manifest or index.
        signer: has the identity.

    Returns: whether a signature was added. Raises StoreError.
    """
    return bool(attest(store, image, [encoded({name: image}, SIGNATURE, {})], signer))


def attest(store: RegistryStore, image: Descriptor, contents: Sequence[bytes], signer: Signer) -> int:
    """Add signed statements to those of an image, apart from what the same identity has said of it already.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        contents: in-toto statements, made here: what others have put into the registry is not signed.
        signer: has the identity.

    Returns: how many were added. Raises StoreError.
    """
    said = _said(store, image, signer.verifier) if signer.verifier else None
    added = []
    for content in contents:
        statement = parse_json(content)
        if said is not None and identity(statement) in said:
            continue
        bundle = store.client.http.persist(functools.partial(signer.sign, content))
        if said is None:
            assert signer.verifier
            said = _said(store, image, signer.verifier)
            if identity(statement) in said:
                continue  # only the certificate of this signature has said whose it is
        added.append(_artifact(image, bundle, statement["predicateType"]))
    if added:
        attach_all(store, added)
    return len(added)


def check(store: RegistryStore, image: Descriptor, verifier: Verifier) -> int:
    """Check that an identity has signed an image. Returns: how many statements on it the identity has signed besides.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        verifier: has the identity.

    Raises: VerifyError when it is not signed, or not by the identity; StoreError.
    """
    doing = f"Check the signature of {image.digest}"
    found, refused = opened(store, image, verifier.statement)
    if not found and not refused:
        hint = "Publish it with SIGNING=keyless, or sign it with cosign 3; without SIGNING_IDENTITY it is not checked."
        why = f"it has no keyless signature in {store.repository}"
        if store.digest_of(tag := f"{fallback_tag(image.digest)}.sig") is not None:
            why += f" that can be checked here: what is under {tag} is for `cosign verify`"
        raise VerifyError(doing, why, hint)
    others = [one for one in found if one.get("predicateType") != SIGNATURE]
    if len(others) == len(found):
        reasons = "".join(f"; {one}" for one in list(dict.fromkeys(refused))[:_REASONS])
        count = len(found) + len(refused)
        why = f"none of its signatures ({count}) was made for this image by {verifier.identity}{reasons}"
        hint = "If SIGNING_IDENTITY and SIGNING_ISSUER are right, somebody else has signed it: do not run it."
        raise VerifyError(doing, why, hint)
    return len(others)


def opened(store: RegistryStore, image: Descriptor, opener: Opener) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the statements on an image that somebody has signed, its signature among them.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        opener: checks who has signed.

    Returns: the statements, and what is wrong with each of the other bundles. Raises StoreError.
    """
    found: list[Mapping[str, Any]] = []
    refused = []
    for bundle in _bundles(store, image):
        try:
            statement = parse_json(opener(bundle))
        except ValueError as error:
            refused.append(str(error))
            continue
        if isinstance(statement, dict) and image.hex in subjects(statement):
            found.append(statement)
        else:
            refused.append("it is of another image")
    return found, refused


def is_there(store: RegistryStore, digest: str) -> bool:
    """Return whether an image has a bundle by anyone. Raises StoreError."""
    return any(one.artifact_type.startswith(_KIND) for one in referrers(store, digest))


def _said(store: RegistryStore, image: Descriptor, verifier: Verifier) -> list[object]:
    return [identity(one) for one in opened(store, image, verifier.statement)[0]]


def _bundles(store: RegistryStore, image: Descriptor) -> Iterator[bytes]:
    """Yield what may be bundles on an image. All of them together may be too large for memory."""
    # In an index that stands in for the referrers API, cosign lists them by the type of their configuration.
    found = [one for one in referrers(store, image.digest) if one.artifact_type.startswith((_KIND, EMPTY))]
    contents = map_in_order(lambda one: _content(store, image, one), found[:_MOST], jobs=4)
    yield from (content for content in contents if content is not None)


def _content(store: RegistryStore, image: Descriptor, one: Referrer) -> bytes | None:
    """Return the bundle of an artifact; None where it is something else, empty where it is damaged."""
    try:
        _, manifest = store.read(one.descriptor.digest)
        document = parse_json(manifest)
        if not document["artifactType"].startswith(_KIND):
            return None
        (layer,) = document["layers"]
        blob = Descriptor.from_dict(layer)
    except RegistryError as error:
        if error.status == 404:
            return b""
        raise
    except (ValueError, LookupError, TypeError, AttributeError):
        return b""
    return content_if_readable(store, f"Read the signatures of {image.digest}", blob)


def _artifact(image: Descriptor, bundle: bytes, predicate: str) -> Artifact:
    annotations = {
        _CONTENT: "dsse-envelope",
        _PREDICATE: predicate,
        keys.CREATED: rfc3339(datetime.now(UTC)),
    }
    return Artifact(BUNDLE, [Blob(BUNDLE, bundle)], annotations, image)
