"""The program of the local registry: CNCF's distribution registry, installed or from Debian's package."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bentoship.errors import BaseImageError, ProcessError, RegistryError
from bentoship.system import process

_NAMES = ("docker-registry", "registry")
_FOLDER = Path("registry", "program")
_INSTALL = (
    "Install it (Debian, Ubuntu: apt install docker-registry; macOS: brew install docker-distribution),\n"
    "or set REGISTRY to another registry."
)


def installed(cache_folder: Path) -> Path | None:
    """The registry's program where it is on this machine already; None when it isn't."""
    for name in _NAMES:
        found = shutil.which(name, path=process.environment().get("PATH"))
        if found and _is_distribution(Path(found)):
            return Path(found)
    kept = _kept(cache_folder)
    return kept if _is_distribution(kept) else None


def find_program(cache_folder: Path) -> Path:
    """The registry's program, from PATH, else Debian's package, fetched by the host's apt and unpacked without root.

    Args:
        cache_folder: bentoship's; the package is kept there. Only one caller at a time.

    Raises: RegistryError when it cannot be had, telling how to install it.
    """
    if found := installed(cache_folder):
        return found
    if not sys.platform.startswith("linux"):
        raise RegistryError("Start the local registry", "its program is not installed", _INSTALL)
    try:
        return _unpacked(cache_folder)
    except (BaseImageError, ProcessError) as error:
        raise RegistryError("Get the local registry's program from Debian", error.why, _INSTALL) from error


def _unpacked(cache_folder: Path) -> Path:
    from bentoship.debian.apt import Apt
    from bentoship.debian.unpack import unpack

    [package] = Apt(cache_folder / "apt").download(["docker-registry"], dependencies=False)
    folder = cache_folder / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    unpack(package.path, folder)
    program = _kept(cache_folder)
    if not _is_distribution(program):
        raise ProcessError("Run Debian's docker-registry", "it does not run on this machine")
    return program


def _kept(cache_folder: Path) -> Path:
    """Where Debian's package has the program, once it is unpacked."""
    return cache_folder / _FOLDER / "usr" / "bin" / "docker-registry"


def _is_distribution(program: Path) -> bool:
    """Whether a program is the registry; others are called so, too."""
    try:
        done = process.run([program, "--version"], env=process.environment(), check=False)
    except ProcessError:
        return False
    return done.code == 0 and "distribution" in done.stdout
