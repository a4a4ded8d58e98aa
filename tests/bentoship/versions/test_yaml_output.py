"""YAML that every reader understands alike."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import strategies as st

from bentoship.versions.yaml_output import to_yaml
from tests.support.fuzzing import ANY, fuzz


@fuzz(st.lists(ANY, min_size=1, max_size=3), examples=30)
def test_documents_are_read_back(documents: list[object]) -> None:
    """As they were."""
    read = list(yaml.safe_load_all(to_yaml(documents)))
    assert repr(read) == repr(documents)


@pytest.mark.parametrize(
    "text",
    ["12345e67", "1e3", "y", "N", "yes", "Off", "true", "NULL", "~", "", "=", "<<", "0x1f", "0o17", "017", "1_000",
     "1:20", ".5", ".inf", "-1", "a: b", "a #b", "a:", "- a", "2026-01-01", "a\nb", "é", "[a]", "*a", "&a", "!a", " a"],
)  # fmt: skip
def test_texts_that_may_be_taken_for_something_else_have_quotes(text: str) -> None:
    """Readers of YAML 1.1 and 1.2 differ in what is a number, and go-yaml takes y for true."""
    assert re.fullmatch(r'---\na: ".*"\n', to_yaml([{"a": text}]))


@pytest.mark.parametrize("text", ["/readyz", "apps/v1", "localhost:5000/a@sha256:00", "500m", "512Mi", "a-b.c_d", "x"])
def test_other_texts_have_none(text: str) -> None:
    """They are easier to read."""
    assert to_yaml([{"a": text}]) == f"---\na: {text}\n"


def test_nothing_is_said_by_an_alias() -> None:
    """What is in two places is written twice; lists are indented, and long texts stay on one line."""
    one, words = {"a": 1}, " ".join(300 * ["word"])
    assert to_yaml([{"l": [one, one]}, {"b": words}]) == f'---\nl:\n  - a: 1\n  - a: 1\n---\nb: "{words}"\n'
