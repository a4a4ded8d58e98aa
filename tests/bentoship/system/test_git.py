"""What git says of a project."""

import subprocess
from pathlib import Path

import pytest

from bentoship.system.git import clean_commit, nearest


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


def test_the_nearest_folder_with_a_match_tells_all(tmp_path: Path) -> None:
    """The project's own, else its nearest parent's, up to the Git root; never above, and no folder of that name."""
    project = tmp_path / "root" / "services" / "echo"
    (project / "model" / "c.bin").mkdir(parents=True)
    (tmp_path / "root" / ".git").mkdir()
    for name in ("a.bin", "root/model/b.bin", "root/model/a.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert nearest(project, "model/*.bin") == [tmp_path / "root" / "model" / name for name in ("a.bin", "b.bin")]
    assert nearest(project, "*.bin") == []
    (project / "model" / "z.bin").touch()
    assert nearest(project, "model/*.bin") == [project / "model" / "z.bin"]


def test_without_a_repository_a_project_is_alone(tmp_path: Path) -> None:
    """What lies above it is not known to be the same user's."""
    (tmp_path / "a.bin").touch()
    (tmp_path / "project").mkdir()
    assert nearest(tmp_path / "project", "*.bin") == []
    assert nearest(tmp_path, "*.bin") == [tmp_path / "a.bin"]


def test_a_relative_folder_has_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is one."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "a.bin").touch()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    assert nearest(Path(), "*.bin") == [tmp_path / "a.bin"]
