"""Folders that a project requires as packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.values import Bento
from bentoship.errors import BentoError
from tests.support.bento import BENTOML_VERSION, append, edit, make_project
from tests.support.wheels import make_folder, source_files


def test_a_folder_that_is_required_is_an_input(tmp_path: Path) -> None:
    """Wherever it is: what changes there makes another Bento, whose image gets a wheel of it."""
    project = make_project(tmp_path / "project")
    make_folder(tmp_path / "shared", source_files("small", tmp_path / "log"))
    append(project.folder / "requirements.txt", "-e ../shared")
    versions: list[str] = []
    wheels: list[bytes] = []

    def build() -> Bento:
        built = bento.build(project)
        (wheel,) = built.path.glob("**/wheels/small-1.0-py3-none-any.whl")
        # Before 1.4.36, BentoML puts it beside the lock, which is no part of the version.
        versions.append(built.version if BENTOML_VERSION >= (1, 4, 36) else str(len(versions)))
        wheels.append(wheel.read_bytes())
        return built

    build()
    assert not bento.build(project).fresh
    append(tmp_path / "shared" / "small" / "__init__.py", "X = 2")
    after = build()
    (tmp_path / "shared" / "small" / "new.py").touch()
    build()
    assert len(set(versions)) == len(set(wheels)) == 3
    lock = (after.path / "env" / "python" / "requirements.txt").read_text("utf-8")
    assert "./wheels/small-1.0-py3-none-any.whl\n" in lock
    assert str(tmp_path) not in lock


def test_a_secret_in_a_wheel_of_a_folder_is_found(tmp_path: Path) -> None:
    """The image would hold it, though the Bento has it in an archive; what the wheel leaves out does not matter."""
    project = make_project(tmp_path / "project")
    key = "-----BEGIN RSA PRIVATE" + " KEY-----\n"
    files = source_files("small", tmp_path / "log") | {"tests/key.txt": f"{key}.", "small/key.txt": key}
    make_folder(tmp_path / "shared", files)
    append(project.folder / "requirements.txt", "../shared")
    with pytest.raises(BentoError, match=r"would hold \.\./shared/small/key\.txt, line 1: Private Key\n"):
        bento.build(project)


@pytest.mark.slow
def test_a_folder_of_packages_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """As the requirements have it, not as an address that is not valid."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "lock_packages: false", "lock_packages: true")
    append(project.folder / "requirements.txt", "--find-links ./nowhere")
    with pytest.raises(BentoError, match=r"there is no folder \./nowhere\nCorrect --find-links"):
        bento.build(project)
