"""Sigstore's bundles as cosign keeps them, in the real distribution registry; read here by cosign's own description."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from bentoship.errors import RegistryError, VerifyError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, listed
from bentoship.stores.graph import read_manifest
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.versions.evidence import bundles
from bentoship.versions.evidence.keyless import Identity, Verifier, signer, verifier
from bentoship.versions.evidence.statement import encoded
from tests.support.images import put_image
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore

ENTRIES = "/api/v1/log/entries"


@pytest.fixture
def job(services: Sigstore) -> Verifier:
    """Checks what the job has signed whose token is in the environment."""
    return verifier(Identity(WORKFLOW, GITHUB), services.trust())


def told(image: Descriptor, text: str, commit: str = "a") -> bytes:
    """A provenance, whose source is a commit."""
    source = {"name": "source", "digest": {"gitCommit": commit}}
    content = {"buildDefinition": {"resolvedDependencies": [source]}, "text": text}
    return encoded({"echo": image}, keys.PROVENANCE, content)


def attached(store: RegistryStore, image: Descriptor) -> list[dict[str, Any]]:
    """The manifests of bundles that the index lists which stands in for the referrers API, with their entries there."""
    _, index = store.read(f"sha256-{image.hex}")
    found = []
    for entry in json.loads(index)["manifests"]:
        manifest = json.loads(read_manifest(store, Descriptor.from_dict(entry)))
        assert (entry["artifactType"], entry["annotations"]) == (manifest["artifactType"], manifest["annotations"])
        found.append(manifest)
    return found


def test_an_image_is_signed_as_cosign_does(store: RegistryStore, services: Sigstore) -> None:
    """The artifact and its annotations (BUNDLE_SPEC.md), and the statement; checked without any code of ours."""
    image = put_image(store)
    assert bundles.sign(store, store.repository, image, signer(services.trust()))
    (manifest,) = attached(store, image)
    kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert (manifest["artifactType"], manifest["subject"]["digest"]) == (kind, image.digest)
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    made = manifest["annotations"].pop("org.opencontainers.image.created")
    assert datetime.fromisoformat(made).tzinfo
    assert manifest["annotations"] == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
    }
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == kind
    document = json.loads(read_manifest(store, Descriptor.from_dict(layer)))
    assert document["mediaType"] == kind
    assert json.loads(base64.b64decode(document["dsseEnvelope"]["payload"])) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": store.repository, "digest": {"sha256": image.hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


def test_a_signature_is_checked(store: RegistryStore, services: Sigstore, job: Verifier) -> None:
    """It counts what else the identity has signed."""
    image, made = put_image(store), signer(services.trust())
    bundles.sign(store, store.repository, image, made)
    assert bundles.check(store, image, job) == 0
    assert bundles.attest(store, image, [told(image, "one"), told(image, "two", "b")], made) == 2
    assert bundles.check(store, image, job) == 2
    kinds = [one["annotations"]["dev.sigstore.bundle.predicateType"] for one in attached(store, image)]
    assert sorted(kinds) == ["https://sigstore.dev/cosign/sign/v1", *["https://slsa.dev/provenance/v1"] * 2]


def test_an_unsigned_image_is_refused(store: RegistryStore, services: Sigstore, job: Verifier) -> None:
    """The error says so, and what to do; a signed statement is no signature of the image."""
    image = put_image(store)
    with pytest.raises(VerifyError, match="it has no keyless signature") as raised:
        bundles.check(store, image, job)
    assert "SIGNING=keyless" in raised.value.hint
    bundles.attest(store, image, [told(image, "one")], signer(services.trust()))
    with pytest.raises(VerifyError, match=r"none of its signatures \(1\) was made for this image by"):
        bundles.check(store, image, job)


def test_a_signature_in_another_layout_is_named(store: RegistryStore, job: Verifier) -> None:
    """An image that cosign 2 has signed is not said to have no signature."""
    image = put_image(store)
    tag = f"sha256-{image.hex}.sig"
    store.tag(image, tag)
    with pytest.raises(VerifyError, match=f"that can be checked here: what is under {tag} is for `cosign verify`"):
        bundles.check(store, image, job)


def test_an_image_that_another_has_signed_is_refused(
    store: RegistryStore, services: Sigstore, job: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says who has signed it, and who should have; once the job signs it, too, it is right."""
    image = put_image(store)
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", services.authority.token(email="mallory@example.com"))
    bundles.sign(store, store.repository, image, signer(services.trust()))
    with pytest.raises(VerifyError, match=r"none of its signatures \(1\) was made for this image by") as raised:
        bundles.check(store, image, job)
    assert "mallory@example.com" in raised.value.why
    assert f"{WORKFLOW} ({GITHUB})" in raised.value.why
    assert "do not run it" in raised.value.hint
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", services.authority.token())
    assert bundles.sign(store, store.repository, image, signer(services.trust()))
    assert bundles.check(store, image, job) == 0


def test_nothing_is_kept_twice(
    store: RegistryStore, services: Sigstore, job: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each identity signs an image once, and a source once, in whichever run; the log gets one more entry for a run."""
    image = put_image(store)
    for again in (False, True):
        made = signer(services.trust())
        assert bundles.sign(store, store.repository, image, made) == (not again)
        assert bundles.attest(store, image, [told(image, "again" if again else "one")], made) == (not again)
    assert services.asked.count(ENTRIES) == 3
    assert bundles.attest(store, image, [told(image, "new", "b")], made) == 1
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", services.authority.token(email="ada@example.com"))
    assert bundles.sign(store, store.repository, image, signer(services.trust()))
    found, _ = bundles.opened(store, image, job.statement)
    assert sorted(one["predicate"].get("text", "") for one in found) == ["", "new", "one"]


def test_a_statement_on_another_image_does_not_count(store: RegistryStore, services: Sigstore, job: Verifier) -> None:
    """It may have been copied from there."""
    image, other = put_image(store), put_image(store, seed=7)
    bundle = signer(services.trust()).sign(encoded({"echo": other}, bundles.SIGNATURE, {}))
    attach(store, Artifact(bundles.BUNDLE, [Blob(bundles.BUNDLE, bundle)], subject=image))
    with pytest.raises(VerifyError, match="it is of another image"):
        bundles.check(store, image, job)


STRANGE: dict[str, list[Blob]] = {
    "no blob": [],
    "two blobs": [Blob(bundles.BUNDLE, b"{}"), Blob(bundles.BUNDLE, b"[]")],
    "no document": [Blob(bundles.BUNDLE, b"{")],
    "no bundle": [Blob(bundles.BUNDLE, b"{}")],
    "deep": [Blob(bundles.BUNDLE, b"[" * 100_000)],
}


@pytest.mark.parametrize("how", STRANGE)
def test_what_is_no_bundle_does_not_count(how: str, store: RegistryStore, services: Sigstore, job: Verifier) -> None:
    """And stays where it is; a good one beside it counts."""
    image = put_image(store)
    attach(store, Artifact(bundles.BUNDLE, STRANGE[how], subject=image))
    with pytest.raises(VerifyError, match=r"none of its signatures \(1\)"):
        bundles.check(store, image, job)
    bundles.sign(store, store.repository, image, signer(services.trust()))
    assert bundles.check(store, image, job) == 0
    _, index = store.read(f"sha256-{image.hex}")
    assert len(listed(json.loads(index))) == 2


def test_a_bundle_that_is_too_large_does_not_count(
    store: RegistryStore, services: Sigstore, job: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who may push can attach it."""
    image = put_image(store)
    attach(store, Artifact(bundles.BUNDLE, [Blob(bundles.BUNDLE, b"0" * 100_001)], subject=image))
    monkeypatch.setattr("bentoship.versions.evidence.reading._MAX", 100_000)
    bundles.sign(store, store.repository, image, signer(services.trust()))
    assert bundles.check(store, image, job) == 0


def test_a_bundle_that_is_gone_does_not_count(store: RegistryStore, services: Sigstore, job: Verifier) -> None:
    """It is only listed."""
    image = put_image(store)
    bundles.sign(store, store.repository, image, signer(services.trust()))
    store.delete(attach(store, Artifact(bundles.BUNDLE, [], subject=image)).descriptor.digest)
    assert bundles.check(store, image, job) == 0


def test_a_service_that_fails_for_a_moment_is_asked_again(
    store: RegistryStore, repository: ImageReference, services: Sigstore
) -> None:
    """As long as the patience for a registry lasts; then its words are the error."""
    image, made = put_image(store), signer(services.trust())
    services.failing[ENTRIES] = 503, b'{"code": 503, "message": "overloaded"}'
    with pytest.raises(RegistryError, match="overloaded"):
        bundles.sign(store, store.repository, image, made)
    assert services.asked.count(ENTRIES) == 1
    patient = RegistryStore(repository, push=True, session=Session(patience=30.0))
    services.passing.add(ENTRIES)
    assert bundles.sign(patient, store.repository, image, made)
