"""What git says of a project."""

import subprocess
from pathlib import Path

import pytest

from bentoship.system.git import clean_commit


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    (tmp_path / "file").write_text("one", "utf-8")
    identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for args in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *args], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_tree_has_its_commit(repository: Path) -> None:
    """Twelve digits of the commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
    assert clean_commit(repository) == head.stdout[:12]


def test_a_changed_tree_has_none(repository: Path) -> None:
    """A commit would say what is not so; a new file counts, too."""
    (repository / "other").write_text("two", "utf-8")
    assert clean_commit(repository) is None


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    """There is nothing to name yet."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert clean_commit(tmp_path) is None


def test_a_folder_without_git_has_none(tmp_path: Path) -> None:
    """It is no mistake to have no repository."""
    assert clean_commit(tmp_path) is None
