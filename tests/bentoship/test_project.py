"""A project, and a run of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError, SettingsError
from bentoship.project import Project, Run, begin, once, step
from bentoship.settings import load
from tests.support.repositories import commit, git


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in a folder that no git repository has."""
    return Project(tmp_path, load(tmp_path, {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}))


@pytest.fixture
def run(project: Project) -> Iterator[Run]:
    """A run that tells a person."""
    with closing(Run(project, Terminal())) as run:
        yield run


def test_a_tag_for_the_commit_needs_one(project: Project) -> None:
    """Of several tags it is left out; alone it is an error."""
    assert project.tags("1a2b") == ("latest", "1a2b")
    alone = Project(project.folder, replace(project.settings, image_tags=("{commit}",)))
    with pytest.raises(SettingsError, match=r"IMAGE_TAGS is \{commit\}"):
        alone.tags("1a2b")


def test_what_is_kept_in_the_project_is_no_change(project: Project) -> None:
    """Of its Git repository, which need not ignore it by itself."""
    (project.folder / "service.py").touch()
    head = commit(project.folder)
    project.hide_layout()
    assert project.tags("1a2b") == ("latest", "1a2b", head[:12])
    assert git(project.folder, "status", "--porcelain") == ""


def test_tags_that_are_the_same_are_one(project: Project) -> None:
    """In the order in which they are set; those without a version move with each publish."""
    twice = Project(project.folder, replace(project.settings, image_tags=("v-{version}", "latest", "v-1")))
    assert twice.tags("1") == ("v-1", "latest")
    assert twice.moving_tags == ("latest", "v-1")


def test_a_step_is_done_once_in_a_run(run: Run, project: Project) -> None:
    """Another run does it again; one that failed is done again."""
    calls: list[Run] = []

    @step
    def made(run: Run) -> int:
        calls.append(run)
        if len(calls) == 1:
            raise FileNotFoundError
        return len(calls)

    with pytest.raises(FileNotFoundError):
        made(run)
    assert (made(run), made(run)) == (2, 2)
    assert made(Run(project, Terminal())) == 3


def test_seconds_are_counted_where_they_are_spent(run: Run) -> None:
    """A step that takes another one along does not have its time; what is no step has none."""

    @once
    def helping(run: Run) -> None:
        time.sleep(0.02)

    @step
    def inner(run: Run) -> None:
        helping(run)

    @step
    def outer(run: Run) -> None:
        inner(run)
        time.sleep(0.05)

    began = time.monotonic()
    outer(run)
    took = time.monotonic() - began
    inner(run)
    assert list(run.seconds) == ["inner", "outer"]
    assert run.seconds["inner"] >= 0.02
    assert run.seconds["outer"] >= 0.05
    assert sum(run.seconds.values()) <= took


def test_work_in_the_background_ends_with_the_run(project: Project) -> None:
    """However the run ends; it is begun once, and again by who needs it afterwards."""
    begun: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def sleeping() -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(["sleep", "60"]) as child:
            begun.append(child)
            try:
                yield child
            finally:
                child.kill()

    def work() -> AbstractContextManager[subprocess.Popen[bytes]]:
        return sleeping()

    def interrupted() -> None:
        with closing(Run(project, Terminal())) as run:
            assert run.background("sleep", work) is run.background("sleep", work)
            assert begun[0].poll() is None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [child.poll() for child in begun] == [-9]
    run = Run(project, Terminal())
    for _ in range(2):
        run.background("sleep", work)
        run.close()
    run.close()
    assert [child.poll() for child in begun] == [-9, -9, -9]


def test_a_run_begins_with_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read and exported, and what looks odd is told."""
    (tmp_path / ".env").write_text("DOCKER_HOST=tcp://file\n", "utf-8")
    monkeypatch.setenv("DOCKER_HOST", "gone after the test")
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("BASE_IMGE", "debian")
    told: list[tuple[str, str]] = []

    class Listening(Terminal):
        def say(self, step: str, text: str) -> None:
            told.append((step, text))

    assert begin(tmp_path, Listening()).project.folder == tmp_path
    assert told == [("settings", "Unknown setting BASE_IMGE; did you mean BASE_IMAGE?")]
    assert os.environ["DOCKER_HOST"] == "tcp://file"


@pytest.mark.parametrize(
    ("place", "setting"), [("cache", "XDG_CACHE_HOME"), ("bentoml", "BENTOML_HOME"), (".bentoship", "project's folder")]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_place_that_cannot_be_written_to_is_explained(
    project: Project, place: str, setting: str, wrapped: bool
) -> None:
    """By the setting that moves it, whatever step failed there, in whatever words, and whatever else they name."""
    project = replace(project, settings=replace(project.settings, bentoml_home=project.folder / "bentoml"))
    (project.folder / place).touch()

    @step
    def fails(run: Run) -> None:
        try:
            (project.folder / place / "below").mkdir()
        except OSError as error:
            if wrapped:
                why = f"{error.filename}: {error.strerror}"
                raise BentoshipError(f"Copy {project.settings.cache}/a", why, "Try again.") from error
            raise

    with closing(Run(project, Terminal())) as run, pytest.raises(BentoshipError, match="Not a directory") as caught:
        fails(run)
    assert setting in caught.value.hint
