"""Python modules by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.system.modules import has_service, is_installed, module_file


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("service", True),
        ("service.py", True),
        ("./service.py", True),
        ("package", True),
        ("package.below", True),
        ("dotted.folder/below.py", True),
        ("inner", True),
        ("src/inner.py", True),
        ("below", False),
        ("folder", False),
        ("", False),
        ("..", False),
    ],
)
def test_a_module_is_a_file_of_the_project(tmp_path: Path, name: str, there: bool) -> None:
    """In its folder or in src/; a folder without __init__.py is none."""
    for file in ("service.py", "src/inner.py", "package/__init__.py", "package/below.py", "dotted.folder/below.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "folder").mkdir()
    assert (module_file(tmp_path, name) is not None) is there


def test_what_is_installed_is_found_without_an_import() -> None:
    """By the package that a name begins with."""
    assert is_installed("json.nothing")
    assert not is_installed("no_such_package.json")
    assert not is_installed("./json")


def test_a_service_is_in_the_project_or_installed(tmp_path: Path) -> None:
    """What has no class may be a tag to BentoML, so that alone has to be the project's."""
    (tmp_path / "service.py").touch()
    assert has_service(tmp_path, "service")
    assert has_service(tmp_path, "service:Echo")
    assert has_service(tmp_path, "json:Echo")
    assert not has_service(tmp_path, "json")
    assert not has_service(tmp_path, "absent:Echo")
