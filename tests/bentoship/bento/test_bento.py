"""From bentofile.yaml to a Bento."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.content import image_files
from bentoship.errors import BentoError
from tests.support.bento import HAS_STAGES, append, edit, lay, make_project, needs_src_layout
from tests.support.slow import cases
from tests.support.wheels import make_source, make_wheel

CHANGES: dict[str, Callable[[Path], object]] = {
    "an included file": lambda p: append(p / "data" / "words.txt", "four"),
    "a new included file": lambda p: append(p / "data" / "new.txt", "new"),
    "an executable bit": lambda p: (p / "data" / "words.txt").chmod(0o755),
    "the service": lambda p: append(p / "service.py", "# a comment"),
    "bentofile.yaml": lambda p: append(p / "bentofile.yaml", "labels:\n  team: stars"),
    "a requirements file": lambda p: append(p / "requirements.txt", "idna==3.20"),
    "an included requirements file": lambda p: append(p / "more.txt", "idna==3.20"),
    ".bentoignore": lambda p: append(p / ".bentoignore", "data/other.txt"),
    "envs": lambda p: append(p / "bentofile.yaml", "envs:\n  - name: MODE\n    value: fast"),
    "args": lambda p: append(p / "bentofile.yaml", "args:\n  size: 3"),
}


@pytest.mark.parametrize("change", cases(CHANGES, "a new included file", "an included requirements file"))
def test_a_changed_input_gives_another_bento(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Whatever goes into a Bento, when it changes the Bento is rebuilt, under another version."""
    project = make_project(tmp_path / "project")
    before = bento.build(project)
    change(project.folder)
    assert bento.up_to_date(project) is None
    after = bento.build(project)
    assert after.fresh
    assert after.version != before.version


@pytest.mark.slow
def test_a_store_and_a_cache_in_the_project_are_not_packed(tmp_path: Path) -> None:
    """A Bento would pack itself, and be another one each time; also where the service starts a program on import."""
    made = make_project(tmp_path / "project")
    folder = made.folder
    edit(folder / "bentofile.yaml", "include:", 'include:\n  - "**/*.txt"')
    append(folder / "service.py", "import subprocess\nsubprocess.run(['true'])")
    project = replace(made, records=folder / "cache" / "bentoship" / "bentos", bentoml_home=folder / "home")
    before = bento.build(project)
    assert before.path.is_relative_to(folder / "home")
    assert not {path.name for path in (before.path / "src").iterdir()} & {"cache", "home"}
    after = bento.build(project)
    assert (after.version, after.fresh, before.fresh) == (before.version, False, True)


def test_what_is_excluded_changes_nothing(tmp_path: Path) -> None:
    """A file that is not packed, a time, a folder of git's: the Bento is up to date."""
    project = make_project(tmp_path / "project")
    before = bento.build(project)
    append(project.folder / "data" / "secret.txt", "more")
    append(project.folder / "notes.txt", "not included")
    (project.folder / ".git").mkdir()
    append(project.folder / ".git" / "HEAD", "ref")
    for path in project.folder.rglob("*"):
        os.utime(path, (1, 1))
    after = bento.build(project)
    assert (after.version, after.fresh, before.fresh) == (before.version, False, True)


def test_a_lock_for_another_platform_is_not_taken(tmp_path: Path) -> None:
    """The same content has one version, and one place in the store, whatever its packages are locked for."""
    project = make_project(tmp_path / "project")
    other = replace(project, platform="linux/arm64")
    before = bento.build(project)
    requirements = before.path / "env" / "python" / "requirements.txt"
    locked = requirements.read_text("utf-8")
    assert bento.build(other).version == before.version
    requirements.write_text(f"{locked}only-for-arm64==1\n", "utf-8")  # as BentoML may lock it there
    assert bento.up_to_date(project) is None
    assert bento.build(project).fresh
    assert requirements.read_text("utf-8") == locked


def test_a_package_that_cannot_be_built_is_reported_without_a_traceback(tmp_path: Path) -> None:
    """The last line of it says what was wrong."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "  lock_packages: false\n", "")
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: old\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n',
        "own.py": "import no_such_module\n",
    }
    source = make_source(tmp_path, "old", files=files)
    append(project.folder / "requirements.txt", f"old @ {source.as_uri()}")
    with pytest.raises(
        BentoError, match=r"Build old @ .*: ModuleNotFoundError: No module named 'no_such_module'\n"
    ) as caught:
        bento.build(project)
    assert "Traceback" not in caught.value.why
    assert "File " not in caught.value.why


@pytest.mark.slow
def test_a_lock_that_can_be_no_other_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each package has its exact version, a change of the source needs no index; where one has none, it does."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "  lock_packages: false\n", "")
    exact = bento.build(project).path / "env" / "python" / "requirements.txt"
    (project.folder / "requirements.txt").write_text(exact.read_text("utf-8"), "utf-8")
    before = bento.build(project)
    no_network(monkeypatch)
    append(project.folder / "service.py", "x = 1")
    after = bento.build(project)
    assert after.version != before.version
    assert [(built.path / "env/python/requirements.txt").read_text("utf-8") for built in (before, after)] == [
        (before.path / "env/python/requirements.txt").read_text("utf-8")
    ] * 2
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    append(project.folder / "service.py", "x = 2")
    with pytest.raises(BentoError, match="Lock the Bento's Python packages"):
        bento.build(project)
    monkeypatch.undo()
    assert bento.build(project).fresh
    append(project.folder / "requirements.txt", "wheel>=0.40")
    bento.build(project)
    no_network(monkeypatch)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty"))
    append(project.folder / "service.py", "x = 3")
    with pytest.raises(BentoError, match="Lock the Bento's Python packages"):
        bento.build(project)


def test_another_bentoml_than_the_one_that_builds_is_named(tmp_path: Path) -> None:
    """With the host's packages, a project that requires it cannot be locked; the hint is the command that uses it."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "  lock_packages: false\n", "")
    (project.folder / "requirements.txt").write_text("bentoml==1.4.25\n", "utf-8")
    with pytest.raises(BentoError, match=r"bentoml==1\.4\.25") as caught:
        bento.build(replace(project, python="host"))
    assert "`uvx --with 'bentoml==1.4.25' bentoship publish`" in caught.value.hint


def test_a_bentoml_that_is_not_supported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything of it is imported: which one was found, which are supported, and what to do."""
    project = make_project(tmp_path / "project")
    site = lay(tmp_path / "site", "bentoml/__init__.py", "bentoml-1.4.19.dist-info/METADATA")
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "bentoml", raising=False)
    with pytest.raises(BentoError, match=r"BentoML 1\.4\.19 is installed.*>=1\.4\.20,<1\.5") as caught:
        bento.build(project)
    assert 'pip install "bentoml>=1.4.20,<1.5"' in caught.value.hint


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every way out lead to a port where nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


@needs_src_layout
def test_byte_code_is_kept_for_packages_alone(tmp_path: Path) -> None:
    """Not among the user's files, whose work tree is to stay as it is."""
    project = make_project(tmp_path / "project")
    (project.folder / "src").mkdir()
    (project.folder / "src" / "own.py").touch()
    append(project.folder / "service.py", "import own")
    edit(project.folder / "bentofile.yaml", "  - service.py\n", "  - service.py\n  - src/own.py\n")
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  is_src_layout: true\n")
    bento.build(project)
    assert not list(project.folder.rglob("__pycache__"))


def test_the_version_is_the_content(tmp_path: Path) -> None:
    """The same sources in another folder and another store give the same version, and a damaged Bento is mended."""
    first = bento.build(make_project(tmp_path / "a" / "project"))
    project = make_project(tmp_path / "b ü" / "elsewhere")
    second = bento.build(project)
    assert first.version == second.version
    shutil.rmtree(second.path)
    again = bento.build(project)
    assert (again.fresh, again.version, again.path.is_dir()) == (True, first.version, True)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "changed": lambda file: append(file, "# changed"),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize(
    "name", cases({name: name for name in ("src/service.py", "bento.yaml", "env/docker/entrypoint.sh")}, "bento.yaml")
)
@pytest.mark.parametrize("damage", cases(DAMAGES, "changed"))
def test_a_damaged_bento_is_built_anew(tmp_path: Path, name: str, damage: Callable[[Path], object]) -> None:
    """Whatever file of it in the store is not as it was built; never is it packed."""
    project = make_project(tmp_path / "project")
    before = bento.build(project)
    content = (before.path / "src" / "service.py").read_bytes()
    assert bento.up_to_date(project)
    damage(before.path / name)
    assert bento.up_to_date(project) is None
    after = bento.build(project)
    assert after == before
    assert (after.path / "src" / "service.py").read_bytes() == content


def test_another_build_of_the_same_is_as_good(tmp_path: Path) -> None:
    """Another working copy of the project that shares the store leaves it up to date."""
    first = make_project(tmp_path / "one" / "project")
    second = replace(make_project(tmp_path / "two" / "project"), bentoml_home=first.bentoml_home)
    assert bento.build(first).path == bento.build(second).path
    assert bento.up_to_date(first)


def test_a_preview_leaves_no_bento(tmp_path: Path) -> None:
    """It has the version that building would give, and the store stays as it was."""
    project = make_project(tmp_path / "project")
    seen = bento.preview(project, tmp_path / "preview")
    assert list((project.bentoml_home / "bentos").glob("*/*/bento.yaml")) == []
    assert list(project.bentoml_home.glob("tmp/*")) == []
    assert bento.build(project).version == seen.version


def test_nothing_of_the_machine_is_packed(tmp_path: Path) -> None:
    """No path, address or time of day is in what goes into the image."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "requirements.txt", "-r more", "--extra-index-url https://me:secret@index.invalid\n-r more")
    files = image_files(bento.build(project).path)
    body = b"".join(c if isinstance(c, bytes) else c.read_bytes() for c in files.values())
    assert b"words.txt" not in body
    assert "src/data/words.txt" in files
    assert "src/data/secret.txt" not in files
    assert b"me:secret" not in files["bento.yaml"]  # type: ignore[operator]
    assert str(tmp_path).encode() not in body


@pytest.mark.parametrize(
    ("bentofile", "parts"),
    [
        ("service: [", ["Read bentofile.yaml", "not YAML", "line 1"]),
        ("- a\n- b\n", ["Read bentofile.yaml", "no settings"]),
        ("service: service:Echo\nincluds: [a]\n", ["Read bentofile.yaml", "unknown key: includs"]),
        ("service: service:Echo\npython:\n  pakages: [a]\n", ["unknown key in its section python: pakages"]),
        ("service: service:Missing\n", ["Build the Bento", "Missing"]),
        ("service: absent:Echo\n", ["Build the Bento", "absent"]),
    ],
)
def test_a_wrong_bentofile_is_reported(tmp_path: Path, bentofile: str, parts: list[str]) -> None:
    """What is wrong with it, in one to three lines."""
    project = make_project(tmp_path / "project")
    (project.folder / "bentofile.yaml").write_text(bentofile, "utf-8")
    with pytest.raises(BentoError) as caught:
        bento.build(project)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("import no_such_module", ["ModuleNotFoundError", "no_such_module", "service.py, line 1"]),
        ("raise RuntimeError('out of luck')", ["RuntimeError: out of luck", "service.py, line 1"]),
        ("def broken(:", ["SyntaxError", "service.py, line 1"]),
        ("raise SystemExit(7)", ["SystemExit: 7", "service.py, line 1"]),
        ("import os; os._exit(9)", ["the process that imports the service ended", "9"]),
    ],
)
def test_a_service_that_does_not_import_is_reported(tmp_path: Path, line: str, parts: list[str]) -> None:
    """With its own error, and where in the user's file it was raised."""
    project = make_project(tmp_path / "project")
    service = project.folder / "service.py"
    service.write_text(f"{line}\n{service.read_text('utf-8')}", "utf-8")
    with pytest.raises(BentoError) as caught:
        bento.build(replace(project, python="host"))
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert list((project.bentoml_home / "bentos").glob("*/*/bento.yaml")) == []


def test_the_service_sees_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that imports it gets an allow-list of the environment."""
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    project = make_project(tmp_path / "project")
    seen = tmp_path / "seen.json"
    service = project.folder / "service.py"
    line = f"import json, os; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))"
    service.write_text(f"{line}\n{service.read_text('utf-8')}", "utf-8")
    bento.build(project)
    assert "secret" not in json.loads(seen.read_text("utf-8")).values()


def test_what_needs_a_dockerfile_is_named(tmp_path: Path) -> None:
    """Every reason at once."""
    project = make_project(tmp_path / "project")
    (project.folder / "setup.sh").write_text("#!/bin/sh\n", "utf-8")
    edit(
        project.folder / "bentofile.yaml", "docker:\n", "docker:\n  system_packages: [git]\n  setup_script: setup.sh\n"
    )
    append(project.folder / "bentofile.yaml", "envs:\n  - name: TOKEN\n    value: x\n    stage: build")
    reasons = [*bento.build(project).needs_dockerfile]
    assert reasons[:2] == ["docker.system_packages (git)", "docker.setup_script (setup.sh)"]
    assert ("TOKEN" in " ".join(reasons)) == HAS_STAGES


@pytest.mark.slow
def test_what_bentoml_ignores_beside_an_image_is_noted(tmp_path: Path) -> None:
    """Not where there is none: then it takes its first format, which has it."""
    project = make_project(tmp_path / "project")
    make_wheel(project.folder, "toolx")
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  wheels: [toolx-1.0-py3-none-any.whl]\n")
    assert bento.build(project).notes == ()
    image = "bentoml.images.Image(lock_python_packages=False)"
    edit(project.folder / "service.py", "@bentoml.service\n", f"@bentoml.service(image={image})\n")
    (note,) = bento.build(project).notes
    assert note.startswith("BentoML ignores python.wheels, ")
    assert bento.build(project).notes == (note,)  # it is up to date


def test_the_base_that_a_bentofile_names_is_known(tmp_path: Path) -> None:
    """Also when it is the one that BentoML would have filled in."""
    project = make_project(tmp_path / "project")
    assert bento.build(project).base_image == ""
    edit(project.folder / "bentofile.yaml", "docker:\n", "docker:\n  base_image: python:3.11-slim\n")
    assert bento.build(project).base_image == "python:3.11-slim"


def test_what_else_is_in_the_store_does_not_matter(tmp_path: Path) -> None:
    """A broken Bento stays where it is, whether of another project or of this one; none is there but whole ones."""
    project = make_project(tmp_path / "project")
    broken = [project.store / "other" / "abc", project.store / "echo" / "abc"]
    for folder in broken:
        folder.mkdir(parents=True)
    (project.store / "echo" / "latest").write_text("abc", "utf-8")
    built = bento.build(project)
    assert built.fresh
    assert (project.store / "echo" / "latest").read_text("utf-8") == built.version
    assert sorted(path for path in project.store.glob("*/*") if path.is_dir()) == sorted([*broken, built.path])
