"""Signatures and signed statements of images by a key, where and as cosign keeps them.

They are written as every version of cosign reads them. Those in bundles, as cosign 3 makes them, are read, too.

Sources: github.com/sigstore/cosign, specs/SIGNATURE_SPEC.md and specs/ATTESTATION_SPEC.md; for envelopes,
github.com/secure-systems-lab/dsse.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bentoship.errors import VerifyError
from bentoship.image.artifact import Artifact, Blob, Linked
from bentoship.image.descriptor import CONFIG, Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.image.keys import STATEMENT_TYPE
from bentoship.stores.artifacts import fallback_tag, push
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import map_in_order
from bentoship.versions.evidence import bundles
from bentoship.versions.evidence.reading import content_if_readable
from bentoship.versions.evidence.signing import Signer, Verifier
from bentoship.versions.evidence.statement import encoded, identity, subjects

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
CYCLONEDX = "https://cyclonedx.org/bom"
"""The predicate of a statement with an SBOM, as `cosign attest --type cyclonedx` has it."""

_SIGNATURE = "dev.cosignproject.cosign/signature"
_PREDICATE = "predicateType"
_TYPE = "cosign container image signature"
_ZERO = "0001-01-01T00:00:00Z"
"""The time in configurations that cosign writes: Go's for none."""

_KEY_SETTINGS = "SIGNING_PUBLIC_KEY or SIGNING_KEY"
_MOST = 1000
"""How many signatures of an image are looked at."""


def sign(store: RegistryStore, name: str, image: Descriptor, signer: Signer) -> bool:
    """Sign an image, unless the key has signed it already.

    Args:
        store: the repository that has it.
        name: the repository's host and path.
        image: its manifest or index.
        signer: has the key.

    Returns: whether it has been signed now. Raises StoreError.
    """
    there = _kept(store, image, ".sig")
    if any(_is_of(blob, image, signer.verifier) for blob in _blobs(store, image, there, SIMPLE_SIGNING)):
        return False
    payload = {
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": image.digest},
            "type": _TYPE,
        },
        "optional": None,
    }
    content = to_json(payload)
    signature = base64.b64encode(signer.sign(content)).decode()
    _push(store, image, ".sig", [Blob(SIMPLE_SIGNING, content, {_SIGNATURE: signature})], there)
    return True


def check(store: RegistryStore, image: Descriptor, verifier: Verifier) -> int:
    """Check that the key has signed an image. Returns: how many statements on it the key has signed.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        verifier: has the key.

    Raises: VerifyError when it is not signed, or not by the key; StoreError.
    """
    doing = f"Check the signature of {image.digest}"
    listed = _kept(store, image, ".sig")
    there = [_is_of(blob, image, verifier) for blob in _blobs(store, image, listed, SIMPLE_SIGNING)]
    found, refused = bundles.opened(store, image, functools.partial(_bundled, verifier=verifier))
    others = [one for one in found if one.get("predicateType") != bundles.SIGNATURE]
    if not there and not found and not refused:
        hint = "Publish it with SIGNING_KEY, or sign it with cosign; without SIGNING_PUBLIC_KEY it is not checked."
        raise VerifyError(doing, f"it has no signature in {store.repository}", hint)
    if len(others) == len(found) and not any(there):
        count = len(there) + len(found) + len(refused)
        why = f"none of its signatures ({count}) was made for this image by the key of {_KEY_SETTINGS}"
        raise VerifyError(doing, why, "Somebody else has signed it, or it was changed: do not run it.")
    return len(statements(store, image, verifier)) + len(others)


def statements(store: RegistryStore, image: Descriptor, verifier: Verifier) -> list[Mapping[str, Any]]:
    """Return the statements on an image in envelopes that the key has signed. Args, raises: as `check`."""
    return _signed(_blobs(store, image, _kept(store, image, ".att"), ENVELOPE), image, verifier)


def attest(store: RegistryStore, image: Descriptor, contents: Sequence[bytes], signer: Signer) -> None:
    """Add signed statements to those of an image, apart from what the key has said of it already.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        contents: in-toto statements, made here: what others have put into the registry is not signed.
        signer: has the key.

    Raises: StoreError.
    """
    there = _kept(store, image, ".att")
    said = [identity(one) for one in _signed(_blobs(store, image, there, ENVELOPE), image, signer.verifier)]
    new = [content for content in contents if identity(parse_json(content)) not in said]
    if new:
        kinds = [{_SIGNATURE: "", _PREDICATE: parse_json(content)["predicateType"]} for content in new]
        added = [Blob(ENVELOPE, _enveloped(one, signer), kind) for one, kind in zip(new, kinds, strict=True)]
        _push(store, image, ".att", added, there)


def statement_of(document: Artifact) -> bytes:
    """Return what is signed for a document that refers to an image: a statement as it is, an SBOM in a statement."""
    (blob,) = document.blobs
    if document.artifact_type == STATEMENT_TYPE:
        return blob.content
    assert document.subject
    about = {document.subject.digest: document.subject}
    return encoded(about, CYCLONEDX, parse_json(blob.content))


def tag_of(digest: str, suffix: str) -> str:
    """Return the tag of what cosign keeps for an image. Args: digest: of the image; suffix: ".sig" or ".att"."""
    return f"{fallback_tag(digest)}{suffix}"


def pae(content: bytes, kind: str = STATEMENT_TYPE) -> bytes:
    """Return the bytes that an envelope's signature is made over (DSSE, protocol.md, "Signature Definition")."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(content), content)


def _signed(envelopes: Iterable[Blob], image: Descriptor, verifier: Verifier) -> list[Mapping[str, Any]]:
    found = []
    for blob in envelopes:
        with suppress(ValueError):
            found.append(parse_json(_opened(parse_json(blob.content), verifier)))
    return [one for one in found if isinstance(one, dict) and image.hex in subjects(one)]


def _enveloped(content: bytes, signer: Signer) -> bytes:
    signature = base64.b64encode(signer.sign(pae(content))).decode()
    payload = base64.b64encode(content).decode()
    return to_json({"payloadType": STATEMENT_TYPE, "payload": payload, "signatures": [{"keyid": "", "sig": signature}]})


def _bundled(bundle: bytes, verifier: Verifier) -> bytes:
    """Return the statement of a bundle. Raises ValueError when the key has not signed it."""
    document = parse_json(bundle)
    return _opened(document.get("dsseEnvelope") if isinstance(document, dict) else None, verifier)


def _opened(envelope: Any, verifier: Verifier) -> bytes:
    """Return the statement of an envelope. Raises ValueError when the key has not signed it."""
    try:
        content, kind = base64.b64decode(envelope["payload"]), str(envelope["payloadType"])
        signatures = [base64.b64decode(one["sig"]) for one in envelope["signatures"]]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("it has no envelope") from error
    if kind != STATEMENT_TYPE or not any(verifier.has_signed(pae(content), one) for one in signatures):
        raise ValueError("another key has signed it")
    return content


def _is_of(blob: Blob, image: Descriptor, verifier: Verifier) -> bool:
    """Return whether the key has signed an image by a payload of cosign's."""
    try:
        critical = parse_json(blob.content)["critical"]
        is_meant = (critical["type"], critical["image"]["docker-manifest-digest"]) == (_TYPE, image.digest)
        signature = base64.b64decode(blob.annotations[_SIGNATURE])
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    return is_meant and verifier.has_signed(blob.content, signature)


def _kept(store: RegistryStore, image: Descriptor, suffix: str) -> list[Linked]:
    """Return what is listed under a tag that cosign keeps for an image; nothing if there is no such tag."""
    kept, found = store.find(tag_of(image.digest, suffix)), []
    for entry in _entries(kept[1]) if kept else ():
        try:
            texts = {str(key): str(value) for key, value in (entry.get("annotations") or {}).items()}
            found.append(Linked(Descriptor.from_dict(entry), texts))
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def _blobs(store: RegistryStore, image: Descriptor, listed: Iterable[Linked], kind: str) -> Iterator[Blob]:
    """Yield the newest blobs of a kind that are listed. One that cannot be read is empty: anyone may have put it there.

    All of it together may be too large for memory.
    """
    wanted = [one for one in listed if one.descriptor.media_type == kind][-_MOST:]
    doing = f"Read the signatures of {image.digest}"
    contents = map_in_order(lambda one: content_if_readable(store, doing, one.descriptor), wanted, jobs=4)
    for one, content in zip(wanted, contents, strict=True):
        yield Blob(kind, content, one.annotations)


def _entries(manifest: bytes) -> list[Any]:
    layers = parse_json(manifest).get("layers")
    return layers if isinstance(layers, list) else []


def _push(store: RegistryStore, image: Descriptor, suffix: str, added: Sequence[Blob], there: Sequence[Linked]) -> None:
    """Push what cosign keeps for an image. Args: added: what is new; there: what is listed already, which all stays."""
    for blob in added:
        store.write_bytes(blob.descriptor, blob.content)
    every = [*there, *(Linked(blob.descriptor, blob.annotations) for blob in added)]
    config = {
        "architecture": "",
        "created": _ZERO,
        "history": [{"created": _ZERO} for _ in every],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [one.descriptor.digest for one in every]},
        "config": {},
    }
    push(store, Artifact("", config=Blob(CONFIG, to_json(config)), linked=every), tag_of(image.digest, suffix))
