"""Signatures as cosign keeps them, in the real distribution registry; read here by cosign's own description."""

from __future__ import annotations

import base64
import hashlib
import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from securesystemslib.dsse import Envelope
from securesystemslib.signer._key import SSlibKey

from bentoship.errors import VerifyError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.stores.artifacts import push
from bentoship.stores.graph import read_manifest
from bentoship.stores.registry import RegistryStore
from bentoship.versions.evidence import cosign
from bentoship.versions.evidence.signing import Signer
from bentoship.versions.evidence.statement import Result, encoded, test_result
from tests.support.images import put_image

test_result.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
NOW = datetime(2026, 11, 27, tzinfo=UTC)


def manifest_of(store: RegistryStore, image: Descriptor, suffix: str) -> Any:
    """The manifest under the tag that cosign makes of an image's digest."""
    _, content = store.read(f"sha256-{image.hex}.{suffix}")
    return json.loads(content)


def blob_of(store: RegistryStore, entry: Any) -> bytes:
    """The content that a manifest names."""
    return read_manifest(store, Descriptor.from_dict(entry))


def provenance_of(image: Descriptor, text: str, commit: str = "a") -> bytes:
    """A provenance, whose source is a commit."""
    source = {"name": "source", "digest": {"gitCommit": commit}}
    content = {"buildDefinition": {"resolvedDependencies": [source]}, "text": text}
    return encoded({"echo": image}, keys.PROVENANCE, content)


def test_an_image_is_signed_as_cosign_does(store: RegistryStore) -> None:
    """The tag, the types, the payload and the signature (SIGNATURE_SPEC.md), checked without any code of ours."""
    image = put_image(store)
    assert cosign.sign(store, store.repository, image, Signer(KEY))
    manifest = manifest_of(store, image, "sig")
    assert "artifactType" not in manifest
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = blob_of(store, layer)
    assert json.loads(payload) == {
        "critical": {
            "identity": {"docker-reference": store.repository},
            "image": {"docker-manifest-digest": image.digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    KEY.public_key().verify(signature, payload, ec.ECDSA(SHA256()))
    config = json.loads(blob_of(store, manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(payload).hexdigest()}"]


def test_a_statement_is_signed_as_cosign_does(store: RegistryStore) -> None:
    """An envelope that another implementation of DSSE accepts, and its predicate where cosign looks for it."""
    image = put_image(store)
    cosign.attest(store, image, [provenance_of(image, "one")], Signer(KEY))
    (layer,) = manifest_of(store, image, "att")["layers"]
    assert layer["mediaType"] == "application/vnd.dsse.envelope.v1+json"
    assert layer["annotations"] == {
        "dev.cosignproject.cosign/signature": "",
        "predicateType": "https://slsa.dev/provenance/v1",
    }
    envelope = json.loads(blob_of(store, layer))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    key = SSlibKey.from_crypto(KEY.public_key())
    parsed = Envelope.from_dict({**envelope, "signatures": [{**envelope["signatures"][0], "keyid": key.keyid}]})
    assert parsed.verify([key], 1)
    assert parsed.payload == provenance_of(image, "one")
    assert parsed.pae() == cosign.pae(parsed.payload)


def test_a_signature_is_checked(store: RegistryStore) -> None:
    """It counts what else the key has signed."""
    image = put_image(store)
    cosign.sign(store, store.repository, image, Signer(KEY))
    assert cosign.check(store, image, Signer(KEY).verifier) == 0
    cosign.attest(store, image, [provenance_of(image, "one")], Signer(KEY))
    cosign.attest(store, image, [provenance_of(image, "other", "b")], Signer(OTHER))
    assert cosign.check(store, image, Signer(KEY).verifier) == 1


def test_an_unsigned_image_is_refused(store: RegistryStore) -> None:
    """The error says so, and what to do."""
    with pytest.raises(VerifyError, match="it has no signature") as raised:
        cosign.check(store, put_image(store), Signer(KEY).verifier)
    assert "SIGNING_KEY" in raised.value.hint


def test_only_a_few_signatures_are_in_memory_at_a_time(store: RegistryStore) -> None:
    """A stranger may have listed a large blob a thousand times."""
    image, blob = put_image(store), Blob(cosign.SIMPLE_SIGNING, b"x" * 2_000_000)
    push(store, Artifact("", [blob] * 30), cosign.tag_of(image.digest, ".sig"))
    tracemalloc.start()
    try:
        with pytest.raises(VerifyError, match=r"none of its signatures \(30\)"):
            cosign.check(store, image, Signer(KEY).verifier)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def forged(image: Descriptor, store: RegistryStore) -> dict[str, Blob]:
    """Payloads and signatures that do not fit each other, or not the image."""

    def blob(payload: Any, signature: bytes | str, media_type: str = cosign.SIMPLE_SIGNING) -> Blob:
        text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
        content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return Blob(media_type, content, {"dev.cosignproject.cosign/signature": text})

    def payload(digest: str, kind: str = "cosign container image signature") -> Any:
        return {"critical": {"image": {"docker-manifest-digest": digest}, "type": kind}}

    def signed(content: Any, signer: Signer) -> bytes:
        return signer.sign(json.dumps(content).encode())

    own, good = payload(image.digest), Signer(KEY)
    another = payload(f"sha256:{'0' * 64}")
    return {
        "by another key": blob(own, signed(own, Signer(OTHER))),
        "of another image": blob(another, signed(another, good)),
        "of another kind": blob(payload(image.digest, "x"), signed(payload(image.digest, "x"), good)),
        "of another payload": blob(own, signed(another, good)),
        "no base64": blob(own, "%"),
        "no document": blob(b"{", good.sign(b"{")),
        "no object": blob([], signed([], good)),
        "deep": blob(b"[" * 100_000, good.sign(b"[" * 100_000)),
    }


@pytest.mark.parametrize("how", forged(Descriptor("", f"sha256:{'1' * 64}", 1), None))  # type: ignore[arg-type]
def test_a_forged_signature_is_refused(how: str, store: RegistryStore) -> None:
    """Whatever is wrong with it; a good one beside it counts, and both are kept."""
    image = put_image(store)
    push(store, Artifact("", [forged(image, store)[how]]), f"sha256-{image.hex}.sig")
    with pytest.raises(VerifyError, match=r"none of its signatures \(1\) was made for this image by the key"):
        cosign.check(store, image, Signer(KEY).verifier)
    assert cosign.sign(store, store.repository, image, Signer(KEY))
    cosign.check(store, image, Signer(KEY).verifier)
    assert len(manifest_of(store, image, "sig")["layers"]) == 2


def test_nothing_is_signed_twice(store: RegistryStore) -> None:
    """Each key signs an image once, and a source once; a result that is another is signed, too."""
    image = put_image(store)
    for key in (KEY, OTHER, KEY):
        cosign.sign(store, store.repository, image, Signer(key))
    assert len(manifest_of(store, image, "sig")["layers"]) == 2
    works, fails = (test_result({"echo": image}, Result(one), made=NOW).blobs[0].content for one in (True, False))
    for contents in (
        [provenance_of(image, "one"), works],
        [provenance_of(image, "again"), fails],
        [provenance_of(image, "new", "b")],
    ):
        cosign.attest(store, image, contents, Signer(KEY))
    found = cosign.statements(store, image, Signer(KEY).verifier)
    assert [one["predicate"].get("text") or one["predicate"]["result"] for one in found] == [
        "one",
        "PASSED",
        "FAILED",
        "new",
    ]


def test_a_statement_on_another_image_does_not_count(store: RegistryStore) -> None:
    """It may have been copied from there."""
    image, other = put_image(store), put_image(store, seed=7)
    cosign.attest(store, image, [provenance_of(other, "one")], Signer(KEY))
    assert cosign.statements(store, image, Signer(KEY).verifier) == []


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"payload": 1, "payloadType": "", "signatures": []}', b'{"payload": "e30="}']
)
def test_what_is_no_envelope_does_not_count(content: bytes, store: RegistryStore) -> None:
    """And stays where it is."""
    image = put_image(store)
    push(store, Artifact("", [Blob(cosign.ENVELOPE, content)]), f"sha256-{image.hex}.att")
    assert cosign.statements(store, image, Signer(KEY).verifier) == []
    cosign.attest(store, image, [provenance_of(image, "one")], Signer(KEY))
    assert len(cosign.statements(store, image, Signer(KEY).verifier)) == 1
    assert len(manifest_of(store, image, "att")["layers"]) == 2


def test_whatever_else_is_kept_for_an_image_stays(store: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures that are too large to read, or of another kind, are in nobody's way."""
    monkeypatch.setattr("bentoship.versions.evidence.reading._MAX", 10_000)
    image = put_image(store)
    there = [Blob(cosign.SIMPLE_SIGNING, b"0" * 10_001, {"a": "b"}), Blob("application/vnd.example", b"other")]
    push(store, Artifact("", there), f"sha256-{image.hex}.sig")
    before = manifest_of(store, image, "sig")["layers"]
    with pytest.raises(VerifyError, match="none of its signatures"):
        cosign.check(store, image, Signer(KEY).verifier)
    assert cosign.sign(store, store.repository, image, Signer(KEY))
    assert cosign.check(store, image, Signer(KEY).verifier) == 0
    after = manifest_of(store, image, "sig")
    assert after["layers"][:-1] == before
    diff_ids = json.loads(blob_of(store, after["config"]))["rootfs"]["diff_ids"]
    assert diff_ids == [one["digest"] for one in after["layers"]]


def test_of_many_signatures_the_newest_are_read(store: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's own is the last, and nobody's is lost."""
    monkeypatch.setattr(cosign, "_MOST", 2)
    image = put_image(store)
    others = [Blob(cosign.SIMPLE_SIGNING, b"%d" % number) for number in range(4)]
    push(store, Artifact("", others), f"sha256-{image.hex}.sig")
    assert [cosign.sign(store, store.repository, image, Signer(KEY)) for _ in range(2)] == [True, False]
    assert cosign.check(store, image, Signer(KEY).verifier) == 0
    assert len(manifest_of(store, image, "sig")["layers"]) == 5


STRANGE = {
    "none": None,
    "no definition": {"buildDefinition": None},
    "no list": {"buildDefinition": {"resolvedDependencies": None}},
    "no dependency": {"buildDefinition": {"resolvedDependencies": ["x"]}},
    "another build": {"buildDefinition": {"buildType": "https://example.com"}},
}


@pytest.mark.parametrize("form", STRANGE)
def test_a_provenance_of_another_form_is_in_nobodys_way(form: str, store: RegistryStore) -> None:
    """The same key may have signed it, such as by `cosign attest`; ours is signed beside it, once."""
    image = put_image(store)
    other = encoded({"echo": image}, keys.PROVENANCE, STRANGE[form])  # type: ignore[arg-type]
    own = {"buildDefinition": {"buildType": "https://example.com/own"}}  # outside Git, there is no source
    content = encoded({"echo": image}, keys.PROVENANCE, own)
    for one in (other, content, content):
        cosign.attest(store, image, [one], Signer(KEY))
    assert len(cosign.statements(store, image, Signer(KEY).verifier)) == 2


def test_a_statement_may_be_about_more_than_the_image(store: RegistryStore) -> None:
    """Also about what has a digest of another kind."""
    image = put_image(store)
    subjects = [{"digest": {"gitCommit": "a"}}, None, {"digest": {"sha256": image.hex}}]
    document = {"subject": subjects, "predicateType": "https://example.com", "predicate": {}}
    cosign.attest(store, image, [json.dumps(document).encode()], Signer(KEY))
    assert len(cosign.statements(store, image, Signer(KEY).verifier)) == 1


def test_an_sbom_is_signed_in_a_statement(store: RegistryStore) -> None:
    """By the predicate that `cosign attest --type cyclonedx` gives it."""
    image = put_image(store)
    document = Artifact(keys.SBOM_TYPE, [Blob(keys.SBOM_TYPE, b'{"bomFormat":"CycloneDX"}')], subject=image)
    made = json.loads(cosign.statement_of(document))
    assert made["predicateType"] == "https://cyclonedx.org/bom"
    assert made["predicate"] == {"bomFormat": "CycloneDX"}
    assert made["subject"][0]["digest"] == {"sha256": image.hex}
