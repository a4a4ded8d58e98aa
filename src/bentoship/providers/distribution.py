"""The program of the local registry: the CNCF distribution registry, installed or from Debian's package."""

import shutil
import sys
from pathlib import Path

from bentoship.errors import BaseImageError, ProcessError, RegistryError
from bentoship.system import process
from bentoship.system.files import private_folder

_NAMES = ("docker-registry", "registry")
_FOLDER = Path("registry", "program")
_PROGRAM = _FOLDER / "usr" / "bin" / "docker-registry"
_INSTALL = (
    "Install it (Debian, Ubuntu: apt install docker-registry; macOS: brew install docker-distribution),\n"
    "or set REGISTRY to another registry."
)


def installed(cache_folder: Path) -> Path | None:
    """Return the path of the registry's program; None when it is not installed."""
    path = process.environment().get("PATH")
    on_path = (program for name in _NAMES if (program := shutil.which(name, path=path)))
    return next(filter(_is_distribution, (*map(Path, on_path), cache_folder / _PROGRAM)), None)


def find_program(cache_folder: Path) -> Path:
    """Return the path of the registry's program: from PATH, else from Debian's package, unpacked without root.

    Args:
        cache_folder: bentoship's cache, which keeps the package. Only one caller at a time.

    Raises: RegistryError, with how to install it, when the program is unavailable.
    """
    if program := installed(cache_folder):
        return program
    if not sys.platform.startswith("linux"):
        raise RegistryError("Start the local registry", "its program is not installed", _INSTALL)
    try:
        return _unpack(cache_folder)
    except (BaseImageError, ProcessError) as error:
        raise RegistryError("Get the local registry's program from Debian", error.why, _INSTALL) from error


def _unpack(cache_folder: Path) -> Path:
    """Download and unpack Debian's package, and return the program. Raises BaseImageError, ProcessError."""
    from bentoship.debian.apt import Apt
    from bentoship.debian.unpack import unpack

    [package] = Apt(cache_folder / "apt").download(["docker-registry"], dependencies=False)
    folder = cache_folder / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    private_folder(folder)
    unpack(package.path, folder)
    program = cache_folder / _PROGRAM
    if not _is_distribution(program):
        raise ProcessError("Run Debian's docker-registry", "it does not run on this machine")
    return program


def _is_distribution(program: Path) -> bool:
    """Return whether a program is the registry; other programs have the same name."""
    try:
        version = process.run([program, "--version"], env=process.environment(), check=False)
    except ProcessError:
        return False
    return version.code == 0 and "distribution" in version.stdout
