"""Modules of a project that its service imports later, in a function: found in the sources, as no import shows them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

_GUARDS = frozenset({"TYPE_CHECKING", "__name__"})
_OTHER_SYSTEMS = frozenset({"win32", "cygwin", "darwin", "Windows", "Darwin", "nt", "win"})
"""What sys.platform, platform.system() and os.name say where no image of ours runs."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def unpacked_modules(
    project: Path, imported: Iterable[str], packed: Collection[str], roots: Collection[str]
) -> Mapping[str, str]:
    """Return the modules that are not packed and that imported ones import in a function, each with where that stands.

    What such a function imports is followed. An import does not count where the ImportError is caught, or under
    TYPE_CHECKING, `__name__ == "__main__"` or `sys.platform == "win32"`, and neither does that of a package or of
    Python's own modules.

    Args:
        project: the build context.
        imported: the modules that are imported with the service; all files are named by their paths in the project.
        packed: the files that the Bento has.
        roots: the folders in which modules are found, "" for the project itself.
    """
    waiting = dict.fromkeys(imported, False)
    seen: set[str] = set()
    found: dict[str, str] = {}
    own = {(project / root).resolve() for root in roots}
    elsewhere = [place for place in sys.path if place and Path(place).resolve() not in own]
    while waiting:
        file, is_whole = waiting.popitem()
        seen.add(file)
        for line, module, base in _imports_of(project / file, file, is_whole=is_whole):
            if base is None and _is_installed(module.partition(".")[0], elsewhere):
                continue
            for name in _files_of(project, module, roots if base is None else [base]):
                if name not in packed:
                    found.setdefault(name, f"{file}, line {line}")
                elif name not in seen:
                    waiting[name] = True
    return found


def _is_installed(name: str, places: list[str]) -> bool:
    return name in sys.builtin_module_names or PathFinder.find_spec(name, places) is not None


def _files_of(project: Path, module: str, roots: Iterable[str]) -> Iterator[str]:
    """Yield the files of a module and of the packages that it is in, from the first folder that has it."""
    for root in roots:
        path = PurePosixPath(root, *filter(None, module.split(".")))
        own = [name for name in (f"{path}/__init__.py", f"{path}.py") if (project / name).is_file()][:1]
        if own:
            above = (f"{parent}/__init__.py" for parent in path.parents if parent.is_relative_to(root or "."))
            inner = [name.removeprefix("./") for name in above if name != f"{root or '.'}/__init__.py"]
            yield from (name for name in (*own, *inner) if (project / name).is_file())
            return


def _imports_of(source: Path, name: str, *, is_whole: bool) -> Iterator[tuple[int, str, str | None]]:
    """Yield imports of a source: their lines, the modules, and the folder of a relative one.

    Args:
        source: the file.
        name: its path in the project.
        is_whole: whether imports outside of functions count; they have been run where it is imported already.
    """
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):  # a link to nowhere; another Python; a null byte
        return
    for node in _reached(tree, is_counted=is_whole):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Of `from a import b`, b may be a module, too.
            names = ["", *(f".{alias.name}" for alias in node.names)]
            folders = PurePosixPath(name).parents
            base = str(folders[node.level - 1]) if 0 < node.level <= len(folders) else None
            if bool(base) == bool(node.level):
                yield from ((node.lineno, f"{node.module or ''}{one}", base) for one in names)
        elif isinstance(node, ast.Call) and (module := _named_in(node)):
            yield node.lineno, module, None


def _named_in(call: ast.Call) -> str:
    """Return the module that `import_module("…")` or `__import__("…")` names; empty for anything else."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    first = call.args[0] if call.args else None
    is_import = function in {"import_module", "__import__"} and len(call.args) == 1
    return first.value if is_import and isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _reached(node: ast.AST, *, is_counted: bool) -> Iterator[ast.AST]:
    """Yield the parts of a source that are run, unless they may fail. Args: is_counted: whether this one is run."""
    if is_counted:
        yield node
    left_out: list[ast.AST] = []
    if isinstance(node, ast.If) and _is_false(node.test):
        left_out = [*node.body]
    elif isinstance(node, ast.Try) and any(
        handler.type is None or _names_in(handler.type) & _ERRORS for handler in node.handlers
    ):
        left_out = [*node.body, *node.handlers]
    elif isinstance(node, (ast.With, ast.AsyncWith)) and any(
        _names_in(item.context_expr) & _ERRORS for item in node.items
    ):
        left_out = [*node.body]
    for child in ast.iter_child_nodes(node):
        if child not in left_out:
            yield from _reached(child, is_counted=is_counted or isinstance(node, _FUNCTIONS))


def _is_false(test: ast.expr) -> bool:
    """Return whether a condition does not hold in an image, as far as its words say so."""
    if _names_in(test) & _GUARDS:
        return True
    parts = list(ast.walk(test))
    is_turned = any(isinstance(part, (ast.NotEq, ast.NotIn, ast.Not, ast.Or)) for part in parts)
    words = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    asks_for_system = bool(_names_in(test) & {"platform", "system", "name"})
    return asks_for_system and not is_turned and bool(words) and words <= _OTHER_SYSTEMS


def _names_in(node: ast.AST) -> set[str]:
    names = (getattr(one, "id", None) or getattr(one, "attr", None) for one in ast.walk(node))
    return {name for name in names if name}
