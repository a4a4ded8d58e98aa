"""The report of a comparison."""

from __future__ import annotations

from bentoship.commands.compare_report import Compared, in_text
from bentoship.versions.comparing import Comparison
from bentoship.versions.version import Version


def test_more_commits_than_are_shown_are_not_counted() -> None:
    """Only one more than is shown is read, whether there is one or a thousand."""
    commits = [(f"{number:07x}", "a change") for number in range(51)]
    old, new = Version("sha256:1", commit="a" * 40), Version("sha256:2", commit="b" * 40)
    said = [*in_text(Compared("host/image", "v1", "v2", Comparison(old, new, []), None, None, commits))]
    assert [line.split() for line in said[-2:]] == [["0000031", "a", "change"], ["and", "more"]]
