"""What the text of a setting stands for."""

from __future__ import annotations

import pytest

from bentoship.settings import parsers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000000", 1_000_000),
        ("12 B", 12),
        ("500 MB", 500_000_000),
        ("20GB", 20_000_000_000),
        ("20 gb", 20_000_000_000),
        ("20G", 20_000_000_000),
        ("1.5 TB", 1_500_000_000_000),
        ("3 kB", 3_000),
        ("2 KiB", 2_048),
        ("1.5GiB", 1_610_612_736),
        ("off", None),
        ("OFF", None),
        ("0", None),
    ],
)
def test_a_limit_is_read_with_its_unit(text: str, expected: int | None) -> None:
    """Units are those that the tasks print, or powers of 1024; there may be no limit."""
    assert parsers.size_limit(text) == expected


@pytest.mark.parametrize("text", ["much", "20 GBs", "-1 GB", "1,5 GB", "GB", "20 GB off", "1 B B"])
def test_anything_else_is_no_limit(text: str) -> None:
    """What cannot be meant is refused with what can."""
    with pytest.raises(ValueError, match=r"500 MB or 20 GB, or off"):
        parsers.size_limit(text)
