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


def test_of_many_tags_a_few_are_shown() -> None:
    """Those that people have chosen first: an image whose content stays the same gets one of each commit."""
    tags = [*(f"{number:012x}" for number in range(60)), "latest", "production"]
    old, new = Version("sha256:1", tags=tags), Version("sha256:2", tags=["v2"])
    said = [*in_text(Compared("host/image", "v1", "v2", Comparison(old, new, []), None, None, None))]
    assert said[1].split() == ["tags", "latest,", "production,", "000000000000,", "+59", "v2"]
