"""JSON that a registry sends."""

import pytest

from bentoship.image.document import parse_json


def test_a_document_is_parsed() -> None:
    """From text and from bytes."""
    assert parse_json('{"a": [1]}') == parse_json(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, b"\xff"])
def test_what_cannot_be_parsed_is_one_kind_of_error(text: str | bytes) -> None:
    """Also what is nested so deeply that Python gives up."""
    with pytest.raises(ValueError, match=r"nested|Expecting|decode"):
        parse_json(text)
