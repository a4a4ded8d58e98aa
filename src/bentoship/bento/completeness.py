"""What a Bento has to hold for its service to start: compared with what was selected and imported, in one place."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path, PurePath
from typing import Any

from bentoship.bento.configuration import is_src_layout
from bentoship.bento.failures import Failure, FailureKind
from bentoship.bento.lazy_imports import unpacked_modules
from bentoship.bento.packing import Selection, spec_of
from bentoship.packages.requirements import canonical_name, portable_lines, requirements_of, subject


class IncompleteError(Exception):
    """A Bento lacks something. Args: failure: what, and why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def complete(bento: Path, project: Path, selection: Selection, options: Mapping[str, Any]) -> None:
    """Put files in place of links, which BentoML packs as they are, and check that every selected file is there.

    Args:
        bento: the Bento's folder.
        project: the build context.
        selection: the files that it packs.
        options: the content of bentofile.yaml.

    Raises: IncompleteError.
    """
    source, is_flat = bento / "src", is_src_layout(options)
    places: dict[Path, str] = {}
    for name in selection.packed:
        place = source / (name.removeprefix("src/") if is_flat else name)
        if place in places:
            message = f"{places[place]} and {name} have the same place in the Bento"
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))
        places[place] = name
        if name in selection.linked:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            shutil.copy(project / name, place)
    missing = [name for place, name in places.items() if place.is_symlink() or not place.is_file()]
    if missing:
        message = f"BentoML has not packed {', '.join(missing)}"
        raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))


class Modules:
    """The modules of the project that are imported from now on.

    Args:
        project: the build context.
        is_own: returns whether a file is one of the user's.
    """

    def __init__(self, project: Path, is_own: Callable[[str], bool]) -> None:
        self._project = project
        self._is_own = is_own
        self._path = {os.path.realpath(place) for place in sys.path}
        self._before = set(sys.modules)

    def check(self, bento: Path, selection: Selection, options: Mapping[str, Any]) -> None:
        """Check that the image can import each module under the same name.

        A module that exclude names may be missing if the sources expect that: they catch the ImportError.

        Args:
            bento: the Bento's folder.
            selection: the files that it packs.
            options: the content of bentofile.yaml.

        Raises: IncompleteError.
        """
        locked = _locked(bento)
        if outside := sorted(self._outside(locked)):
            message = f"{', '.join(outside)}: imported from outside of the project, but not in the lock"
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))
        modules = dict(self._imported())
        if not modules or locked & set(_packages_at(self._project)):  # the image has the project as a package
            return
        excluded = spec_of([str(pattern) for pattern in options.get("exclude") or []])
        needed = {
            file
            for name, file in modules.items()
            if file not in selection.packed
            and not (excluded.match_file(file) and is_optional(name, self._project, selection.packed))
        }
        if needed:
            message = f"{', '.join(sorted(needed))}: imported with the service, but not packed"
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))
        found = {"", "src"} if is_src_layout(options) else {""}
        for name, file in sorted(modules.items()):
            root = _root(name, file)
            # The service itself may add a folder to the path, which it does in the image as well.
            if root is not None and root not in found and os.path.realpath(self._project / root) in self._path:
                message = f"the module {name} was imported from {root}/, where the image does not look for modules"
                raise IncompleteError(Failure(FailureKind.LAYOUT, message))
        roots = found | {root for name, file in modules.items() if (root := _root(name, file)) is not None}
        if later := unpacked_modules(self._project, modules.values(), selection.packed, sorted(roots)):
            message = "; ".join(f"{file} is imported in {place}, but not packed" for file, place in later.items())
            raise IncompleteError(Failure(FailureKind.NOT_PACKED, message))

    def _imported(self) -> Iterator[tuple[str, str]]:
        """Yield names of modules and their files' paths in the project."""
        for name, file in _modules():
            if self._is_own(file):
                yield name, Path(file).relative_to(self._project).as_posix()

    def _outside(self, locked: set[str]) -> Iterator[str]:
        """Yield the files of modules that are neither in the project nor installed, nor links to a locked package."""
        places = {os.path.realpath(place) for place in sys.path}
        for name, file in _modules():
            root = _root(name, file)
            is_found = name not in self._before and root is not None and os.path.realpath(f"/{root}") in places
            if not is_found or _is_installed(file) or Path(file).is_relative_to(self._project):
                continue
            packages = {canonical_name(name.partition(".")[0])}
            for folder in Path(file).parents:
                packages.update(_packages_at(folder))
            if not packages & locked:
                yield file


def _modules() -> Iterator[tuple[str, str]]:
    """Yield the names and the files of all modules that are imported."""
    for module in list(sys.modules.values()):
        name, file = getattr(getattr(module, "__spec__", None), "name", None), getattr(module, "__file__", None)
        if isinstance(name, str) and isinstance(file, str):
            yield name, os.path.normpath(file)


def _is_installed(file: str) -> bool:
    """Return whether a file belongs to Python, to an installed package or to a cache, or is the publisher's own."""
    path = Path(file)
    places = (sys.prefix, sys.base_prefix, Path(os.__file__).parent, Path(__file__).parents[2])
    is_hidden = any(part.startswith(".") or part in {"site-packages", "dist-packages"} for part in path.parts)
    return is_hidden or any(path.is_relative_to(place) for place in places)


def _locked(bento: Path) -> set[str]:
    """Return the names of the packages that a Bento's image has."""
    return set(map(subject, portable_lines(requirements_of(bento)[1])))


def _packages_at(folder: Path) -> Iterable[str]:
    """Yield the names of the packages that are installed as links to the sources in a folder (PEP 610)."""
    for distribution in distributions(path=[place for place in sys.path if "site-packages" in place]):
        text = distribution.read_text("direct_url.json")
        if text and json.loads(text).get("url") == folder.as_uri():
            yield canonical_name(distribution.metadata["Name"])


def _root(module: str, file: str) -> str | None:
    """Return the folder that a module's name starts from, without slashes around; None when the name is another."""
    path = PurePath(file.lstrip("/"))
    parts = path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.name.partition(".")[0])
    names = tuple(module.split("."))
    return "/".join(parts[: -len(names)]) if parts[-len(names) :] == names else None


def is_optional(module: str, project: Path, files: Iterable[str]) -> bool:
    """Return whether sources import a module only where they catch the ImportError.

    Args:
        module: its dotted name, of which the last part counts, as it may be imported relatively.
        project: the build context.
        files: the packed files.
    """
    last = module.rpartition(".")[2]
    found: list[bool] = []
    for file in files:
        if file.endswith(".py"):
            with suppress(SyntaxError, ValueError):  # of another Python; with a null byte
                found += _imports(ast.parse((project / file).read_bytes()), last, is_caught=False)
    return all(found)


def _imports(node: ast.AST, name: str, *, is_caught: bool) -> Iterator[bool]:
    """Yield for each import of a name in a source whether the ImportError is caught there."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        if any(one.rpartition(".")[2] == name for one in names):
            yield is_caught
    guarded = node.body if isinstance(node, ast.Try) and any(map(_catches_import_errors, node.handlers)) else []
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, name, is_caught=is_caught or child in guarded)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    caught = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    return bool(caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
