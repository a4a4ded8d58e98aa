"""What uv says of a project, in its Bento."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.questions import exported
from bentoship.bento.values import BuildContext
from bentoship.packages.requirements import RequirementsError, bare, lines, requirements_of
from bentoship.packages.uv_settings import uv_program
from tests.support.bento import BENTOML, edit, make_project
from tests.support.repositories import serving
from tests.support.wheels import make_wheel

PYPROJECT = """\
[project]
name = "small"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["userx", "torchx"]

[dependency-groups]
dev = ["devx"]

[tool.uv.sources]
torchx = { index = "cpu" }

[[tool.uv.index]]
name = "cpu"
url = "http://HOST/cpu"
explicit = true

[[tool.uv.index]]
name = "main"
url = "http://HOST/main"
default = true
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A server of two indexes."""
    for name in ("userx", "devx", "torchx"):
        make_wheel(tmp_path / "served" / "main" / name, name)
    make_wheel(tmp_path / "served" / "cpu" / "torchx", "torchx", "1.0+cpu")
    with serving(tmp_path / "served") as host:
        yield host


def uv(folder: Path, *words: str) -> None:
    """Run uv in a folder, as the user does."""
    subprocess.run([uv_program(), *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, host: str) -> BuildContext:
    """A project of uv's, with its lock, whose Bento is not locked again."""
    project = make_project(tmp_path / "project")
    (project.folder / "pyproject.toml").write_text(PYPROJECT.replace("HOST", host), "utf-8")
    uv(project.folder, "lock")
    return project


def test_a_lock_is_exported_without_the_group_dev(project: BuildContext) -> None:
    """Into lines for what the image needs; the files that decide on them are named."""
    text, files = exported(project.folder)
    assert lines(text) == ["torchx==1.0+cpu", "userx==1.0"]
    assert [file.name for file in files] == ["pyproject.toml", "uv.lock"]


def test_a_lock_that_is_not_there_is_named(project: BuildContext) -> None:
    """In uv's words."""
    (project.folder / "uv.lock").unlink()
    with pytest.raises(RequirementsError, match=r"uv\.lock: .*uv lock"):
        exported(project.folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml"])
def test_a_bento_has_what_the_lock_has(project: BuildContext, kind: str, host: str) -> None:
    """From the indexes that the lock has it from; a change of the lock makes another Bento."""
    bentofile = project.folder / "bentofile.yaml"
    if kind == "uv.lock":
        image = f"image=bentoml.images.Image(python_version='3.11').python_packages({BENTOML!r}).uv_lock()"
        edit(project.folder / "service.py", "@bentoml.service\n", f"@bentoml.service({image})\n")
        edit(bentofile, "  requirements_txt: requirements.txt\n", "")
    else:
        uv(project.folder, "export", "--no-dev", "--format", "pylock.toml", "--no-emit-project", "-o", "pylock.toml")
        edit(bentofile, "requirements.txt", "pylock.toml")
        (project.folder / "pyproject.toml").unlink()
    first = bento.build(project)
    asked, _ = requirements_of(first.path)
    assert [bare(line) for line in lines(asked) if "x==" in line] == ["torchx==1.0+cpu", "userx==1.0"]
    assert f'url = "http://{host}/cpu"' in (first.path / "env" / "python" / "indexes.toml").read_text("utf-8")
    assert bento.up_to_date(project) == bento.build(project)
    edit(project.folder / kind, "1.0+cpu", "2.0+cpu")
    assert bento.up_to_date(project) is None
