"""What configures the build of a Bento: the three styles that BentoML knows, and what the user sets."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentoship import bento
from bentoship.bento.configuration import check_configuration, import_variables, read_configuration
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from tests.support.bento import BENTOML, lay, needs_src_layout

PYPROJECT = f"""\
[project]
name = "sky"
version = "1.0"
dependencies = ["{BENTOML}"]

[tool.bentoml.build]
service = "service:Echo"
include = ["service.py"]
python = {{ packages = ["attrs>=25"] }}
"""

IN_CODE = f"""\
import bentoml

image = bentoml.images.Image(python_version="3.11", lock_python_packages=False).python_packages("{BENTOML}")

@bentoml.service(image=image.requirements_file("needs.txt"))
class Echo:
    @bentoml.api
    def echo(self, text: str) -> str:
        return text
"""


def make(folder: Path, **files: str) -> BuildContext:
    """A project with some files, by their names without dots."""
    names = {
        "service": "service.py",
        "pyproject": "pyproject.toml",
        "bentofile": "bentofile.yaml",
        "needs": "needs.txt",
    }
    folder.mkdir()
    for name, text in files.items():
        (folder / names[name]).write_text(text, "utf-8")
    return BuildContext(folder, folder.parent / "records", folder.parent / "bentoml-home")


@pytest.mark.parametrize(
    ("files", "file", "options"),
    [
        ({"bentofile": "service: a:A\n", "pyproject": PYPROJECT}, "bentofile.yaml", {"service": "a:A"}),
        ({"service": "", "bentofile": "include: ['*.py']\n"}, "bentofile.yaml", {"include": ["*.py"], "service": ""}),
        ({"service": "", "pyproject": ""}, "pyproject.toml", {"service": ""}),
        ({"service": ""}, None, {"service": ""}),
        (
            {"pyproject": PYPROJECT},
            "pyproject.toml",
            {
                "name": "sky",
                "service": "service:Echo",
                "include": ["service.py"],
                "python": {"packages": ["attrs>=25", BENTOML]},
            },
        ),
    ],
)
def test_where_it_is_found(tmp_path: Path, files: dict[str, str], file: str | None, options: dict[str, Any]) -> None:
    """In bentofile.yaml, else in pyproject.toml with its dependencies, else in service.py alone."""
    project = make(tmp_path / "project", **files)
    found = read_configuration(project)
    assert (found.file and found.file.name, found.options) == (file, options)


@needs_src_layout
def test_a_src_folder_beside_pyproject_is_a_src_layout(tmp_path: Path) -> None:
    """Unless the file says otherwise."""
    project = make(tmp_path / "project", pyproject=PYPROJECT)
    lay(project.folder, "src/a.py")
    assert read_configuration(project).options["python"]["is_src_layout"] is True
    text = PYPROJECT.replace("packages =", "is_src_layout = false, packages =")
    (project.folder / "pyproject.toml").write_text(text, "utf-8")
    assert read_configuration(project).options["python"]["is_src_layout"] is False


@pytest.mark.parametrize(
    ("files", "parts"),
    [
        ({}, ["Find the service", "neither a bentofile.yaml nor a pyproject.toml nor a service.py"]),
        ({"bentofile": "include: ['*.py']\n"}, ["Find the service", "bentofile.yaml names none"]),
        ({"bentofile": "service: Echo\n", "service": ""}, ["Find the service", "Echo is no module", "module:Class"]),
        ({"pyproject": "[project]\nname = 'sky'\n"}, ["Find the service", "pyproject.toml names none"]),
        ({"pyproject": "a =\n"}, ["Read pyproject.toml", "not TOML", "line 1"]),
        ({"pyproject": "project = 1\n"}, ["Read pyproject.toml", "[project] or [tool.bentoml.build] has another form"]),
    ],
)
def test_a_wrong_one_is_reported(tmp_path: Path, files: dict[str, str], parts: list[str]) -> None:
    """What is wrong with it, and where."""
    with pytest.raises(BentoError) as caught:
        read_configuration(make(tmp_path / "project", **files))
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize(
    "name", ["service", "service.py", "./service.py", "inner.service", "inner/service.py", "inner"]
)
def test_a_service_may_be_a_module_alone(tmp_path: Path, name: str) -> None:
    """Of the project: BentoML would also take a Bento of that name from its store."""
    project = make(tmp_path / "project", bentofile=f"service: {name}\n", service="")
    lay(project.folder, "src/inner/__init__.py", "src/inner/service.py")
    assert read_configuration(project).options["service"] == name


def test_a_service_whose_module_is_missing_is_refused(tmp_path: Path) -> None:
    """Before the import, which is not to blame."""
    project = make(tmp_path / "project", bentofile="service: absent:A\n", service="")
    with pytest.raises(BentoError, match="absent is no module of the project"):
        check_configuration(project, read_configuration(project))


@pytest.mark.parametrize("tag", ["stars:1234", "stars", "stars:latest", "Stars:12"])
def test_a_bento_that_is_built_has_to_exist(tmp_path: Path, tag: str) -> None:
    """In the Bento store, found as BentoML finds it."""
    project = replace(make(tmp_path / "project", service=""), bento=tag)
    with pytest.raises(BentoError, match=f"Find the Bento: {tag} is not in the Bento store .*bentos"):
        check_configuration(project, read_configuration(project))
    (project.store / "stars" / "1234").mkdir(parents=True)
    configuration = read_configuration(project)
    check_configuration(project, configuration)
    assert configuration.file is None


def test_what_is_set_wins(tmp_path: Path) -> None:
    """Another file, and another service."""
    project = make(tmp_path / "project", bentofile="service: a:A\n", service="")
    (tmp_path / "other.yaml").write_text("service: b:B\n", "utf-8")
    other = replace(project, bentofile=tmp_path / "other.yaml")
    assert read_configuration(other).options == {"service": "b:B"}
    assert read_configuration(replace(other, service="c:C")).options == {"service": "c:C"}


def test_an_image_in_the_code_is_built_and_counts(tmp_path: Path) -> None:
    """Its packages are the Bento's, and a file that it reads is an input."""
    project = make(tmp_path / "project", service=IN_CODE, needs="attrs>=25\n")
    built = bento.build(project)
    assert (built.name, built.python_version, built.needs_dockerfile) == ("echo", "3.11", ())
    assert "attrs>=25" in (built.path / "env" / "python" / "requirements.txt").read_text("utf-8")
    assert bento.up_to_date(project) is not None
    (project.folder / "needs.txt").write_text("attrs>=24\n", "utf-8")
    assert bento.up_to_date(project) is None


def test_pyproject_is_built_with_its_dependencies(tmp_path: Path) -> None:
    """The name is the project's; the file is an input."""
    service = "import bentoml\n\n@bentoml.service\nclass Echo:\n    pass\n"
    text = PYPROJECT.replace("python = {", "python = { lock_packages = false,")
    project = make(tmp_path / "project", service=service, pyproject=text)
    built = bento.build(project)
    assert built.name == "sky"
    assert {BENTOML, "attrs>=25"} <= set((built.path / "env/python/requirements.txt").read_text("utf-8").splitlines())
    (project.folder / "pyproject.toml").write_text(text.replace("attrs>=25", "attrs>=24"), "utf-8")
    assert bento.up_to_date(project) is None


def test_arguments_reach_the_service_and_count(tmp_path: Path) -> None:
    """They are in the Bento, as `bentoml build --arg` puts them there, and so are no secrets."""
    service = (
        "import bentoml\n\narguments = bentoml.use_arguments()\n\n"
        "@bentoml.service(labels={'size': arguments.size})\nclass Echo:\n    pass\n"
    )
    text = f"service: service:Echo\npython: {{packages: ['{BENTOML}'], lock_packages: false}}\n"
    project = replace(make(tmp_path / "project", service=service, bentofile=text), arguments=(("size", "small"),))
    built = bento.build(project)
    assert built.labels == (("size", "small"),)
    assert yaml.safe_load((built.path / "bento.yaml").read_text("utf-8"))["args"] == {"size": "small"}
    assert bento.up_to_date(replace(project, arguments=(("size", "large"),))) is None
    secret = replace(project, arguments=(("size", "small"), ("api_key", "correct-horse")))
    with pytest.raises(BentoError, match="the argument api_key: a value under the name of a secret"):
        bento.build(secret)


def test_variables_reach_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that envs names, with their value there or here, and those that the user lists; their values are inputs."""
    service = (
        "import os\nimport bentoml\n\n"
        "found = {name: os.environ.get(name, '') for name in ('MODE', 'KEY', 'MORE', 'OTHER')}\n\n"
        "@bentoml.service(labels=found)\nclass Echo:\n    pass\n"
    )
    text = (
        "service: service:Echo\nenvs: [{name: MODE, value: fast}, {name: KEY}]\n"
        f"python: {{packages: ['{BENTOML}'], lock_packages: false}}\n"
    )
    project = replace(make(tmp_path / "project", service=service, bentofile=text), variables=("MORE",))
    for name in ("MODE", "KEY", "MORE", "OTHER"):
        monkeypatch.setenv(name, "here")
    built = bento.build(project)
    assert dict(built.labels) == {"MODE": "fast", "KEY": "here", "MORE": "here", "OTHER": ""}
    assert bento.up_to_date(project) is not None
    monkeypatch.setenv("OTHER", "elsewhere")
    assert bento.up_to_date(project) is not None
    monkeypatch.setenv("KEY", "elsewhere")
    assert bento.up_to_date(project) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [", "not YAML: line 1"),
        ("- a", "holds no settings"),
        ("a: &a [*a]", "repeats itself without an end"),
        ("a: " + "[" * 2000, "nested more than 100 deep"),
        ("#" * (2 << 20), "larger than 1.0 MB"),
        ("a: !!bool x", "not of its type"),
    ],
)
def test_a_bentofile_that_is_none_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """By its name, with what is wrong."""
    (tmp_path / "bentofile.yaml").write_text(text, "utf-8")
    with pytest.raises(BentoError, match=f"Read bentofile.yaml: .*{why}"):
        read_configuration(BuildContext(tmp_path, tmp_path, tmp_path))


LISTS = [
    *("include", "exclude", "models", "envs", "python.packages", "python.wheels", "docker.system_packages"),
    *("conda.channels", "conda.dependencies", "conda.pip", "project.dependencies"),
]


@pytest.mark.parametrize("key", LISTS)
def test_a_text_in_place_of_a_list_is_refused(tmp_path: Path, key: str) -> None:
    """By its key, rather than taken letter by letter."""
    section, _, name = key.rpartition(".")
    table = "project" if section == "project" else f"tool.bentoml.build.{section}".rstrip(".")
    (tmp_path / "pyproject.toml").write_text(f"[{table}]\n{name} = 'data/'\n", "utf-8")
    (tmp_path / "service.py").touch()
    context = BuildContext(tmp_path, tmp_path, tmp_path)
    with pytest.raises(BentoError, match=f"Read pyproject.toml: {key} is no list, but 'data/'"):
        read_configuration(context)
    if section != "project":
        text = f"{section}: {{{name}: data/}}" if section else f"{name}: data/"
        (tmp_path / "bentofile.yaml").write_text(text, "utf-8")
        with pytest.raises(BentoError, match=rf"Read bentofile.yaml: {key} is no list.*\nWrite \[\"data/\"\]"):
            read_configuration(context)


def test_what_may_be_a_text_stays_one(tmp_path: Path) -> None:
    """BentoML takes one index for a list of one; nothing at all is an empty list."""
    text = "service: a:A\ninclude:\npython: {extra_index_url: https://h/, find_links: https://h/, trusted_host: h}\n"
    (tmp_path / "bentofile.yaml").write_text(text, "utf-8")
    assert read_configuration(BuildContext(tmp_path, tmp_path, tmp_path)).options["include"] is None


@pytest.mark.parametrize("name", ["A=B", "A\nB", "A\0", ""])
def test_a_name_that_no_variable_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """Rather than by the system when the service is to be imported; so is a value with a NUL."""
    context = BuildContext(tmp_path, tmp_path, tmp_path)
    with pytest.raises(BentoError, match=re.escape(f"{name!r} cannot be a variable's name")):
        import_variables(context, {"envs": [{"name": name, "value": "c"}]})
    with pytest.raises(BentoError, match="the value of A has a NUL"):
        import_variables(context, {"envs": [{"name": "A", "value": "\0"}]})
    assert import_variables(context, {"envs": [{"name": "A", "value": "b=c\nd"}]}) == {"A": "b=c\nd"}


def test_a_variable_of_a_service_is_checked_as_well(tmp_path: Path) -> None:
    """Its code may name what the configuration does not."""
    service = "import bentoml\n\n@bentoml.service(envs=[{'name': 'A=B', 'value': 'c'}])\nclass Echo:\n    pass\n"
    text = f"service: service:Echo\npython: {{packages: ['{BENTOML}'], lock_packages: false}}\n"
    with pytest.raises(BentoError, match="'A=B' cannot be a variable's name"):
        bento.build(make(tmp_path / "project", service=service, bentofile=text))
