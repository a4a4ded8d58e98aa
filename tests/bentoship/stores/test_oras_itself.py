"""oras itself, from Debian: it finds, fetches and copies what is attached here, and what it attaches is found here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach_all, referrers
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image
from tests.support.newer_debian import Program, unpacked

SBOM = b'{"bomFormat":"CycloneDX"}'
OTHER = "application/vnd.example.report"


# The second stands in a release that still moves, which `.ci/run` should not notice.
@pytest.fixture(params=["trixie", pytest.param("forky", marks=pytest.mark.slow)])
def oras(request: pytest.FixtureRequest) -> Program:
    """oras 1.2, and a later one."""
    return Program("oras", unpacked(request.param, "oras", needed_for="oras"))


def attached(store: RegistryStore, image: Descriptor) -> dict[str, Descriptor]:
    """An SBOM and a provenance, by what they are."""
    made = [
        Artifact(keys.SBOM_TYPE, [Blob(keys.SBOM_TYPE, SBOM, {keys.TITLE: "sbom.cdx.json"})], subject=image),
        Artifact(keys.STATEMENT_TYPE, [Blob(keys.STATEMENT_TYPE, b"{}")], {keys.COMMIT: "c" * 40}, image),
    ]
    attach_all(store, made)
    return {one.artifact_type: one.descriptor for one in made}


def test_oras_finds_and_fetches_what_is_attached(place: RegistryStore, oras: Program, tmp_path: Path) -> None:
    """By the image, each by its type; a blob with a title becomes a file."""
    image = put_image(place)
    made = attached(place, image)
    name = f"{place.repository}@{image.digest}"
    told = json.loads(oras("discover", "--plain-http", "--format", "json", name))
    found = {one["artifactType"]: one["digest"] for one in told.get("manifests") or told["referrers"]}
    assert found == {kind: one.digest for kind, one in made.items()}
    sbom = f"{place.repository}@{found[keys.SBOM_TYPE]}"
    oras("pull", "--plain-http", "--output", tmp_path / "pulled", sbom)
    assert {file.name: file.read_bytes() for file in (tmp_path / "pulled").iterdir()} == {"sbom.cdx.json": SBOM}


def test_oras_copies_an_image_with_what_is_attached(place: RegistryStore, oras: Program) -> None:
    """To another repository, where all of it is found here, with its annotations."""
    image = put_image(place)
    made = attached(place, image)
    copy = RegistryStore(ImageReference(place.client.host, f"{place.client.path}/copy"))
    source, target = f"{place.repository}@{image.digest}", f"{copy.repository}:latest"
    oras("copy", "--recursive", "--from-plain-http", "--to-plain-http", source, target)
    assert copy.resolve("latest") == image
    found = {one.artifact_type: one for one in referrers(copy, image.digest)}
    assert {kind: one.descriptor for kind, one in found.items()} == made
    assert found[keys.STATEMENT_TYPE].annotations[keys.COMMIT] == "c" * 40


def test_what_oras_attaches_stays(place: RegistryStore, oras: Program, tmp_path: Path) -> None:
    """Whether it is there before or comes after what is attached here."""
    image = put_image(place)
    report = tmp_path / "report.txt"

    def attach(text: str) -> None:
        report.write_text(text)
        name = f"{place.repository}@{image.digest}"
        oras("attach", "--plain-http", "--artifact-type", OTHER, name, report.name, folder=tmp_path)

    attach("before")
    made = attached(place, image)
    attach("after")
    found = [one.artifact_type for one in referrers(place, image.digest)]
    assert sorted(found) == sorted([OTHER, OTHER, *made])
