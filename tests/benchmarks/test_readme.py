"""Results in a Markdown file."""

from __future__ import annotations

import pytest

from benchmarks.readme import BEGIN, END, with_results
from benchmarks.sides import ROOT


def test_results_are_renewed_between_the_marks() -> None:
    """What stands around them stays; doing it again changes nothing."""
    once = with_results(f"# How fast\n{BEGIN}old\n{END}more\n", "new")
    assert once == f"# How fast\n{BEGIN}\nnew\n{END}more\n"
    assert with_results(once, "new") == once


def test_a_file_without_marks_is_left_alone() -> None:
    """There is no place for results in it."""
    with pytest.raises(ValueError, match="no place"):
        with_results("# How fast\n", "new")


def test_the_project_s_own_file_has_the_marks() -> None:
    """So that the run that is to keep its results can."""
    assert with_results((ROOT / "benchmarks" / "README.md").read_text("utf-8"), "new")
