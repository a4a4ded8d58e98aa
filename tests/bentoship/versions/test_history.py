"""Histories of promoted names, in registries of both kinds."""

from __future__ import annotations

import json

import pytest

from bentoship.errors import StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.stores.artifacts import push
from bentoship.stores.registry import RegistryStore
from bentoship.versions.history import Promotion, history_tag, line, read_history
from tests.support.images import put_image

NAME = "production"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("", ""),
        ("a", "a"),
        ("a b c", "a b c"),
        ("a b a", "a b a"),
        ("a b a <b", "a b"),
        ("a b a <b <a", "a"),
        ("a b c <a", "a"),
        ("b c <a", "a"),
        ("<a", "a"),
        ("a b <a c d <c", "a c"),
    ],
)
def test_the_line_is_what_still_holds(entries: str, expected: str) -> None:
    """A rollback takes back everything after its target, which may be older than the history."""
    made = [Promotion(text.lstrip("<"), is_rollback=text.startswith("<")) for text in entries.split()]
    assert [one.digest for one in line(made)] == expected.split()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"promotions": 1}',
        b'{"promotions": {"a": 1}}',
        b'{"promotions": "abc"}',
        b'{"promotions": [1]}',
        b'{"promotions": [{"digest": "x"}]}',
        b'{"promotions": ' + b"[" * 50_000,
    ],
)
def test_a_damaged_history_is_not_written_over(store: RegistryStore, content: bytes) -> None:
    """It is an error that says what to do."""
    push(store, Artifact(keys.HISTORY_TYPE, [Blob("application/json", content)]), history_tag(NAME))
    with pytest.raises(StoreError, match="Remove that tag from the registry, or use another name than production"):
        read_history(store, NAME)


def test_a_tag_of_something_else_is_no_history(store: RegistryStore) -> None:
    """It is an image, or another artifact."""
    store.tag(put_image(store), history_tag(NAME))
    with pytest.raises(StoreError, match="it is not a history of promotions"):
        read_history(store, NAME)


def test_a_history_of_a_stranger_is_read_as_far_as_it_is_one(store: RegistryStore) -> None:
    """Texts are cut, and other kinds of values are none."""
    entry = {"digest": f"sha256:{'a' * 64}", "by": "x" * 9000, "when": 1, "why": None, "tags": [1] * 99, "from": None}
    content = json.dumps({"promotions": [entry]}).encode()
    push(store, Artifact(keys.HISTORY_TYPE, [Blob("application/json", content)]), history_tag(NAME))
    [read] = read_history(store, NAME).promotions
    assert (len(read.by), read.when, read.why, set(read.tags), len(read.tags)) == (1000, "", "", {""}, 50)


def test_an_entry_is_read_as_it_was_written(store: RegistryStore) -> None:
    """With all that it says."""
    image = put_image(store)
    first = Promotion(image.digest, ("v1", "v2"), None, "ann", "2026-01-02T12:00:00Z", "tried", ("accuracy >= 0.9",))
    second = Promotion(f"sha256:{'a' * 64}", (), image.digest, "bob", "2026-01-03T12:00:00Z", is_rollback=True)
    push(store, read_history(store, NAME).followed_by(first, second), history_tag(NAME))
    assert read_history(store, NAME).promotions == (first, second)


def test_a_history_has_an_end(store: RegistryStore) -> None:
    """The oldest entries go."""
    image = put_image(store)
    many = [Promotion(image.digest, why=str(number)) for number in range(1500)]
    push(store, read_history(store, NAME).followed_by(*many), history_tag(NAME))
    promotions = read_history(store, NAME).promotions
    assert (len(promotions), promotions[0].why, promotions[-1].why) == (1000, "500", "1499")


def test_a_history_of_long_texts_can_be_read(store: RegistryStore) -> None:
    """Though a thousand entries of them would be larger than what is read."""
    image = put_image(store)
    many = [
        Promotion(image.digest, why=f"{number} {'語' * 3000}", conditions=["語" * 300] * 5) for number in range(1000)
    ]
    push(store, read_history(store, NAME).followed_by(*many), history_tag(NAME))
    promotions = read_history(store, NAME).promotions
    assert len(promotions) > 400
    assert (promotions[-1].why[:5], len(promotions[-1].why)) == ("999 語", 1000)
