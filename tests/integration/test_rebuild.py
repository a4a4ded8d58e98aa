"""Rebuilding a published image from its commit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cache import needs_apt
from tests.support.repositories import commit, git
from tests.support.site import Site, echo_site

pytestmark = [needs_apt, pytest.mark.slow]


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project in a repository."""
    site = echo_site(tmp_path, cache)
    commit(site.folder)
    return site


def test_a_commit_gives_the_same_image_again(site: Site) -> None:
    """The digest is the same, although nothing is taken from a cache; the repository stays as it is."""
    published = site.invoke("publish")
    assert published.returncode == 0, published.stderr
    before = git(site.folder, "status", "--porcelain", "--branch"), git(site.folder, "worktree", "list")
    done = site.invoke("verify", "--rebuild")
    assert done.returncode == 0, done.stderr
    assert done.stdout == published.stdout
    assert "gives the same digest" in done.stderr
    assert (git(site.folder, "status", "--porcelain", "--branch"), git(site.folder, "worktree", "list")) == before
    assert not list((site.cache / "bentoship" / "scratch").glob("rebuild-*"))


def test_what_the_commit_does_not_have_is_named(site: Site) -> None:
    """A file that Git was made to overlook."""
    git(site.folder, "update-index", "--assume-unchanged", "service.py")
    (site.folder / "service.py").open("a").write("\n# unseen\n")
    published = site.invoke("publish")
    assert published.returncode == 0, published.stderr
    done = site.invoke("verify", "--rebuild")
    assert done.returncode == 1
    assert "changed  src/service.py" in done.stderr
    assert "Error: Rebuild sha256:" in done.stderr
    assert done.stdout == ""


def test_a_changed_work_tree_cannot_be_rebuilt(site: Site) -> None:
    """Its image has no commit of its own; the error says what to do."""
    (site.folder / "service.py").open("a").write("\n# not committed\n")
    assert site.invoke("publish").returncode == 0
    done = site.invoke("verify", "--rebuild")
    assert done.returncode == 1
    assert "the project differed from its commit" in done.stderr
    assert "Commit every change" in done.stderr


def test_a_project_that_was_elsewhere_then_is_looked_for_in_vain(site: Site) -> None:
    """The error names the folder that the commit lacks; and a Bento that is built already has no commit at all."""
    published = site.invoke("publish")
    assert published.returncode == 0, published.stderr
    built = re.search(r"(echo:\w+) is built", published.stderr)
    assert built
    done = site.invoke("verify", "--rebuild", BENTO=built[1])
    assert done.returncode == 1
    assert "BENTO names a Bento that is built already" in done.stderr
    moved = site.folder / "services" / "echo"
    moved.mkdir(parents=True)
    for name in git(site.folder, "ls-files").splitlines():
        (moved / name).parent.mkdir(parents=True, exist_ok=True)
        git(site.folder, "mv", name, str(moved / name))
    commit(site.folder)
    done = replace(site, folder=moved).invoke("verify", "--rebuild")
    assert done.returncode == 1
    assert "it has no folder services/echo" in done.stderr
