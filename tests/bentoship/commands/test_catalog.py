"""Where the page of a catalog is written, and what is in it, from a real registry."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentoship.commands.catalog import catalog, commit_pages
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Run
from bentoship.settings import load
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image

OURS = '<meta name="generator" content="bentoship">'


@pytest.fixture
def run(tmp_path: Path, repository: ImageReference) -> Iterator[Run]:
    """A run in a project whose image is in a registry under two tags."""
    folder = tmp_path / "project"
    folder.mkdir()
    store = RegistryStore(repository, push=True)
    root = put_image(store)
    for tag in ("v1", "latest"):
        store.tag(root, tag)
    path, _, name = repository.path.rpartition("/")
    variables = {"REGISTRY": f"http://{repository.host}/{path}", "IMAGE_NAME": name, "HOME": str(tmp_path)}
    with closing(Run(Project(folder, load(folder, variables)), Terminal())) as run:
        yield run


def test_the_page_is_in_the_projects_folder(
    run: Run, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under its name, and replaced by the next; nothing but a line on stderr is printed."""
    for _ in range(2):
        catalog(run, "")
    file = run.project.folder / "catalog.html"
    said = capsys.readouterr()
    assert f"1 version of {repository} in {file}" in said.err
    assert said.out == ""
    text = file.read_text("ascii")
    assert f"Versions of {repository.repository}" in text
    assert "latest, v1" in text
    assert [path.name for path in run.project.folder.iterdir()] == ["catalog.html"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_the_page_goes_where_it_is_wanted(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the current folder on, through a link, or to stdout."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.html").symlink_to("linked.html")
    for name in ("one.html", "new/one.html", "link.html"):
        catalog(run, name)
        assert OURS in (tmp_path / name).read_text("ascii")
    assert (tmp_path / "link.html").is_symlink()
    capsys.readouterr()
    catalog(run, "-")
    said = capsys.readouterr().out
    assert said.startswith("<!doctype html>")
    assert said.endswith("</html>\n")


def test_what_is_no_file_is_written_to(run: Run, tmp_path: Path) -> None:
    """And not replaced, such as a pipe or a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (run.project.folder / "catalog.html").symlink_to(pipe)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        with pytest.raises(BentoshipError, match="is not a catalog"):
            catalog(run, "")
        catalog(run, str(pipe))
        assert OURS in reader.read().decode("ascii")
    assert pipe.is_fifo()


def test_a_page_of_the_projects_own_is_kept(run: Run) -> None:
    """One of the name that was not named is the service's, such as its list of products."""
    file = run.project.folder / "catalog.html"
    file.write_text("<h1>Our products</h1>")
    with pytest.raises(BentoshipError, match="is not a catalog"):
        catalog(run, "")
    assert file.read_text() == "<h1>Our products</h1>"
    catalog(run, str(file))
    assert OURS in file.read_text("ascii")


@pytest.mark.parametrize("name", [".", "file/catalog.html"])
def test_a_place_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path, name: str) -> None:
    """In words."""
    (tmp_path / "file").touch()
    with pytest.raises(BentoshipError, match=r"(?s)Write .*--output"):
        catalog(run, str(tmp_path / name))


def test_commits_are_linked_where_the_project_comes_from(run: Run) -> None:
    """Without the password that its remote has."""
    git = ["git", "-C", str(run.project.folder)]
    subprocess.run([*git, "init", "-q"], check=True)
    remote = "https://me:planted@github.com/acme/planets.git"
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)
    catalog(run, "")
    assert "planted" not in (run.project.folder / "catalog.html").read_text("ascii")
    assert commit_pages(remote) == "https://github.com/acme/planets/commit/"


@pytest.mark.parametrize(
    ("remote", "pages"),
    [
        ("git@github.com:acme/planets.git", "https://github.com/acme/planets/commit/"),
        ("ssh://git@github.com:22/acme/planets.git", "https://github.com/acme/planets/commit/"),
        ("https://GitHub.com/acme/planets/", "https://github.com/acme/planets/commit/"),
        ("https://gitlab.com/acme/deep/planets.git", "https://gitlab.com/acme/deep/planets/-/commit/"),
        ("git@gitlab.acme.example:acme/planets.git", "https://gitlab.acme.example/acme/planets/-/commit/"),
        ("https://bitbucket.org/acme/planets.git", "https://bitbucket.org/acme/planets/commits/"),
        ("https://codeberg.org/acme/planets", "https://codeberg.org/acme/planets/commit/"),
        ("https://example.com/acme/planets.git", ""),
        ("/srv/git/planets.git", ""),
        ("../github.com/acme/planets", ""),
        ("javascript:alert(1)//github.com/acme/planets", ""),
        ('https://github.com/acme/planets"onclick=', ""),
        ("https://github.com.evil.example/acme/planets", ""),
        ("https://evil.example/@github.com/acme/planets", ""),
        ("https://github.com", ""),
        ("", ""),
    ],
)
def test_forges_are_known_by_their_host(remote: str, pages: str) -> None:
    """However Git is told of it; what is at no known one has no link."""
    assert commit_pages(remote) == pages
