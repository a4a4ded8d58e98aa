"""Environments to import services in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.packages.building import interpreter_of
from bentoship.packages.environment import Environment, environment_of
from bentoship.system.process import run
from tests.support.wheels import make_requirements, make_source, make_wheel, source_files

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def made(bento: Path, python: str = OWN) -> Environment:
    """The environment of a Bento, and of others beside it."""
    return environment_of(bento, python, bento.parent / "environments", bento.parent / "locks")


def said(environment: Environment, code: str) -> str:
    """What a program prints there."""
    return run([environment.program, "-c", code], env={}).stdout.strip()


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    """A Bento that requires a package with a wheel."""
    make_wheel(tmp_path / "wheels", "toolx", files={"toolx.py": "import sys; WHERE = sys.prefix\n"})
    return make_requirements(tmp_path / "bento", tmp_path / "wheels", "toolx==1.0")


def test_an_environment_has_what_is_required_and_nothing_else(bento: Path) -> None:
    """It is a virtual environment of its own, and stays where it was made."""
    environment = made(bento)
    assert said(environment, "import toolx; print(toolx.WHERE)") == str(environment.folder)
    found = said(environment, "import importlib.util as u; print(u.find_spec('bentoml'), u.find_spec('pip'))")
    assert found == "None None"
    assert str(environment) == f"an environment of Python {OWN} with the 1 package of its requirements"


def test_the_same_requirements_have_the_same_environment(bento: Path, tmp_path: Path) -> None:
    """It is kept by its lock: not made again without an index, and another one for another version."""
    before = made(bento)
    (tmp_path / "wheels" / "toolx-1.0-py3-none-any.whl").rename(tmp_path / "gone.whl")
    assert made(bento) == before
    make_wheel(tmp_path / "wheels", "toolx", "2.0")
    assert made(make_requirements(tmp_path / "other", tmp_path / "wheels", "toolx==2.0")).folder != before.folder


def test_wheels_of_one_name_have_an_environment_each(tmp_path: Path) -> None:
    """A wheel in the Bento counts by its content, as that of a folder changes with it."""
    folders = set()
    for number in (1, 2):
        bento = make_requirements(tmp_path / f"bento{number}", tmp_path, "./wheels/toolx-1.0-py3-none-any.whl")
        make_wheel(bento / "src" / "wheels", "toolx", files={"toolx.py": f"X = {number}\n"})
        environment = made(bento)
        assert said(environment, "import toolx; print(toolx.X)") == str(number)
        folders.add(environment.folder)
    assert len(folders) == 2


def test_what_has_no_wheel_is_built_for_it(tmp_path: Path) -> None:
    """As for an image, and once: the image takes the same wheel."""
    (tmp_path / "wheels").mkdir()
    make_source(tmp_path / "wheels", "toolx", files=source_files("toolx", tmp_path / "log"))
    environment = made(make_requirements(tmp_path / "bento", tmp_path / "wheels", "toolx==1.0"))
    assert said(environment, "import toolx; print(toolx.X)") == "1"
    assert list(tmp_path.glob("locks/built/*/*.whl"))


def test_an_environment_that_cannot_be_made_leaves_none(bento: Path, tmp_path: Path) -> None:
    """Nor a part of one: the next run begins again."""
    make_wheel(tmp_path / "wheels", "broken").write_bytes(b"no archive")
    broken = make_requirements(tmp_path / "broken", tmp_path / "wheels", "broken==1.0")
    with pytest.raises(PackagesError, match="broken"):
        made(broken)
    assert not list(tmp_path.glob("environments/*/pyvenv.cfg"))
    assert made(bento).program.exists()


def test_one_whose_python_is_gone_is_made_again(bento: Path) -> None:
    """An upgrade of Python removes the former one, to which its link leads."""
    environment = made(bento)
    environment.program.unlink()
    environment.program.symlink_to("/no/such/python")
    assert not environment.is_usable()
    assert made(bento).is_usable()


def test_environments_that_are_not_used_are_forgotten(bento: Path, tmp_path: Path) -> None:
    """A month after the last use, when another one is made."""
    old, used = made(bento), tmp_path / "used"
    os.utime(old.folder, (1, 1))
    assert old.is_usable()
    make_wheel(tmp_path / "wheels", "tooly")
    made(make_requirements(used, tmp_path / "wheels", "tooly==1.0"))
    assert old.folder.is_dir()
    os.utime(old.folder, (1, 1))
    made(make_requirements(used, tmp_path / "wheels", "tooly==1.0", "toolx==1.0"))
    assert not old.folder.exists()


def test_another_python_is_named(bento: Path) -> None:
    """The running one serves where the image's is not to be had."""
    environment = made(bento, "3.99")
    assert environment.python == OWN
    assert f"an environment of Python {OWN}, since this machine has no Python 3.99, with " in str(environment)
    assert said(environment, "import toolx, sys; print('%d.%d' % sys.version_info[:2])") == OWN


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Another Python of this machine: its minor version, and where it is."""
    names = (f"3.{minor}" for minor in range(9, 15) if f"3.{minor}" != OWN)
    found = ((name, interpreter_of(name, tmp_path_factory.getbasetemp())) for name in names)
    name, program = next(((name, program) for name, program in found if program), ("", ""))
    if not name:
        pytest.skip("no other Python here")
    return name, Path(program).resolve()


def test_a_version_of_pyenv_is_found(other: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its shims fail for versions that are installed, and not set for the folder."""
    python, program = other
    shim, version = (tmp_path / place / f"python{python}" for place in ("shims", f"versions/{python}.1/bin"))
    for file, line in ((shim, "exit 127"), (version, f'exec {program} "$@"')):
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
        file.chmod(0o700)
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    assert interpreter_of(python, tmp_path)


@pytest.mark.slow
def test_a_python_that_is_installed_later_is_taken_then(
    bento: Path, other: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment of the running one has done its service."""
    python, _ = other
    with monkeypatch.context() as before:
        before.setenv("PATH", str(tmp_path))
        if interpreter_of(python, bento):
            pytest.skip("uv finds it without PATH")
        environment = made(bento, python)
        assert environment.is_usable()
    assert not environment.is_usable()
    assert made(bento, python).python == python


@pytest.mark.slow
def test_the_images_python_is_taken_where_it_is(bento: Path, other: tuple[str, Path]) -> None:
    """Of those that uv finds on this machine."""
    python, _ = other
    environment = made(bento, python)
    assert said(environment, "import toolx, sys; print('%d.%d' % sys.version_info[:2])") == python
    assert "since" not in str(environment)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("PYENV_ROOT", "versions"),
        ("ASDF_DATA_DIR", "installs/python"),
        ("HOME", ".pyenv/versions"),
        ("HOME", ".local/share/mise/installs/python"),
    ],
)
def test_a_python_that_is_not_selected_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str
) -> None:
    """The latest of the version among those that a manager has installed; none of another kind, and no broken one."""
    for name in ("PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    for version in ("3.99.2", "3.99.10", "3.99.11t", "3.99-dev", "3.99.12"):
        program = tmp_path / folder / version / "bin" / "python3.99"
        program.parent.mkdir(parents=True)
        program.touch(0o600 if version == "3.99.12" else 0o700)
    assert interpreter_of("3.99", tmp_path) == str(tmp_path / folder / "3.99.10" / "bin" / "python3.99")
    assert interpreter_of("3.98", tmp_path) == ""
