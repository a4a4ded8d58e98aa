"""Which base a Bento gets."""

import pytest

from bentoship.bases import choose_base


@pytest.mark.parametrize(
    ("setting", "bentofile", "has_debian", "chosen"),
    [
        ("debian", "python:3.12", False, "debian"),
        ("me/base:1", "python:3.12", True, "me/base:1"),
        ("", "python:3.12", True, "python:3.12"),
        ("", "", True, "debian"),
        ("", "", False, "python:3.11-slim"),
    ],
)
def test_the_setting_wins_then_the_bentofile_then_the_host(
    setting: str, bentofile: str, has_debian: bool, chosen: str
) -> None:
    """A rule that asks nobody what can be reached."""
    assert choose_base(setting, bentofile, "3.11", has_debian=has_debian) == chosen
