"""The package, as others get it: built, installed into an environment of its own, and used in their projects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bentoship.system.files import file_lock
from tests.support.bento import make_project
from tests.support.cache import needs_apt, of_run
from tests.support.site import ROOT, Site, shared_cache

PYPROJECT = """\
[project]
name = "theirs"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["numpy<2"]
"""


def uv(*words: str | Path, cwd: Path = ROOT) -> None:
    """Run uv, as in a user's shell."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [sys.executable, "-m", "uv", *map(str, words)]
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@dataclass(frozen=True)
class Installed:
    """The built package in an environment.

    Args:
        dist: the folder with wheel and sdist.
        environment: the virtual environment.
    """

    dist: Path
    environment: Path

    @property
    def wheel(self) -> Path:
        """The wheel."""
        (wheel,) = self.dist.glob("*.whl")
        return wheel

    def run(self, site: Site, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in a project, as its user does."""
        programs = self.environment / "bin"
        env = {name: value for name, value in site.env.items() if name != "PYTHONPATH"}
        env["PATH"] = f"{programs}:{env['PATH']}"
        done = subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=site.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, done.stderr[-3000:]
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Installed:
    """The package, built and installed once for all processes of the tests, with the versions that are pinned here."""
    folder = of_run(tmp_path_factory, worker_id) / "package"
    made = Installed(folder / "dist", folder / "environment")
    with file_lock(folder / "lock"):
        if not (folder / "done").exists():
            uv("build", "--quiet", "--out-dir", made.dist)
            pins = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["uv"]["constraint-dependencies"]
            (folder / "pins").write_text("\n".join(pins), "utf-8")
            uv("venv", "--quiet", "--python", sys.executable, made.environment)
            python = made.environment / "bin" / "python"
            uv("pip", "install", "--quiet", "--python", python, "--constraint", folder / "pins", made.wheel)
            (folder / "done").touch()
    return made


@pytest.fixture
def site(
    installed: Installed, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Site]:
    """A project that packs all its Python files, as BentoML's examples do, and a user who has published nothing."""
    made = project(tmp_path / "site", shared_cache(tmp_path / "caches", of_run(tmp_path_factory, worker_id)))
    yield made
    installed.run(made, "bentoship", "stop-registry")


def project(folder: Path, cache: Path) -> Site:
    """A project in a folder of its own."""
    made = Site(folder / "project", folder / "home", cache)
    made.home.mkdir(parents=True)
    make_project(made.folder)
    bentofile = made.folder / "bentofile.yaml"
    bentofile.write_text(bentofile.read_text("utf-8").replace("  - service.py\n", '  - "*.py"\n'), "utf-8")
    return made


def test_the_wheel_holds_the_package_alone(installed: Installed) -> None:
    """With the tasks, what init writes, the licence and the mark for type checkers; not the example, not the tests."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()
        tasks = wheel.read("bentoship/tasks.py").decode()
        (metadata,) = (wheel.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"bentoship"}
    assert {"bentoship/py.typed", "bentoship/templates/env.example", "bentoship/templates/publish.yaml"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert tasks == (ROOT / "tasks.py").read_text("utf-8")
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata


def test_a_wheel_can_be_built_from_the_sdist(installed: Installed, tmp_path: Path) -> None:
    """Without the repository around it; it is the same wheel."""
    (sdist,) = installed.dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    uv("build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", cwd=folder)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.read_bytes() == installed.wheel.read_bytes()


@needs_apt
def test_a_project_is_published_with_and_without_tasks(installed: Installed, site: Site, tmp_path: Path) -> None:
    """`invoke publish` after init gives the digest of `bentoship publish`; the image has nothing of the publisher's."""
    other = project(tmp_path / "other", site.cache)
    alone = installed.run(other, "bentoship", "publish").stdout
    installed.run(site, "bentoship", "init")
    by_invoke = installed.run(site, "invoke", "publish").stdout
    assert by_invoke == alone
    assert installed.run(site, "bentoship", "publish").stdout == alone
    layout = site.folder / ".bentoship" / "image"
    packed = set()
    for blob in (layout / "blobs" / "sha256").iterdir():
        if tarfile.is_tarfile(blob):
            with tarfile.open(blob) as layer:
                packed |= set(layer.getnames())
    source = {name.partition("/bento/src/")[2] for name in packed} - {""}
    assert "service.py" in source
    assert not source & {"tasks.py", ".env.example", ".gitignore"}
    assert not [name for name in packed if "bentoship" in name]


@needs_apt
def test_a_project_with_files_of_its_own_is_left_as_it_is(installed: Installed, site: Site) -> None:
    """Its pyproject.toml, tasks.py and .env are its own: nothing of them is changed, and nothing clashes."""
    own = {
        "pyproject.toml": PYPROJECT,
        "tasks.py": 'from invoke import task\n\n\n@task\ndef greet(c):\n    """Greet."""\n    print("hello")\n',
        ".env": "DATABASE_URL=postgres://me:secret@db/app\nPLATFORM=linux\nPROJECT_ID=7\n",
        "README.md": "# Theirs\n",
    }
    for name, content in own.items():
        (site.folder / name).write_text(content, "utf-8")
    said = installed.run(site, "bentoship", "init").stderr
    assert "ns.add_collection(bentoship.tasks" in said
    assert {name: (site.folder / name).read_text("utf-8") for name in own} == own
    plan = installed.run(site, "bentoship", "plan", "--json")
    assert json.loads(plan.stdout)["layers"]
    assert "secret" not in plan.stdout + plan.stderr
    assert "DATABASE_URL" not in plan.stderr
    assert installed.run(site, "invoke", "greet").stdout == "hello\n"
