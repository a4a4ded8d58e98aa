"""What is set, by whichever name."""

from __future__ import annotations

import pytest

from bentoship.settings import KNOWN
from bentoship.settings.given import Given


@pytest.mark.parametrize("empty", [{}, {"X": " ", "BENTOSHIP_X": ""}])
def test_the_prefix_goes_before_the_place(empty: dict[str, str]) -> None:
    """A prefixed name in `.env` wins over a plain one in the environment; an empty value is none."""
    prefixed, plain = {"BENTOSHIP_X": " prefixed "}, {"X": " plain "}
    assert Given({**empty, **plain}, {**empty, **prefixed}).text("X") == "prefixed"
    assert Given({**empty, **plain}, {**empty, "X": "of the file"}).text("X") == "plain"
    assert Given({**empty, **prefixed}, {**empty, "BENTOSHIP_X": "of the file"}).text("X") == "prefixed"
    assert Given(empty, {**empty, **plain}).text("X") == "plain"
    assert Given(empty, empty).text("X") == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REGISTY", "REGISTRY"),
        ("IMAGE_TAG", "IMAGE_TAGS"),
        ("GCP_PROJEKT_ID", "GCP_PROJECT_ID"),
        ("PLATFROMS", "PLATFORMS"),
        ("PLATFORMSS", "PLATFORMS"),
        ("backend", "BACKEND"),
        ("BENTOSHIP_REGISTY", "BENTOSHIP_REGISTRY"),
        ("BENTOSHIP_PLATFORM", "BENTOSHIP_PLATFORMS"),
        ("BENTOSHIP_DEBUGS", "BENTOSHIP_DEBUG"),
    ],
)
def test_one_slip_is_noticed(name: str, meant: str) -> None:
    """A character missing, added, replaced or swapped; in `.env` as in the environment, but not where it is set."""
    assert list(Given({name: "x"}, {}).misspelt(KNOWN)) == [(name, meant)]
    assert list(Given({}, {name: "x"}).misspelt(KNOWN)) == [(name, meant)]
    assert list(Given({name: "x"}, {meant: "y"}).misspelt(KNOWN)) == []


def test_a_setting_with_the_prefix_is_set() -> None:
    """What looks like it without the prefix is somebody else's then; one that looks like the prefixed name is ours."""
    assert list(Given({"REGISTY": "x"}, {"BENTOSHIP_REGISTRY": "y"}).misspelt(KNOWN)) == []
    found = list(Given({"BENTOSHIP_REGISTY": "x"}, {"REGISTRY": "y"}).misspelt(KNOWN))
    assert found == [("BENTOSHIP_REGISTY", "BENTOSHIP_REGISTRY")]


@pytest.mark.parametrize(
    "name",
    ["PROJECT_ID", "API_ENDPOINT", "PLATFORM", "GCP_PROJECT", "BENTOML_HOST", "IMAGE", "REGISTRY_URL", "TAGS", "X", ""],
)
def test_names_of_others_are_no_slips(name: str) -> None:
    """However much they have in common with ours."""
    assert list(Given({name: "x"}, {}).misspelt(KNOWN)) == []


def test_what_is_known_is_no_slip() -> None:
    """Neither with the prefix nor without."""
    assert list(Given(dict.fromkeys(KNOWN, ""), {}).misspelt(KNOWN)) == []
