"""What the manifest of a version says, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest

from bentoship.image import keys
from bentoship.image.descriptor import LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.document import to_json
from bentoship.image.manifest import KIND
from bentoship.image.metadata import Metadata
from bentoship.versions.contents import Named, version_of
from bentoship.versions.version import Version


def version(annotations: Mapping[str, Any] | None, document: bytes = b"", kind: Any = "model") -> Version:
    """The version of a manifest with annotations and a layer of a kind."""
    layer = {**Descriptor.of(LAYER_TAR, b"layer").to_dict(), "annotations": {KIND: kind}}
    content = to_json({"mediaType": MANIFEST, "layers": [layer], "annotations": annotations})
    return version_of(Named(Descriptor.of(MANIFEST, content), content, ("a",)), {}, [], [], document)


def test_annotations_become_a_version() -> None:
    """Those of an image that was made here, and none of another's."""
    metrics = {"accuracy": 0.5}
    metadata = Metadata(bento="a:1", description="text", base="debian:12", metrics=metrics, parameters={"a": None})
    found = version(metadata.annotations)
    assert found.is_ours
    assert (found.bento, found.description, found.base) == ("a:1", "text", "debian:12")
    assert found.metrics == metrics
    assert found.parameters == {"a": None}
    assert not version({"org.opencontainers.image.title": "other"}).is_ours
    assert not version(None).is_ours


def test_what_is_too_large_comes_from_the_document() -> None:
    """Whose digest is in the annotations."""
    metadata = Metadata(bento="a:1", parameters={f"p{number}": "x" * 100 for number in range(1000)})
    assert keys.METADATA in metadata.annotations
    assert version(metadata.annotations, metadata.document).parameters == metadata.parameters
    assert version(metadata.annotations).parameters == {}


def test_a_field_of_both_means_the_same() -> None:
    """So that one is the other's value."""
    shared = {one.name for one in fields(Version)} & {one.name for one in fields(Metadata)}
    assert shared == {"bento", "description", "base", "base_digest", "models", "metrics", "parameters", "data"}


@pytest.mark.parametrize(("kind", "kept"), [("a", "a"), (1, ""), ("a" * 10_000, "a" * 4096)])
def test_a_text_is_bounded(kind: Any, kept: str) -> None:
    """And anything else is none."""
    assert version({}, kind=kind).layers[0].kind == kept
