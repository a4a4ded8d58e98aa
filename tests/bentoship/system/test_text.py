"""Figures as people read them."""

from __future__ import annotations

import pytest

from bentoship.system.text import duration, size


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
