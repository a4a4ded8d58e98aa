"""Addresses without users and passwords."""

import pytest

from bentoship.system.urls import without_user_info


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ann:correct-horse@pypi.example.com/simple", "https://pypi.example.com/simple"),
        ("https://token@github.com/a/b.git@v1", "https://github.com/a/b.git@v1"),
        ("see HTTP://ann:p@ss:word@host:80, and https://host/x@y", "see HTTP://host:80, and https://host/x@y"),
        ("tool @ git+https://ann:pw@host/tool.git@1.0", "tool @ git+https://host/tool.git@1.0"),
        ("git+ssh://git@host/tool.git", "git+ssh://git@host/tool.git"),
        ("ssh://git:pw@host/tool.git", "ssh://git@host/tool.git"),
        ("https://:pw@host", "https://host"),
        ("ann@example.com wrote 'a://b' and c@d", "ann@example.com wrote 'a://b' and c@d"),
    ],
)
def test_user_and_password_are_removed(text: str, expected: str) -> None:
    """Of each URL in a text, and nothing else."""
    assert without_user_info(text) == expected
