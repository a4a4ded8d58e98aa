"""The words of a command line that name folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.commands.words import name_folders

TASKS = ["build", "plan", "publish", "push"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ""),
        ("publish", "publish"),
        ("one", "publish --project one"),
        ("publish one two", "publish --project one --project two"),
        ("plan one --why", "plan --why --project one"),
        ("--dry one", "--dry publish --project one"),
        ("build push one", "build push --project one"),
        ("publish --project one", "publish --project one"),
        ("plan ./plan", "plan --project ./plan"),
        ("plan plan", "plan plan"),
        ("publish missing", "publish missing"),
        ("publish ./missing", "publish --project ./missing"),
        ("--root ./missing publish", "--root ./missing publish"),
        ("--config one publish", "--config one publish"),
        ("publish --all", "publish --all"),
        ("--all", "publish --all"),
        ("--dry --all one", "--dry publish --all --project one"),
        ("build --all plan two --load", "build --load --all --project plan --project two"),
        ("publish --all ./missing", "publish --all --project ./missing"),
    ],
)
def test_words_that_name_folders_are_projects(
    words: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless they name a task (but behind --all), or are the value of an option; alone they are published."""
    for name in ("one", "two", "plan"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert name_folders(words.split(), TASKS, ["project", "bento"], "publish") == expected.split()
