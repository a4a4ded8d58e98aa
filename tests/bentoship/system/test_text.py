"""Figures as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bentoship.system.text import amount, counted, duration, enumerated, flaw, printable, size
from tests.support.fuzzing import fuzz, texts


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (98_400_000, "98.4 MB"), (5e9, "5.0 GB")]
)
def test_sizes_are_for_people(count: float, text: str) -> None:
    """Bytes in the largest unit that leaves a digit before the point; an estimate is marked."""
    assert size(count) == text
    assert size(count, exact=False) == f"~{text}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (4.4, "4 s"), (89, "89 s"), (150, "2 min"), (5000, "83 min"), (9000, "2.5 h")]
)
def test_times_are_for_people(seconds: float, text: str) -> None:
    """As rough as an estimate is."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("done", "total", "unit", "text"),
    [
        (12_300_000, 25_300_000, "bytes", "12.3 of 25.3 MB"),
        (900, 1_200_000_000, "bytes", "0.0 of 1.2 GB"),
        (3, 12, "bytes", "3 of 12 B"),
        (30_000, 25_000, "bytes", "25.0 of 25.0 kB"),
        (4_000_000, None, "bytes", "4.0 MB"),
        (31, 72, "packages", "31 of 72 packages"),
        (31, None, "packages", "31 packages"),
    ],
)
def test_what_is_done_is_told_in_the_unit_of_all(done: int, total: int | None, unit: str, text: str) -> None:
    """And never more than all."""
    assert amount(done, total, unit) == text


def test_words_are_listed_as_in_a_sentence() -> None:
    """However many there are."""
    assert [enumerated("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_one_is_no_plural() -> None:
    """Of nothing there are many."""
    assert [counted(number, "package") for number in (0, 1, 2)] == ["0 packages", "1 package", "2 packages"]


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda: dict[str, str]()["layers"], "'layers' is missing"),
        (lambda: [][0], "a list is too short"),
        (lambda: len(3), "a value has a wrong type"),  # type: ignore[arg-type]
        (lambda: int("3 apples"), "invalid literal for int() with base 10: '3 apples'"),
        (lambda: next(iter(())), "StopIteration"),
    ],
)
def test_a_flaw_of_a_document_is_told_in_words(read: Callable[[], object], text: str) -> None:
    """Not as the exception that a program meets."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        read()
    assert flaw(caught.value) == text


def test_what_is_printed_has_no_control_characters_and_no_passwords() -> None:
    """A name or a server's message can neither move the cursor nor show a password."""
    text = "a\x1b[2Jb\rc\x9b\u202ed\te\nhttps://ann:pw@host/x"
    assert printable(text) == "a\\x1b[2Jb\\rc\\x9b\\u202ed\te\nhttps://host/x"


@fuzz(texts("\x1b[31m\r\n\t\x9b\u202e\udcff\u2028a"), examples=200)
def test_what_is_printed_moves_no_cursor(text: str) -> None:
    """And can be written in any encoding that a terminal has; it stays as it is the second time."""
    shown = printable(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode("utf-8")
    assert printable(shown) == shown
