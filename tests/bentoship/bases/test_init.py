"""Which base a Bento gets."""

import pytest

from bentoship.bases import choose_base, reason_for_base


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


@pytest.mark.parametrize(
    ("setting", "bentofile", "debian", "words"),
    [
        ("", "", "Debian 12 (bookworm) with Python 3.11", "Debian 12 (bookworm) with Python 3.11, since W"),
        ("", "", "", "python:3.11-slim, since W, for which this machine has no Debian packages"),
        ("", "a/b:c", "Debian 12", "a/b:c, as the Bento says"),
        ("d/e:f", "a/b:c", "Debian 12", "d/e:f, as BASE_IMAGE says"),
        ("debian", "", "", "Debian's packages, as BASE_IMAGE says"),
    ],
)
def test_why_it_gets_that_base(setting: str, bentofile: str, debian: str, words: str) -> None:
    """By whose word, or by which Python and who asks for it."""
    chosen = choose_base(setting, bentofile, "3.11", has_debian=bool(debian))
    assert reason_for_base(setting, bentofile, "W", debian=debian, chosen=chosen) == words
