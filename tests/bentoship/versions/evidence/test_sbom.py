"""SBOMs: valid by CycloneDX's schema, and the same bytes for the same image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bentoship.image.artifact import Artifact
from bentoship.image.component import Component, Contents
from bentoship.image.descriptor import MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.versions.evidence.sbom import sbom

IMAGE = ImageReference("registry.invalid", "team/echo")
SUBJECT = Descriptor.of(MANIFEST, b"an image")

ALL = (
    Component("system", "debian", "12"),
    Component("image", "docker.io/library/python", f"sha256:{'0' * 64}"),
    Component(
        "debian",
        "libgcc-s1",
        "12.2.0-14+deb12u1",
        sha256=["a" * 64],
        license="GPL-3, LGPL-2.1+",
        details={"arch": "amd64", "distro": "debian-12"},
        origin="debian",
    ),
    Component("python", "numpy", "2.4.6", license="BSD-3-Clause AND MIT"),
    Component("python", "six", "1.17.0", sha256=["b" * 64], license="MIT"),
    Component("python", "pinned", "1", sha256=["c" * 64, "d" * 64], license="The Owner's Own"),
    Component("python", "direct", "1", origin="https://example.com/direct-1-py3-none-any.whl"),
    Component("model", "echo", "v1", layer=f"sha256:{'1' * 64}", parts=[Component("file", "a.bin", sha256=["e" * 64])]),
    Component("model", "other", "v1", parts=[Component("file", "a.bin", sha256=["f" * 64])]),
)


def made(
    folder: Path, components: Sequence[Component] = ALL, *, key: str = "one", subject: Descriptor = SUBJECT
) -> Artifact:
    """The SBOM of an image that is made of some components."""
    return sbom(IMAGE, subject, "linux/amd64", Contents(key, lambda: components), folder)


def by_name(artifact: Artifact) -> dict[str, Any]:
    """What an SBOM lists, by name."""
    return {one["name"]: one for one in json.loads(artifact.blobs[0].content)["components"]}


@pytest.mark.parametrize("components", [ALL, ()])
def test_an_sbom_is_valid(tmp_path: Path, components: Sequence[Component]) -> None:
    """By CycloneDX's own schema, whose identifiers have to be unique."""
    content = made(tmp_path, components).blobs[0].content.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content) is None
    assert len(json.loads(content)["components"]) == len(components)


def test_an_sbom_names_its_image(tmp_path: Path) -> None:
    """And refers to it; not by its registry, since it is the same image in any."""
    artifact = made(tmp_path)
    root = json.loads(artifact.blobs[0].content)["metadata"]["component"]
    assert (root["name"], artifact.subject) == ("echo", SUBJECT)
    assert root["purl"] == "pkg:oci/echo?arch=amd64"
    assert b"registry.invalid" not in artifact.blobs[0].content


def test_the_same_contents_have_the_same_sbom(tmp_path: Path) -> None:
    """On two machines, from what is kept, and in the next image; other contents have one of their own."""
    first, second = made(tmp_path / "a"), made(tmp_path / "b", tuple(reversed(ALL)))
    assert first.manifest == second.manifest == made(tmp_path / "a").manifest
    following = made(tmp_path / "a", subject=Descriptor.of(MANIFEST, b"another"))
    assert following.blobs[0].descriptor == first.blobs[0].descriptor
    assert following.descriptor != first.descriptor
    other = made(tmp_path / "a", ALL[:1], key="two")
    numbers = [json.loads(one.blobs[0].content)["serialNumber"] for one in (first, other)]
    assert numbers[0] != numbers[1]


def test_the_same_contents_are_listed_once(tmp_path: Path) -> None:
    """The next image mostly differs by its source alone; other contents are listed anew."""

    def never() -> NoReturn:
        raise AssertionError

    made(tmp_path)
    again = sbom(IMAGE, Descriptor.of(MANIFEST, b"next"), "linux/amd64", Contents("one", never), tmp_path)
    assert by_name(again) == by_name(made(tmp_path))
    assert by_name(made(tmp_path, ALL[:1], key="two")).keys() == {"debian"}


def test_components_have_addresses_hashes_and_licences(tmp_path: Path) -> None:
    """As others' tools look for them: package URLs, SPDX where it is that, else what the package says."""
    found = by_name(made(tmp_path))
    assert found["libgcc-s1"]["purl"] == "pkg:deb/debian/libgcc-s1@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
    assert found["libgcc-s1"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert found["numpy"]["licenses"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert found["six"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert found["pinned"]["licenses"] == [{"license": {"name": "The Owner's Own"}}]
    assert "hashes" not in found["pinned"]
    assert [one["content"] for one in found["pinned"]["externalReferences"][0]["hashes"]] == ["c" * 64, "d" * 64]
    assert found["direct"]["externalReferences"][0]["url"] == "https://example.com/direct-1-py3-none-any.whl"
    assert found["echo"]["type"] == "machine-learning-model"
    assert found["echo"]["components"][0]["hashes"] == [{"alg": "SHA-256", "content": "e" * 64}]
    assert found["echo"]["properties"] == [{"name": "org.bentoship:layer", "value": f"sha256:{'1' * 64}"}]
