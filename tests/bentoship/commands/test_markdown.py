"""Markdown of texts that anyone may have written."""

from __future__ import annotations

import pytest

from bentoship.commands.markdown import block, code, table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("", "` `"),
        ("a`b", "`` a`b ``"),
        ("```", "```` ``` ````"),
        ("two\nlines", "`two\\nlines`"),
        ("x" * 300, f"`{'x' * 300}`"),
        ("x" * 301, f"`{'x' * 300}…`"),
    ],
)
def test_a_text_is_code(text: str, expected: str) -> None:
    """In which no markup counts, on one line, and cut where it is long."""
    assert code(text) == expected


def test_a_block_ends_where_it_should() -> None:
    """Whatever fences are in it."""
    assert block("run `it` ```", "sh") == "````sh\nrun `it` ```\n````"


def test_a_cell_has_no_column_of_its_own() -> None:
    """A bar in it is escaped; a colon aligns the column to the right."""
    assert table(("name", "size:"), [("`a|b`", "1")]) == "| name | size |\n| --- | --: |\n| `a\\|b` | 1 |"
