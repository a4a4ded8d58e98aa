"""The words of a command line that name folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.commands.words import name_folders, no_folders, not_understood, of_options

TASKS = {"build": 0, "plan": 0, "publish": 0, "push": 0, "promote": 2}


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
        ("publish --all push", "publish --all push"),
        ("--all publish push", "publish --all push"),
        ("publish push --all", "publish push --all"),
        ("publish --all ./missing", "publish --all --project ./missing"),
        ("promote one two", "promote one two"),
        ("promote plan two one", "promote plan two --project one"),
        ("promote --yes one two one", "promote --yes one two --project one"),
        ("promote --project one one two", "promote --project one one two"),
        ("promote one --bento=x two plan", "promote one --bento=x two plan"),
        ("promote one two plan", "promote one two plan"),
        ("one promote one two", "promote one two --project one"),
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


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("nosuch", "`bentoship --list` shows the tasks."),
        ("it's", "`bentoship --list` shows the tasks."),
        ("300 " * 100, "`bentoship --list` shows the tasks."),
        ("pubish", "Did you mean publish?"),
        ("shopp", "Did you mean shop?"),
        ("service.py", "It is a file. Name its folder, or the file by an option: --bentofile, or -f of resolve."),
        ("service:Echo", "Name a service by --service module:Class, and a Bento that is built already by --bento"),
    ],
)
def test_a_word_that_names_nothing_is_explained(
    word: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither a task nor a folder, and a near one may be meant."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "service.py").touch()
    monkeypatch.chdir(tmp_path)
    said = not_understood(f"No idea what {word!r} is!", TASKS)
    assert said.startswith(
        f"Error: Read the command line: {' '.join(word.split())} is neither a task nor a folder\n{hint}"
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("production", "production is neither a task nor a folder\n`bentoship --help push` shows its options."),
        ("--forse", "push has no option --forse\nDid you mean --force?"),
        ("--pusch", "push has no option --pusch\n`bentoship --help push` shows its options."),
    ],
)
def test_a_word_behind_a_task_may_be_meant_for_an_option(
    word: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the task's options are named; no word that is little alike."""
    monkeypatch.chdir(tmp_path)
    tasks = [*TASKS, "locations"]
    assert not_understood(f"No idea what {word!r} is!", tasks, "push", ["--force", "-f"]) == (
        f"Error: Read the command line: {said}"
    )


@pytest.mark.parametrize("said", ["No idea what '' is!", "No idea what '--whyy' is!", "Flag --project needed value"])
def test_other_mistakes_are_in_invokes_words(said: str) -> None:
    """An option, or a word that a script has left empty."""
    assert not_understood(said, TASKS) == said


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["services/alpah"], "Did you mean services/alpha?"),
        (["./servces", "services/aplha/"], "Did you mean ./services, services/alpha?"),
        (["services/alpah", "nowhere/b"], ""),
        (["", "services/\0"], ""),
    ],
)
def test_a_folder_like_a_misspelt_one_may_be_meant(
    names: list[str], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all are like one that exists."""
    (tmp_path / "services" / "alpha").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert no_folders(names).hint == hint


def test_options_of_a_task_are_words_again() -> None:
    """With a hyphen for each underscore; those that were not given are left out."""
    options = {"dry_run": True, "why": False, "mark": "a b", "arg": ["x=1", "y=2"], "bento": None, "more": []}
    assert of_options(options) == ["--dry-run", "--mark=a b", "--arg=x=1", "--arg=y=2"]
