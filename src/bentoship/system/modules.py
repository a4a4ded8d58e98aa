"""Python modules by their names, without importing them."""

from __future__ import annotations

from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path


def module_file(folder: Path, name: str) -> Path | None:
    """Return the file of a project's module, in its folder or in src/, as BentoML looks for one; None without one.

    Args:
        folder: the project.
        name: the module's name or the path of its file: "package.service", "./package/service.py".
    """
    module = name.removesuffix(".py").removeprefix("./")
    module = module if "/" in module else module.replace(".", "/")
    ends = (*all_suffixes(), "/__init__.py")
    files = (folder / place / f"{module}{end}" for place in ("", "src") for end in ends)
    return next(filter(Path.is_file, files), None)


def has_service(folder: Path, service: str) -> bool:
    """Return whether the module of a service exists: in the project, or with a class in a package that is installed.

    One without a class has to be the project's, as BentoML also takes a tag of its store for a service.

    Args:
        folder: the project.
        service: "module:Class", or the module or its file alone.
    """
    name = service.partition(":")[0]
    return module_file(folder, name) is not None or (":" in service and is_installed(name))


def is_installed(name: str) -> bool:
    """Return whether the package that a dotted name begins with is installed in this environment."""
    top = name.partition(".")[0]
    return top.isidentifier() and find_spec(top) is not None
