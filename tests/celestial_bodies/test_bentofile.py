"""What is packed into the Bento."""

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = "celestial_bodies"


def imported(path: Path) -> set[Path]:
    """The modules of the package that a module imports."""
    names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    return {path.parent / f"{name.split('.')[1]}.py" for name in names if name and name.startswith(f"{PACKAGE}.")}


def test_the_bento_holds_what_the_service_imports_and_nothing_else() -> None:
    """The included files are the service's module and all that it imports, directly or not."""
    package = ROOT / "src" / PACKAGE
    wanted, found = {package / "__init__.py"}, {package / "service.py"}
    while found - wanted:
        wanted |= found
        found = set().union(*(imported(path) for path in found))
    included = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
    assert sorted(ROOT / path for path in included) == sorted(wanted)


def test_every_package_is_pinned() -> None:
    """Each line of the requirements is a name and an exact version: no range, no option, no address."""
    lines = (ROOT / "src" / PACKAGE / "requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines)
    assert {"bentoml", "onnxruntime", "numpy", "pillow"} <= set(pins)
    assert all(part and "/" not in part and " " not in part for pin in pins.items() for part in pin)
