"""What annotations say of a version, whoever wrote them."""

from __future__ import annotations

from dataclasses import fields

from bentoship.image import keys
from bentoship.image.metadata import Metadata
from bentoship.versions.metadata import parts, text
from bentoship.versions.version import Version


def test_annotations_become_a_version() -> None:
    """Those of an image that was made here, and none of another's."""
    metrics = {"accuracy": 0.5}
    said = Metadata(bento="a:1", description="text", base="debian:12", metrics=metrics, parameters={"a": None})
    found = parts(said.annotations)
    assert found["is_ours"]
    version = Version("sha256:1", **found)
    assert (version.bento, version.description, version.base) == ("a:1", "text", "debian:12")
    assert version.metrics == metrics
    assert version.parameters == {"a": None}
    assert not parts({"org.opencontainers.image.title": "other"})["is_ours"]
    assert not parts(None)["is_ours"]


def test_what_is_too_large_comes_from_the_document() -> None:
    """Whose digest is in the annotations."""
    said = Metadata(bento="a:1", parameters={f"p{number}": "x" * 100 for number in range(1000)})
    assert keys.METADATA in said.annotations
    assert parts(said.annotations, said.document)["parameters"] == said.parameters
    assert parts(said.annotations)["parameters"] == {}


def test_a_field_of_both_means_the_same() -> None:
    """So that one is the other's value."""
    shared = {one.name for one in fields(Version)} & {one.name for one in fields(Metadata)}
    assert shared == {"bento", "description", "base", "base_digest", "models", "metrics", "parameters", "data"}


def test_a_text_is_bounded() -> None:
    """And anything else is none."""
    assert text("a") == "a"
    assert text(1) == ""
    assert len(text("a" * 10_000)) == 4096
