"""Addresses of images in YAML and JSON, found where they are and replaced there."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
import yaml
from hypothesis import strategies as st

from bentoship.errors import BentoshipError
from bentoship.versions.addresses import find, joined, replaced
from tests.support.fuzzing import fuzz, texts

BY = {
    "bentoship://stars": "ghcr.io/a/stars@sha256:00",
    "bentoship://stars:v1": "ghcr.io/a/stars@sha256:11",
    "bentoship://team/sun:v1@sha256:22": "[::1]:5000/sun@sha256:22",
}


def resolved(text: str) -> str:
    """The text with what BY has in place of its addresses."""
    return replaced(text, find(text, "x.yaml"), BY)


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "plain": ("image: bentoship://stars\n", "image: ghcr.io/a/stars@sha256:00\n"),
        "a tag": ("image:   bentoship://stars:v1   # v1\n", "image:   ghcr.io/a/stars@sha256:11   # v1\n"),
        "single quotes": ("'image': 'bentoship://stars'", "'image': 'ghcr.io/a/stars@sha256:00'"),
        "double quotes": ('image: "bentoship://stars"', 'image: "ghcr.io/a/stars@sha256:00"'),
        "an escape": (
            'image: "bentoship\\x3A//stars" # bentoship://',
            'image: "ghcr.io/a/stars@sha256:00" # bentoship://',
        ),
        "an anchor": ("a: &i bentoship://stars\nb: *i\n", "a: &i ghcr.io/a/stars@sha256:00\nb: *i\n"),
        "a type": ("a: !!str bentoship://stars", "a: !!str ghcr.io/a/stars@sha256:00"),
        "a folded block": ("a: >-\n    bentoship://stars\nb: 1\n", "a: >-\n    ghcr.io/a/stars@sha256:00\nb: 1\n"),
        "a literal block": ("a: |2 # x\n  bentoship://stars\n", "a: |2 # x\n  ghcr.io/a/stars@sha256:00\n"),
        "a list": (
            "- bentoship://stars\n- - bentoship://stars:v1",
            "- ghcr.io/a/stars@sha256:00\n- - ghcr.io/a/stars@sha256:11",
        ),
        "flow": (
            "{a: bentoship://stars, b: [bentoship://stars:v1]}",
            "{a: ghcr.io/a/stars@sha256:00, b: [ghcr.io/a/stars@sha256:11]}",
        ),
        "a key": ("bentoship://stars: 1", "ghcr.io/a/stars@sha256:00: 1"),
        "on its own": ("bentoship://stars", "ghcr.io/a/stars@sha256:00"),
        "a host that begins a list": ("a: bentoship://team/sun:v1@sha256:22", 'a: "[::1]:5000/sun@sha256:22"'),
        "the same in quotes": ("a: 'bentoship://team/sun:v1@sha256:22'", "a: '[::1]:5000/sun@sha256:22'"),
        "Windows": ("\ufeffa: 1\r\nb: bentoship://stars\r\n", "\ufeffa: 1\r\nb: ghcr.io/a/stars@sha256:00\r\n"),
        "other alphabets": ("ключ: 😀\nb: bentoship://stars", "ключ: 😀\nb: ghcr.io/a/stars@sha256:00"),
        "several documents": (
            "%YAML 1.2\n---\na: bentoship://stars\n...\n---\nb: bentoship://stars:v1\n",
            "%YAML 1.2\n---\na: ghcr.io/a/stars@sha256:00\n...\n---\nb: ghcr.io/a/stars@sha256:11\n",
        ),
        "JSON": (
            '{\t"a": ["bentoship:\\/\\/stars",\r\n\t"bentoship://stars"]}',
            '{\t"a": ["ghcr.io/a/stars@sha256:00",\r\n\t"ghcr.io/a/stars@sha256:00"]}',
        ),
        "JSON with a mark": ('\ufeff{"a": "bentoship://stars"}', '\ufeff{"a": "ghcr.io/a/stars@sha256:00"}'),
        "JSON that ends in a backslash": ('["\\\\", "bentoship://stars"]', '["\\\\", "ghcr.io/a/stars@sha256:00"]'),
    }.values(),
)
def test_an_address_is_replaced_where_it_is(text: str, expected: str) -> None:
    """Its quotes, and all else, stay as they are."""
    assert resolved(text) == expected
    if not text.startswith("\ufeff{") and "\t" not in text:
        values = [value for value in yaml.scan(expected) if isinstance(value, yaml.ScalarToken)]
        assert any(value.value.rstrip("\n") in BY.values() for value in values)


@pytest.mark.parametrize(
    "text",
    [
        "# image: bentoship://stars\na: 1\n",
        "args: [--image=bentoship://stars]\n",
        "a: |\n  image: bentoship://stars\n",
        "a: 'see bentoship://stars'\n",
        "",
        "\x00",
        "{{ .Values.image }",
        "a: 1\n\tb: 2",
    ],
)
def test_what_does_not_begin_with_the_scheme_is_no_address(text: str) -> None:
    """A file without one is not even parsed."""
    assert resolved(text) == text


def test_lines_are_counted() -> None:
    """From 1 on, and in a block from the line of the address."""
    text = "# x\r\na: bentoship://stars\r\nb: >-\r\n  bentoship://stars:v1\r\n---\nc: 'bentoship://stars'"
    assert [(one.value, one.line) for one in find(text, "x.yaml")] == [
        ("bentoship://stars", 2),
        ("bentoship://stars:v1", 4),
        ("bentoship://stars", 6),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: bentoship://stars\n\tb: 1", 2),
        ("a: bentoship://stars\n# c\nb: 'x\n", 4),
        ('a: bentoship://stars\nb: "\\z"', 2),
        ("a: bentoship://stars\nb: \x01", 0),
    ],
)
def test_what_is_not_yaml_is_named_with_its_line(text: str, line: int) -> None:
    """Only where there is an address in it."""
    with pytest.raises(BentoshipError, match=f"x.yaml, line {line}" if line else "x.yaml: it is not YAML"):
        find(text, "x.yaml")


def test_aliases_of_aliases_are_not_followed() -> None:
    """A billion laughs take no more time than their letters."""
    lines = [
        "a: &a [bentoship://stars]",
        *(f"{b}: &{b} [{','.join(10 * [f'*{a}'])}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    began = time.monotonic()
    assert resolved("\n".join(lines)).count("sha256:00") == 1
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- ", '[{"a":'])
def test_depth_does_no_harm(bracket: str) -> None:
    """It is refused when it is more than any file has."""
    assert resolved(bracket * 200 + "bentoship://stars").endswith("sha256:00")
    with pytest.raises(BentoshipError, match="nested too deeply"):
        find(bracket * 100_000 + "bentoship://stars", "x.yaml")


@fuzz(texts("ab:/ \n\"'[]{}#&*!|>%@`-,?\t\r"), st.text(max_size=10), examples=50)
def test_any_text_is_taken_or_refused(before: str, after: str) -> None:
    """What is replaced is an address, and nothing else is lost."""
    text = f"{before}bentoship://stars{after}"
    try:
        found = find(text, "x.yaml")
    except BentoshipError:
        return
    for one in found:
        assert one.value.startswith("bentoship://")
        assert one.value.split() == text[one.start : one.end].split() or not one.is_plain
    parts = [(one.start, one.end) for one in found]
    assert parts == sorted(parts)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(parts))


@fuzz(st.dictionaries(st.text(max_size=9), st.sampled_from(sorted(BY)) | st.text(max_size=9), max_size=4), examples=40)
def test_yaml_and_json_of_any_values_are_resolved(document: dict[str, object]) -> None:
    """Exactly those values that are addresses."""
    expected = {BY.get(key, key): BY.get(str(value), value) for key, value in document.items()}
    for text in (yaml.safe_dump(document), yaml.safe_dump(document, default_style="'")):
        assert yaml.safe_load(resolved(text)) == expected
    assert json.loads(resolved(json.dumps(document, indent="\t"))) == expected


@pytest.mark.parametrize(
    ("texts", "stream"),
    [
        (["a: 1"], "a: 1"),
        (["a: 1", "b: 2\n"], "a: 1\n---\nb: 2\n"),
        (["a: 1\n", "# b\n\n---\nb: 2"], "a: 1\n# b\n\n---\nb: 2"),
        (["a: 1\r\n", "\ufeffb: 2\r\n"], "a: 1\r\n---\nb: 2\r\n"),
        (['{"a": 1}', '{"b": 2}'], '{"a": 1}\n---\n{"b": 2}'),
        (["a: 1\n", "---x"], "a: 1\n---\n---x"),
        (["", "a: 1"], "a: 1"),
    ],
)
def test_files_are_joined_as_documents(texts: list[str], stream: str) -> None:
    """With a line between them where the second does not begin with one."""
    assert joined(texts) == stream
