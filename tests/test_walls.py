"""Who may import whom: the walls of the house, a line per folder."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), ROOT / "tasks.py"])

UNITS = {
    "__init__": "publishing",
    "errors": "",
    "system": "errors",
    "image": "errors system",
    "settings": "errors image system",
    "debian": "errors system",
    "layers": "errors image system",
    "stores": "errors image system",
    "bases": "debian errors image layers stores system",
    "packages": "errors image layers system",
    "bento": "errors image packages system",
    "backend": "bento image",
    "docker": "backend bento errors image stores system",
    "assembly": "backend bases bento errors image layers packages stores system",
    "providers": "debian errors image settings stores system",
    "verify": "docker errors image stores system",
    "project": "backend bento errors image layers providers settings stores system",
    "publishing": "assembly backend bases bento docker errors image project stores system versions",
    "versions": "errors image stores system",
    "commands": (
        "assembly bento docker errors image project providers publishing settings stores system verify versions"
    ),
    "invoke_adapter": "commands project",
    "tasks": "commands invoke_adapter",
    "__main__": "invoke_adapter tasks",
}
"""What each folder and each module of src/bentoship import of the others; nothing else. tasks.py is one of them."""

TOOLS = {
    "invoke": "tasks bentoship.tasks bentoship.invoke_adapter",
    "bentoml _bentoml_sdk _bentoml_impl cattrs": (
        "bentoship.bento.bentoml_adapter bentoship.bento.specification bentoship.bento.uv_project celestial_bodies"
    ),
    "docker": "bentoship.docker",
    "google": "bentoship.providers.google",
    "atexit": "",
    # A killed process leaves its folders behind for ever.
    "tempfile": "bentoship.system bentoship.stores.docker_config celestial_bodies",
    "grpc": "",  # what Google's clients bring along takes longer to import than a publish does
    "requests": "bentoship.docker",
    "urllib3": "bentoship.stores bentoship.docker bentoship.verify.sample",
    "psutil": "bentoship.verify.linux bentoship.providers.process_identity",
    "rich": "bentoship.commands.block",
    "dotenv": "bentoship.settings.environment",
    "deflate": "bentoship.layers.compression",
    "detect_secrets": "bentoship.bento.secrets",
    "bentoship.providers.google": "bentoship.providers.google bentoship.project bentoship.commands.cloud",
    "cyclonedx packageurl": "bentoship.versions.evidence.sbom",
    "cryptography": "bentoship.versions.evidence.signing bentoship.versions.evidence.keyless",
    "nacl": "bentoship.versions.evidence.signing",
    "sigstore": "bentoship.versions.evidence.keyless",
    "bentoship.stores.registry": "bentoship.stores bentoship.project bentoship.versions",
    "bentoship.stores.layout": "bentoship.stores bentoship.project bentoship.assembly bentoship.verify.unpacked",
    "bentoship.assembly.backend bentoship.docker.backend": "bentoship.publishing",
    "bentoship.docker": "bentoship.docker bentoship.publishing bentoship.verify bentoship.commands.examination",
    "bentoship.verify": "bentoship.verify bentoship.commands.verify",
}
"""Where each tool, and what stands behind a protocol, may be imported: what is known in one place is replaced there."""


def name_of(path: Path) -> str:
    """A module's dotted name."""
    relative = path.relative_to(ROOT / "src" if path.is_relative_to(ROOT / "src") else ROOT).with_suffix("")
    return ".".join(relative.parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in SOURCES}


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All that a module says."""
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, *places: str) -> bool:
    """Whether a name is, or is below, one of the places."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def unit(name: str) -> str:
    """The folder or module of src/bentoship that a module is in."""
    return name if name in ("tasks", "celestial_bodies") else (name.split(".")[1] if "." in name else "__init__")


def imported_units(path: Path) -> set[str]:
    """The other units that a module imports something of; `__init__` where it imports the package itself."""
    found = set()
    for node in nodes(path):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            module = name
            while module and module not in NAMES:
                module = module.rpartition(".")[0]
            if within(module, "bentoship"):
                found.add(unit(module))
    return found - {unit(name_of(path))}


@pytest.mark.parametrize(("package", "other"), [("bentoship", "celestial_bodies"), ("celestial_bodies", "bentoship")])
def test_service_and_publisher_do_not_know_each_other(package: str, other: str) -> None:
    """Neither imports the other."""
    own = [path for path in SOURCES if within(name_of(path), package)]
    assert own
    assert {str(path) for path in own if any(within(name, other) for name in imports(path))} == set()


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_imports_what_its_line_says(name: str) -> None:
    """No more, and no less: a line that is not true any more is taken away."""
    found = {other for path in SOURCES if unit(name_of(path)) == name for other in imported_units(path)}
    assert found == set(UNITS[name].split())


def test_arrows_go_one_way_and_are_few() -> None:
    """No cycle, at most 25 units and 100 imports between them."""
    arrows = {name: line.split() for name, line in UNITS.items()}
    TopologicalSorter(arrows).prepare()
    assert {unit(name) for name in NAMES if within(name, "bentoship")} == set(arrows)
    assert len(arrows) <= 25
    assert sum(map(len, arrows.values())) <= 100


@pytest.mark.parametrize("name", ["errors", "system", "image"])
def test_values_need_the_standard_library_alone(name: str) -> None:
    """Errors, what concerns this machine, and the image as values."""
    for path in SOURCES:
        if unit(name_of(path)) == name:
            assert {top for other in imports(path) if (top := other.partition(".")[0])} <= {
                *sys.stdlib_module_names,
                "bentoship",
            }


@pytest.mark.parametrize("tools", TOOLS)
def test_each_tool_has_its_place(tools: str) -> None:
    """What is imported only there can be replaced there."""
    importers = {name_of(path) for path in SOURCES if any(within(name, *tools.split()) for name in imports(path))}
    assert {name for name in importers if not within(name, *TOOLS[tools].split())} == set()


def test_the_environment_is_read_in_two_places() -> None:
    """Settings and child processes; nobody else looks at os.environ."""
    readers = {
        name_of(path)
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"}
    }
    assert {name for name in readers if not within(name, "bentoship.settings", "bentoship.system.process")} == set()


def test_commands_alone_print() -> None:
    """Everything else tells a reporter, or writes to a file that it names."""
    printers = {
        name_of(path)
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(keyword.arg == "file" for keyword in node.keywords)
    }
    assert {name for name in printers if not within(name, "bentoship.commands", "celestial_bodies")} == set()


def test_nothing_outlives_a_run() -> None:
    """No module keeps what a run has made: no cache of a function of a module, nothing at the interpreter's exit."""
    for path in SOURCES:
        module = ast.parse(path.read_text("utf-8"))
        decorators = (
            ast.unparse(decorator)
            for node in module.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for decorator in node.decorator_list
        )
        assert not any("cache" in decorator for decorator in decorators), path


def test_no_file_is_long() -> None:
    """Nothing that has to be scrolled through for minutes."""
    assert {str(path) for path in SOURCES if len(path.read_text("utf-8").splitlines()) > 400} == set()


def test_tasks_are_listed_without_heavy_imports() -> None:
    """Of the package, what adapts invoke is imported until a task runs, and nothing of others' but invoke."""
    code = "import sys, invoke; before = set(sys.modules); import tasks; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    own = {name for name in modules if within(name, "bentoship") and not within(name, "bentoship.invoke_adapter")}
    assert own == {"bentoship", "bentoship.commands"}
    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"bentoship", "tasks"}


def test_the_program_has_the_projects_own_tasks() -> None:
    """The tasks that others get are this project's file, not a copy of it."""
    assert (ROOT / "src" / "bentoship" / "tasks.py").samefile(ROOT / "tasks.py")
