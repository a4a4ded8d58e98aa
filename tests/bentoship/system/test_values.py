"""Data classes of values."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bentoship.system.values import dataclass


def pair(decorator: Any) -> Any:
    """A class with fields of all kinds, made by a decorator."""

    class Value:
        """What it holds."""

        name: str
        parts: tuple[int, ...] = ()
        secret: str = dataclasses.field(default="", repr=False)
        note: dict[str, int] = dataclasses.field(default_factory=dict, hash=False)
        cached: str = dataclasses.field(default="", compare=False)

    return decorator(frozen=True)(Value)


OURS, STANDARD = pair(dataclass), pair(dataclasses.dataclass)
OTHERS = [
    ("b", ()),
    ("a", (1,)),
    ("a", (), "secret"),
    ("a", (), "", {"x": 1}),
    ("a", (), "", {}, "cached"),
]


@pytest.mark.parametrize("fields", OTHERS)
def test_values_are_equal_where_those_of_the_standard_library_are(fields: tuple[Any, ...]) -> None:
    """The same fields are compared and hashed, so that values are found in sets and dictionaries."""
    assert (OURS("a") == OURS(*fields)) is (STANDARD("a") == STANDARD(*fields))
    assert (hash(OURS("a")) == hash(OURS(*fields))) is (hash(STANDARD("a")) == hash(STANDARD(*fields)))
    assert OURS(*fields) == OURS(*fields)
    assert OURS(*fields) != fields


@pytest.mark.parametrize("fields", OTHERS)
def test_values_are_printed_as_by_the_standard_library(fields: tuple[Any, ...]) -> None:
    """Fields that are not to be shown are left out."""
    assert repr(OURS(*fields)) == repr(STANDARD(*fields))


def test_values_can_be_replaced_and_taken_apart() -> None:
    """What `dataclasses` does with a data class."""
    one = OURS("a", (1, 2))
    assert dataclasses.replace(one, name="b") == OURS("b", (1, 2))
    assert dataclasses.asdict(one) == dataclasses.asdict(STANDARD("a", (1, 2)))
    assert OURS.__match_args__ == STANDARD.__match_args__


def test_a_missing_field_is_an_error() -> None:
    """As of any function's argument."""
    with pytest.raises(TypeError, match="name"):
        OURS()
