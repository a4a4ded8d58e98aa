"""Who may import whom: the walls of the house."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), ROOT / "tasks.py"])


def name_of(path: Path) -> str:
    """A module's dotted name."""
    relative = path.relative_to(ROOT / "src" if path.is_relative_to(ROOT / "src") else ROOT).with_suffix("")
    return ".".join(relative.parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*packages: str) -> set[str]:
    """The modules that import one of the packages."""
    return {
        name_of(path)
        for path in SOURCES
        if any(name == package or name.startswith(f"{package}.") for name in imports(path) for package in packages)
    }


def within(names: set[str], *places: str) -> bool:
    """Whether all modules are, or are below, the places."""
    return all(any(name == place or name.startswith(f"{place}.") for place in places) for name in names)


def test_service_and_publisher_do_not_know_each_other() -> None:
    """Neither imports the other."""
    assert not any(name.startswith("bentoship") for name in importers("celestial_bodies"))
    assert not any(name.startswith("celestial_bodies") for name in importers("bentoship"))


@pytest.mark.parametrize("module", ["bentoship.image", "bentoship.image.reference", "bentoship.errors"])
def test_values_need_the_standard_library_alone(module: str) -> None:
    """The image, its name and the errors are plain values."""
    free = {"bentoship.image", "bentoship.image.reference", "bentoship.errors"}
    for path in SOURCES:
        if within({name_of(path)}, module):
            foreign = {name for name in imports(path) if name.partition(".")[0] not in sys.stdlib_module_names}
            assert within(foreign, *free), f"{path}: {foreign}"


@pytest.mark.parametrize(
    ("packages", "places"),
    [
        (["invoke"], ["tasks"]),
        (["bentoml", "_bentoml_sdk", "_bentoml_impl"], ["bentoship.bento.bentoml_adapter", "celestial_bodies"]),
        (["docker"], ["bentoship.docker"]),
        (["bentoship.docker"], ["bentoship.docker", "bentoship.publishing", "bentoship.verify.docker",
                                "bentoship.commands.examination"]),
        (["google"], ["bentoship.providers.google"]),
        (["grpc"], []),
        (["requests"], ["bentoship.docker.connection"]),
        (["bentoship.providers.google"], ["bentoship.providers.google", "bentoship.project",
                                          "bentoship.commands.cloud"]),
        (["urllib3"], ["bentoship.stores", "bentoship.docker.connection"]),
        (["bentoship.debian"], ["bentoship.debian", "bentoship.bases.debian", "bentoship.bases.debian_making",
                                "bentoship.providers"]),
        (["bentoship.stores.registry", "bentoship.stores.layout"], ["bentoship.stores", "bentoship.publishing",
                                                                    "bentoship.project",
                                                                    "bentoship.assembly.backend",
                                                                    "bentoship.verify.unpacked"]),
        (["bentoship.assembly.backend"], ["bentoship.publishing"]),
        (["bentoship.docker.backend"], ["bentoship.publishing"]),
        (["bentoship.verify"], ["bentoship.verify", "bentoship.verify", "bentoship.commands.verify"]),
        (["bentoship.verify.linux"], ["bentoship.verify"]),
        (["bentoship.publishing"], ["bentoship.commands"]),
        (["bentoship.project"], ["bentoship.publishing", "bentoship.commands", "tasks"]),
        (["rich"], ["bentoship.commands.terminal"]),
    ],
)  # fmt: skip
def test_each_tool_has_its_place(packages: list[str], places: list[str]) -> None:
    """What is imported only there can be replaced there."""
    assert within(importers(*packages), *places), importers(*packages)


def test_the_environment_is_read_in_two_places() -> None:
    """Settings and child processes; nobody else looks at os.environ."""
    readers = {
        name_of(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"}
    }
    assert within(readers, "bentoship.settings", "bentoship.system.process"), readers


def test_tasks_are_listed_without_heavy_imports() -> None:
    """tasks.py imports the standard library and invoke until a task runs."""
    tree = ast.parse((ROOT / "tasks.py").read_text("utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"__future__"} == {"invoke"}
