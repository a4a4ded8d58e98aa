"""Reading what is attached to an image, in the real distribution registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bentoship.errors import StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.stores.artifacts import attach, attach_all
from bentoship.stores.registry import RegistryStore
from bentoship.versions.evidence.reading import document, is_sbom, is_statement
from bentoship.versions.evidence.statement import Result, statement, test_result
from tests.support.images import put_image

test_result.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def statement_of(image: Descriptor, text: str, day: int, predicate: str = keys.PROVENANCE) -> Artifact:
    """A statement that was made on a day."""
    return statement({"echo": image}, predicate, {"text": text}, made=datetime(2026, 11, day, tzinfo=UTC))


def test_the_newest_document_is_read(store: RegistryStore) -> None:
    """By when it was made, not by when it was attached; and only one of its kind."""
    image = put_image(store)
    attach_all(store, [statement_of(image, "new", 27), statement_of(image, "old", 1)])
    attach(store, statement_of(image, "other", 28, keys.TEST_RESULT))
    attach(store, Artifact(keys.SBOM_TYPE, [Blob(keys.SBOM_TYPE, b'{"sbom": 1}')], subject=image))
    found = document(store, image, "provenance", is_statement(keys.PROVENANCE))
    assert found["predicate"] == {"text": "new"}
    assert document(store, image, "SBOM", is_sbom) == {"sbom": 1}


def test_a_time_is_one_whatever_its_zone(store: RegistryStore) -> None:
    """What says no time is the oldest, as it is where `versions` says whether an image was verified."""
    image = put_image(store)
    times = ["2026-11-28T01:00:00+09:00", "2026-11-27T20:00:00Z", "next year", ""]
    for time in times:
        annotations = {keys.CREATED: time, keys.PREDICATE: keys.PROVENANCE}
        blob = Blob(keys.STATEMENT_TYPE, json.dumps({"time": time}).encode())
        attach(store, Artifact(keys.STATEMENT_TYPE, [blob], annotations, image))
    assert document(store, image, "provenance", is_statement(keys.PROVENANCE)) == {"time": times[1]}


def test_an_image_without_one_is_an_error(store: RegistryStore) -> None:
    """It says how one is attached."""
    image = put_image(store)
    with pytest.raises(StoreError, match="none is attached to it") as raised:
        document(store, image, "SBOM", is_sbom)
    assert "ATTESTATIONS" in raised.value.hint


@pytest.mark.parametrize("blobs", [[], [Blob(keys.SBOM_TYPE, b"{")], [Blob(keys.SBOM_TYPE, b"[" * 100_000)]])
def test_what_is_no_document_is_an_error(store: RegistryStore, blobs: list[Blob]) -> None:
    """Anyone who may push can attach anything."""
    image = put_image(store)
    attach(store, Artifact(keys.SBOM_TYPE, blobs, subject=image))
    with pytest.raises(StoreError, match="it is damaged"):
        document(store, image, "SBOM", is_sbom)


def test_a_result_is_a_statement_of_its_own() -> None:
    """Lists say whether the image works; the statement has the form of in-toto's test results."""
    image = Descriptor("application/vnd.oci.image.manifest.v1+json", f"sha256:{'0' * 64}", 2)
    results = (Result(True, runner="podman", measured={"memoryBytes": 7}), Result(False, "Start it"))
    made = {one.works: test_result({"echo": image}, one, made=datetime.now(UTC)) for one in results}
    assert [made[works].annotations[keys.VERIFIED] for works in made] == ["true", "false"]
    assert [made[works].annotations.get(keys.MEMORY) for works in made] == ["7", None]
    assert b'"result":"PASSED"' in made[True].blobs[0].content
    assert b'"failedTests":["bentoship verify"]' in made[False].blobs[0].content
    (used,) = json.loads(made[True].blobs[0].content)["predicate"]["configuration"]
    assert used == {"name": "podman", "uri": "https://bentoship.org/verify/v1", "annotations": {"memoryBytes": 7}}
    assert b'"failed":"Start it"' in made[False].blobs[0].content
