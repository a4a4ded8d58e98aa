"""JSON that a registry sends, and that it gets."""

import json
import os

import pytest

from bentoship.image.document import parse_json, to_json


def test_a_document_is_parsed() -> None:
    """From text and from bytes."""
    assert parse_json('{"a": [1]}') == parse_json(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, b"\xff"])
def test_what_cannot_be_parsed_is_one_kind_of_error(text: str | bytes) -> None:
    """Also what is nested so deeply that Python gives up."""
    with pytest.raises(ValueError, match=r"nested|Expecting|decode"):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe → 🎯", "größe → 🎯"),
        (os.fsdecode("größe".encode()), "größe"),
        ("gr\udcc3\udcb6\udcc3\udc9fe", "größe"),
        ("J\udcf6rg", "J\ufffdrg"),
        ("\ud83c, \udfaf, \udc00", "\ufffd, \ufffd, \ufffd"),
    ],
)
def test_what_is_written_is_always_utf_8(text: str, expected: str) -> None:
    """Whatever bytes a word of a command line has, in whichever language Python was started."""
    assert json.loads(to_json({text: [text]})) == {expected: [expected]}
