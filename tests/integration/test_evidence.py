"""What publish attaches to an image, as the registry has it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bentoship.image import keys
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import referrers
from bentoship.stores.registry import RegistryStore
from bentoship.versions.evidence import cosign
from bentoship.versions.evidence.reading import document, is_sbom, is_statement
from bentoship.versions.evidence.signing import signer
from tests.support.cache import needs_apt
from tests.support.published import Published
from tests.support.site import echo_site

pytestmark = needs_apt


def read(published: Published) -> tuple[Any, Any]:
    """The provenance and the SBOM of the published image."""
    reference = ImageReference.parse(published.reference)
    store = RegistryStore(reference)
    root = store.resolve(published.digest)
    return document(store, root, "provenance", is_statement(keys.PROVENANCE)), document(store, root, "SBOM", is_sbom)


def test_a_published_image_has_its_provenance_and_its_sbom(published: Published) -> None:
    """One of each: what it was made from, and what is in it."""
    attached = referrers(RegistryStore(ImageReference.parse(published.reference)), published.digest)
    kinds = sorted(one.artifact_type for one in attached if keys.VERIFIED not in one.annotations)
    assert kinds == [keys.SBOM_TYPE, keys.STATEMENT_TYPE]
    provenance, sbom = read(published)
    assert provenance["subject"][0]["digest"]["sha256"] == published.digest.partition(":")[2]
    materials = provenance["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"pkg:deb/debian/libc6", "model celestial_bodies_classifier_model"} <= {
        re.split("[@:](?!deb)", one.get("uri") or one["name"])[0] for one in materials
    }
    listed = {one["purl"].partition("&")[0] for one in sbom["components"] if "pkg:deb/" in one.get("purl", "")}
    assert {one["uri"] for one in materials if "pkg:deb/" in one.get("uri", "")} == listed
    names = {one["name"]: one for one in sbom["components"]}
    assert names["numpy"]["licenses"]
    assert names["libc6"]["hashes"]
    assert [one["name"] for one in names["celestial_bodies_classifier_model"]["components"]] == [
        "labels.json",
        "model.onnx",
        "model.yaml",
    ]


@pytest.mark.slow
def test_what_is_attached_is_printed(published: Published) -> None:
    """On stdout, as JSON, by digest and by tag."""
    provenance, sbom = read(published)
    for option, name, expected in (("--sbom", published.digest, sbom), ("--provenance", "latest", provenance)):
        running = published.start("versions", option, name)
        stdout, stderr = running.communicate(timeout=60)
        assert running.returncode == 0, stderr
        assert json.loads(stdout) == expected


@pytest.mark.slow
def test_publishing_again_attaches_nothing_again(published: Published) -> None:
    """Also where no record says that it was attached from here."""
    reference = ImageReference.parse(published.reference)
    before = referrers(RegistryStore(reference), published.digest)
    for record in (published.layout.parents[2] / "cache" / "bentoship" / "history" / "attested").iterdir():
        record.unlink()
    for expected in ("everything is attached already", "sent 0 B"):
        running = published.start("publish")
        _, stderr = running.communicate(timeout=120)
        assert running.returncode == 0, stderr
        assert expected in stderr
    assert "attest" not in stderr
    assert referrers(RegistryStore(reference), published.digest) == before


def test_an_image_that_has_lost_its_signature_is_signed_again(tmp_path: Path, cache: Path) -> None:
    """Others may have deleted it, as `cosign clean` does; a signature that is there is left alone."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "signing.key").write_bytes(key)
    site = echo_site(tmp_path, cache, IMAGE_NAME="echo/signed", SIGNING_KEY=str(tmp_path / "signing.key"))
    published = site.invoke("publish")
    assert published.returncode == 0, published.stderr
    assert "attached 1 signature, the provenance and an SBOM" in published.stderr
    assert "attest" not in site.invoke("publish").stderr
    reference = ImageReference.parse(published.stdout.strip())
    store = RegistryStore(reference, push=True)
    for suffix in (".sig", ".att"):
        store.delete(store.resolve(cosign.tag_of(reference.digest or "", suffix)).digest)
    again = site.invoke("publish")
    assert again.returncode == 0, again.stderr
    assert "attached 1 signature" in again.stderr.splitlines()[-3]
    found = cosign.check(store, store.resolve(reference.digest or ""), signer(tmp_path / "signing.key").verifier)
    assert found == 2
