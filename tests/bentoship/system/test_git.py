"""What git says of a project."""

import os
import subprocess
from pathlib import Path

import pytest

from bentoship.errors import ProcessError
from bentoship.system.git import Origin, Revision, check_out, nearest, origin, remote_commit, revision
from tests.support.repositories import commit, git

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit."""
    (tmp_path / "file").write_text("one", "utf-8")
    identity = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
    for args in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *args], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_tree_has_its_commit(repository: Path) -> None:
    """All digits of it."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
    assert revision(repository) == Revision(head.stdout.strip(), True)


def test_branches_and_tags_have_a_commit(tmp_path: Path) -> None:
    """A tag with a message has that of what it is at; a commit is its own, and asks no server."""
    (tmp_path / "file").touch()
    made = commit(tmp_path, tag="v1")
    assert git(tmp_path, "rev-parse", "v1") != made
    found = {name: remote_commit(str(tmp_path), name, ENV) for name in ("", "main", "v1", "nowhere")}
    assert found == {"": made, "main": made, "v1": made, "nowhere": ""}
    assert remote_commit("http://127.0.0.1:9/x.git", made, ENV) == made
    with pytest.raises(ProcessError, match=r"127\.0\.0\.1"):
        remote_commit("http://127.0.0.1:9/x.git", "main", ENV)


def test_a_changed_tree_is_not_clean(repository: Path) -> None:
    """Its commit alone would say what is not so; a new file counts, too."""
    (repository / "other").write_text("two", "utf-8")
    assert revision(repository) == Revision(git(repository, "rev-parse", "HEAD"), False)


def test_a_folder_has_an_origin(repository: Path) -> None:
    """Its remote without a password, its place in the repository, and who commits here."""
    folder = repository / "services" / "echo"
    folder.mkdir(parents=True)
    git(repository, "remote", "add", "origin", "https://ada:secret@git.example.com/team/planets.git")
    git(repository, "config", "user.name", "Ada")
    assert origin(folder) == Origin("https://git.example.com/team/planets.git", "services/echo", "Ada")


@pytest.mark.parametrize(
    "remote",
    [
        "/srv/git/planets.git",
        "../planets",
        "~/planets",
        "git/planets.git",
        "file:///srv/git/planets.git",
        r"C:\git\planets",
        "ext::ssh -i key host %S planets",
    ],
)
def test_a_remote_on_this_machine_is_not_named(repository: Path, remote: str) -> None:
    """Where its folders are is nobody else's business."""
    git(repository, "remote", "add", "origin", remote)
    assert origin(repository).remote == ""


@pytest.mark.parametrize("remote", ["git@host:planets.git", "[::1]:planets", "host:a/b", "codecommit::eu://planets"])
def test_any_address_of_a_server_is_named(repository: Path, remote: str) -> None:
    """As Git takes it."""
    git(repository, "remote", "add", "origin", remote)
    assert origin(repository).remote == remote


def test_a_commit_is_checked_out_elsewhere(tmp_path: Path) -> None:
    """The folder as it was then, with its tags; one that the repository lacks is an error."""
    folder = tmp_path / "repository" / "service"
    folder.mkdir(parents=True)
    (folder / "file").write_text("one", "utf-8")
    first = commit(tmp_path / "repository", tag="v1")
    (folder / "file").write_text("two", "utf-8")
    commit(tmp_path / "repository")
    place = check_out(folder, first, tmp_path / "place")
    assert (place / "file").read_text("utf-8") == "one"
    assert git(place, "describe", "--tags") == "v1"
    with pytest.raises(ProcessError):
        check_out(folder, "0" * 40, tmp_path / "nowhere")


def test_the_users_hooks_do_not_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they do is not in the commit."""
    root, hook, configured = tmp_path / "repository", tmp_path / "hooks" / "post-checkout", tmp_path / "gitconfig"
    for folder in (root, hook.parent):
        folder.mkdir()
    hook.write_text("#!/bin/sh\ntouch made-by-a-hook; exit 1\n", "utf-8")
    hook.chmod(0o755)
    configured.write_text(f"[core]\n\thooksPath = {hook.parent}\n", "utf-8")
    (root / "file").touch()
    first = commit(root)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configured))
    assert {path.name for path in check_out(root, first, tmp_path / "place").iterdir()} == {".git", "file"}


def test_submodules_are_checked_out_elsewhere(tmp_path: Path) -> None:
    """By the commit that is named, not by what is in them now; one that is not here stays empty."""
    shared, root = tmp_path / "shared", tmp_path / "repository"
    for folder in (shared, root):
        folder.mkdir()
    (shared / "word").write_text("one", "utf-8")
    commit(shared)
    (root / "file").touch()
    commit(root)
    for name in ("here", "away"):
        git(root, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(shared), name)
    named = commit(root)
    (root / "here" / "word").write_text("two", "utf-8")
    commit(root / "here")
    git(root, "submodule", "-q", "deinit", "--force", "away")
    place = check_out(root, named, tmp_path / "place")
    assert (place / "here" / "word").read_text("utf-8") == "one"
    assert list((place / "away").iterdir()) == []
    assert revision(place) == Revision(named, True)


def test_the_folder_decides_which_repository_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's hooks have variables that name another: what is checked out there must not change."""
    repository = tmp_path / "repository"
    (repository / "service").mkdir(parents=True)
    (repository / "file").write_text("one", "utf-8")
    first = commit(repository)
    (repository / "file").write_text("two", "utf-8")
    commit(repository)
    before = git(repository, "status", "--porcelain", "--branch"), git(repository, "rev-parse", "HEAD")
    for name, place in (("GIT_DIR", ".git"), ("GIT_WORK_TREE", "."), ("GIT_INDEX_FILE", ".git/index")):
        monkeypatch.setenv(name, str(repository / place))
    assert (check_out(repository, first, tmp_path / "place") / "file").read_text("utf-8") == "one"
    assert (git(repository, "status", "--porcelain", "--branch"), git(repository, "rev-parse", "HEAD")) == before
    assert revision(tmp_path / "place") == Revision(first, True)
    monkeypatch.setenv("GIT_DIR", ".git")
    assert revision(repository / "service") == Revision(before[1], True)


@pytest.mark.parametrize("text", ["HEAD", "main", "--recurse-submodules", "--help", "-", ""])
def test_what_is_no_hash_is_not_checked_out(
    repository: Path, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It may come from a registry, and would be a branch or an option to Git."""
    place = tmp_path_factory.mktemp("elsewhere") / "place"
    with pytest.raises(ProcessError, match="is not the hash of one"):
        check_out(repository, text, place)
    assert not place.exists()


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    """There is nothing to name yet."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert revision(tmp_path) is None
    assert origin(tmp_path).remote == ""


def test_a_folder_without_git_has_none(tmp_path: Path) -> None:
    """It is no mistake to have no repository."""
    assert revision(tmp_path) is None
    assert origin(tmp_path).remote == ""


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
