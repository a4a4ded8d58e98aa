"""What a project's files say of its service without being imported: whether there is one, and its name."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bentoship.bento.configuration import CONFIGURATIONS, SERVICE_FILE, project_configuration, read_configuration
from bentoship.bento.packing import NEVER_WALKED
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from bentoship.system.documents import read_text
from bentoship.system.modules import module_file

_OUTPUT = frozenset({"build", "dist", "site-packages"})
"""Names of folders with what is built from sources that are elsewhere."""

_NO_SOURCE = frozenset({"pyvenv.cfg", "bento.yaml", "CACHEDIR.TAG"})
"""Files of folders that hold no sources: virtual environments, Bentos that are built, caches."""

_MAKERS = frozenset({"service", "Service"})
"""What makes a service in bentoml, and in bentoml.legacy."""

_CAPITALS = re.compile(r"([A-Z]+)(?=[a-z0-9])")


def find_projects(top: Path, depth: int | None = None) -> list[Path]:
    """Return the folders with a service, of a folder and all below it, sorted.

    A service.py that a configuration in another folder names is a part of that project.

    Args:
        top: where to look. Hidden folders, environments and what is built are not looked into; links are not followed.
        depth: how many folders deep; None for all.
    """
    configured, bare = [], []
    for folder, names in _source_folders(top, depth):
        if any(name in names and _configures(folder / name) for name in CONFIGURATIONS):
            configured.append(folder)
        elif SERVICE_FILE in names and _may_hold_service(folder / SERVICE_FILE):
            bare.append(folder)
    named = {file.resolve() for file in map(_named_file, configured) if file}
    return sorted([*configured, *(folder for folder in bare if (folder / SERVICE_FILE).resolve() not in named)])


def _source_folders(top: Path, depth: int | None) -> Iterator[tuple[Path, list[str]]]:
    """Yield the folders that may hold sources, each with the names of its files. Args: as of `find_projects`."""
    for place, folders, names in os.walk(top):
        folder = Path(place)
        if folder != top and not _NO_SOURCE.isdisjoint(names):
            folders.clear()
            continue
        if depth is not None and len(folder.relative_to(top).parts) >= depth:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NEVER_WALKED | _OUTPUT]
        yield folder, names


def _configures(file: Path) -> bool:
    """Return whether a file configures a Bento; a pyproject.toml does not always."""
    if file.suffix != ".toml":
        return True
    try:
        build = tomllib.loads(read_text(file))["tool"]["bentoml"]["build"]
    except tomllib.TOMLDecodeError:
        return "[tool.bentoml" in file.read_text("utf-8", "replace")  # publishing says what is wrong with it
    except (OSError, UnicodeDecodeError, LookupError, TypeError):
        return False
    return isinstance(build, dict)


def _named_file(folder: Path) -> Path | None:
    """Return the file of the service that a project's configuration names, as far as it can be read."""
    with suppress(BentoError):
        return _service_of(folder, read_configuration(BuildContext(folder, folder, folder)).options)[0]
    return None


def _service_of(folder: Path, options: Mapping[str, Any]) -> tuple[Path | None, str]:
    """Return the file of the service that options name, None where there is none, and its variable, "" for none."""
    module, _, variable = str(options.get("service") or "").partition(":")
    return module_file(folder, module or SERVICE_FILE), variable


def _may_hold_service(file: Path) -> bool:
    """Return whether a module defines a service; one that is no Python may, and publishing says what is wrong."""
    try:
        return bool(_services(file))
    except (SyntaxError, ValueError):
        return "bentoml" in file.read_text("utf-8", "replace")
    except OSError:
        return False


def name_without_import(context: BuildContext) -> str:
    """Return the name that a project's Bento will have, as far as its files say it; else "".

    Args:
        context: what the Bento is built from.

    Raises: BentoError as `project_configuration` does.
    """
    if context.bento:
        return "" if (context.folder / context.bento).is_file() else context.bento.partition(":")[0]
    options = project_configuration(context).options
    if options.get("name"):
        return str(options["name"]).lower()
    file, variable = _service_of(context.folder, options)
    try:
        services = _services(file) if file else {}
    except (OSError, SyntaxError, ValueError):
        return ""
    # Of several, BentoML takes the one that no other depends on.
    return services.get(variable, "") if variable else next(iter(services.values())) if len(services) == 1 else ""


def _services(file: Path) -> dict[str, str]:
    """Return the names of the services that a module defines, by their variables; "" where only its import shows it.

    Raises: SyntaxError or ValueError when it is no Python; OSError.
    """
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    names = _Names(nodes)
    found = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            for made in filter(names.make, node.decorator_list):
                found[node.name] = _name_in(made, snake_case(node.name))
        elif isinstance(node, ast.Assign) and names.make(node.value) and isinstance(node.value, ast.Call):
            found |= {target.id: _name_in(node.value, "") for target in node.targets if isinstance(target, ast.Name)}
    return found


class _Names:
    """What a module calls bentoml, and what makes services. Args: nodes: all of the module."""

    def __init__(self, nodes: list[ast.AST]) -> None:
        self._modules: set[str] = set()
        self._makers: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Import):
                self._modules |= {
                    alias.asname or "bentoml" for alias in node.names if alias.name.split(".")[0] == "bentoml"
                }
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bentoml":
                for alias in node.names:
                    (self._makers if alias.name in _MAKERS else self._modules).add(alias.asname or alias.name)

    def make(self, node: ast.AST) -> bool:
        """Return whether an expression is what makes a service, called or not: bentoml.service, bentoml.service(…)."""
        while isinstance(node, ast.Call):
            node = node.func
        if isinstance(node, ast.Name):
            return node.id in self._makers
        return isinstance(node, ast.Attribute) and node.attr in _MAKERS and _root(node) in self._modules


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _name_in(made: ast.AST, default: str) -> str:
    """Return the name that a call gives a service, the default where it gives none, "" where it computes it."""
    while isinstance(made, ast.Call):
        given = [keyword.value for keyword in made.keywords if keyword.arg == "name"]
        given += [one for one in made.args[:1] if isinstance(one, ast.Constant)]
        if given:
            return snake_case(str(given[0].value)) if isinstance(given[0], ast.Constant) else ""
        made = made.func
    return default


def snake_case(name: str) -> str:
    """Return a service's name as BentoML makes a Bento's of it (to_snake_case in bentoml/_internal/tag.py)."""

    def joined(match: re.Match[str]) -> str:
        word = match[0]
        return (f"_{word[:-1]}_{word[-1]}" if len(word) > 1 else f"_{word}").lower()

    return _CAPITALS.sub(joined, name).lstrip("_").lower()
