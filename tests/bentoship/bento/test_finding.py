"""Services, found in the files of a repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from bentoml._internal.tag import to_snake_case

from bentoship.bento.configuration import project_configuration
from bentoship.bento.finding import find_projects, name_without_import, snake_case
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError

NEW = "import bentoml\n@bentoml.service\nclass Echo:\n    pass\n"


def write(folder: Path, **files: str) -> Path:
    """Write files, by their names with _ in place of the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, "utf-8")
    return folder


def context(folder: Path, **settings: str) -> BuildContext:
    """What a project is built from."""
    return BuildContext(folder, folder, folder, **settings)  # type: ignore[arg-type]


def test_each_style_of_configuration_is_found(tmp_path: Path) -> None:
    """A bentofile.yaml, a pyproject.toml that configures a Bento, and a service.py; in the folder itself, too."""
    write(tmp_path, bentofile_yaml="service: echo:Echo\n")
    write(tmp_path / "b", pyproject_toml="[tool.bentoml.build]\nservice = 'x:X'\n")
    write(tmp_path / "a" / "deep", service_py=NEW)
    write(tmp_path / "c", pyproject_toml="[project]\nname = 'c'\n", service_py=NEW)
    write(tmp_path / "torn", pyproject_toml="[tool.bentoml.build\n")
    write(tmp_path / "typo", service_py="import bentoml\n@bentoml.service\nclass Echo\n")
    found = [folder.relative_to(tmp_path).as_posix() for folder in find_projects(tmp_path)]
    assert found == [".", "a/deep", "b", "c", "torn", "typo"]


def test_what_is_no_service_is_not_found(tmp_path: Path) -> None:
    """Other modules called so, other pyproject.toml, and what is hidden, installed, built or cached."""
    write(tmp_path / "app", service_py="class Service:\n    pass\n", pyproject_toml="[tool.ruff]\n")
    write(tmp_path / "client", service_py="import bentoml\nclient = bentoml.SyncHTTPClient('http://x')\n")
    write(tmp_path / "binary").joinpath("service.py").write_bytes(b"\0\xff")
    write(tmp_path / "odd", pyproject_toml="tool = 1\n").joinpath("service.py").mkdir()
    for name in (
        ".hidden",
        ".venv/x",
        "node_modules/x",
        ".bentoship",
        "build",
        "dist",
        "__pycache__",
        "e/site-packages",
    ):
        write(tmp_path / name, service_py=NEW, bentofile_yaml="service: service:Echo\n")
    write(tmp_path / "env", pyvenv_cfg="")
    write(tmp_path / "bento", bento_yaml="")
    for name in ("env", "bento"):
        write(tmp_path / name / "src", bentofile_yaml="service: service:Echo\n")
    (tmp_path / "link").symlink_to(tmp_path / "build")
    assert find_projects(tmp_path) == []
    assert find_projects(tmp_path / "build") == [tmp_path / "build"]


def test_a_named_service_belongs_to_the_project_that_names_it(tmp_path: Path) -> None:
    """Its service.py in a package of that project is no project of its own; another one is."""
    write(tmp_path, bentofile_yaml="service: app.service:Echo\n")
    write(tmp_path / "app", service_py=NEW)
    write(tmp_path / "other", service_py=NEW)
    assert find_projects(tmp_path) == [tmp_path, tmp_path / "other"]


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (NEW, "echo"),
        ("from bentoml import service as made\n@made(name='Given', workers=2)\nclass Echo:\n    pass\n", "given"),
        ("import bentoml as b\n@b.service()\nclass EchoService: pass\n", "echo_service"),
        ("import bentoml\nsvc = bentoml.legacy.Service('old')\n", "old"),
        ("from bentoml.legacy import Service\nsvc = Service(name='old')\n", "old"),
        ("import bentoml\nNAME = 'x'\n@bentoml.service(name=NAME)\nclass Echo: pass\n", ""),
        (f"{NEW}@bentoml.service\nclass Other: pass\n", ""),
        ("import bentoml\nclass Echo\n", ""),
    ],
)
def test_a_services_name_is_read(service: str, name: str, tmp_path: Path) -> None:
    """As BentoML makes it; not where only the import shows it."""
    write(tmp_path, service_py=service)
    assert name_without_import(context(tmp_path)) == name


def test_a_configured_name_goes_first(tmp_path: Path) -> None:
    """And of several services the one that is named counts; a Bento that is built has its own."""
    write(tmp_path, bentofile_yaml="service: service:Other\n", service_py=f"{NEW}@bentoml.service\nclass Other: pass\n")
    assert name_without_import(context(tmp_path)) == "other"
    assert name_without_import(context(tmp_path, service="service:Echo")) == "echo"
    assert name_without_import(context(tmp_path, bento="built:1")) == "built"
    write(tmp_path, bentofile_yaml="service: service:Other\nname: configured\n")
    assert name_without_import(context(tmp_path)) == "configured"


@pytest.mark.parametrize("name", ["Echo", "EchoA", "HTTPServer", "already_snake", "Echo2Go", "ABC", "iOSApp"])
def test_names_are_made_as_bentoml_makes_them(name: str) -> None:
    """Its own function is not imported, which takes most of a second."""
    assert snake_case(name) == to_snake_case(name).lower()


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"a/b": {"service_py": NEW}}, "Below it, a/b has one: --all takes all, --project one."),
        (
            {name: {"bentofile_yaml": "service: x:X\n"} for name in "abcdefg"}
            | {".": {"pyproject_toml": "[project]\n"}},
            "Below it, a, b, c, d, e and 2 more have one: --all takes all, --project one.",
        ),
        ({"a/b/c/d": {"service_py": NEW}}, "Name it, as in `service: module:Class` in bentofile.yaml"),
        (
            {"a": {"service_py": NEW}, ".": {"bentofile_yaml": "include: [x]\n"}},
            "Name it, as in `service: module:Class` in bentofile.yaml",
        ),
    ],
)
def test_a_folder_of_services_is_not_one(files: dict[str, dict[str, str]], hint: str, tmp_path: Path) -> None:
    """Those below it, not too deep, are named; not in place of what a bentofile.yaml leaves out."""
    for name, texts in files.items():
        write(tmp_path / name, **texts)
    for asking in (project_configuration, name_without_import):
        with pytest.raises(BentoError, match="service") as caught:
            asking(context(tmp_path))
        assert caught.value.hint.startswith(hint)
