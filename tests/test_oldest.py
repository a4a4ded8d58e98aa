"""What runs in an image's Python, to import a service: written for the oldest one that BentoML runs on."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import vermin

SOURCES = Path(__file__).parents[1] / "src"
OLDEST = (3, 9)

OTHERS = {"_bentoml_sdk", "attrs", "bentoml", "cattrs", "pathspec", "tomli", "yaml"}
"""What an environment with BentoML has, and nothing else for certain."""

TYPE = re.compile(r"(\w+\.)*[A-Z]\w*[a-z]\w*|None")
"""Names of types by their form; constants, as of regular expressions, are capitals."""


def path_of(module: str) -> Path | None:
    """The file of a module of bentoship's; None for a name in one."""
    place = SOURCES.joinpath(*module.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a source imports when it is imported, and the names that it imports from them."""
    waiting: list[ast.AST] = [*tree.body]
    for node in waiting:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            waiting += [*node.body, *node.orelse]


def read() -> dict[str, tuple[str, ast.Module]]:
    """The sources that run there, by the names of the modules: those that the child imports by itself, and theirs."""
    found: dict[str, tuple[str, ast.Module]] = {}
    waiting = ["bentoship.bento.child", "bentoship.bento.specification"]
    while waiting:
        name = waiting.pop()
        if name not in found and name.startswith("bentoship") and (path := path_of(name)):
            source = path.read_text("utf-8")
            found[name] = source, ast.parse(source, feature_version=OLDEST)
            waiting += [*imported(found[name][1]), name.rpartition(".")[0]]
    return found


def unions(tree: ast.AST) -> Iterator[str]:
    """Types that are joined with | when it is run, as in `isinstance(x, int | str)`; annotations are not run."""
    for field, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if isinstance(node, ast.AST) and field not in {"annotation", "returns"}:
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and is_type(ast.unparse(node.right)):
                    yield ast.unparse(node)
                yield from unions(node)


def is_type(name: str) -> bool:
    """Whether a name is that of a type."""
    return bool(TYPE.fullmatch(name)) or isinstance(getattr(builtins, name, None), type)


def test_little_runs_there() -> None:
    """Nothing of what makes locks, layers or images, and no package but those that BentoML brings along."""
    sources = read()
    assert len(sources) <= 42
    others = {name.partition(".")[0] for _, tree in sources.values() for name in imported(tree)}
    assert others - sys.stdlib_module_names <= {"bentoship", *OTHERS}
    rooms = {name.split(".")[1] for name in sources if "." in name}
    assert rooms == {"bento", "errors", "image", "packages", "system"}
    assert {name for name in sources if ".packages." in name} == {
        "bentoship.packages.folders",
        "bentoship.packages.requirements",
        "bentoship.packages.target",
    }


def test_it_is_written_for_the_oldest_python() -> None:
    """Its syntax, the names that it uses of the standard library, and its types; no annotation is evaluated."""
    config = vermin.Config()
    config.set_verbose(3)  # for its words
    for name, (source, tree) in read().items():
        visitor = vermin.visit(source, config=config)
        assert visitor.minimum_versions()[1] <= OLDEST, f"{name}\n{visitor.output_text()}"
        assert list(unions(tree)) == [], name
        annotated = any(getattr(node, "annotation", None) or getattr(node, "returns", None) for node in ast.walk(tree))
        assert not annotated or "from __future__ import annotations\n" in source, name


def test_what_it_lacks_is_found() -> None:
    """Types in an assignment and in a call, and not in annotations or between flags."""
    code = "x: int | str = re.I | re.VERBOSE\nA = ast.Try | ast.If\ndef f(a: A | None) -> A: isinstance(a, int | None)"
    assert list(unions(ast.parse(code))) == ["ast.Try | ast.If", "int | None"]
