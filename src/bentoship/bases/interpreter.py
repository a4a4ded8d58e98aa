"""The Python of a base: where it lies in the image, and how to run it on this machine."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from platform import machine

from uv import find_uv_bin

from bentoship import process
from bentoship.errors import BaseImageError
from bentoship.rootfs import resolve

_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""What `uname -m` says on Linux, by platform."""

_PT_INTERP = 3

# Set by us alone, since what a base holds is a stranger's: no password, no proxy, no home.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Interpreter:
    """A Python that can be run here.

    Args:
        args: the beginning of its command line; a script and its arguments follow.
        env: its whole environment.
    """

    args: tuple[str, ...]
    env: Mapping[str, str]


def find_python(rootfs: Path, version: str, path_env: str) -> PurePosixPath:
    """Where the Python of a minor version lies in an image, links resolved.

    Args:
        rootfs: the image's files.
        version: such as "3.11".
        path_env: the PATH of the image.

    Raises:
        BaseImageError: it has none; it says which it has.
    """
    folders = [resolve(rootfs, folder) for folder in path_env.split(":") if folder.startswith("/")]
    for folder in folders:
        found = resolve(rootfs, PurePosixPath("/", folder.relative_to(rootfs), f"python{version}"))
        if found.is_file() and os.access(found, os.X_OK):
            return PurePosixPath("/", found.relative_to(rootfs))
    names = {path.name for folder in folders if folder.is_dir() for path in folder.glob("python3.*")}
    others = sorted(name for name in names if re.fullmatch(r"python3\.\d+", name))
    raise BaseImageError(
        f"Find Python {version} in the base",
        f"it has {', '.join(others) or 'no Python'}",
        f"Set docker.python_version in bentofile.yaml, or BASE_IMAGE=python:{version}-slim.",
    )


def command(rootfs: Path, python: PurePosixPath, *, version: str, platform: str) -> Interpreter:
    """How to run the base's own Python here, through its own loader; else another Python of the same minor version.

    The base's own is preferred, since two patch versions may compile a file differently: what an image holds then
    follows from its base and not from this machine. Another one is needed when the base is for another machine.

    Args:
        rootfs: the base's files.
        python: its Python, as `find_python` gives it.
        version: its minor version, such as "3.11".
        platform: what the base is for, such as "linux/amd64".

    Raises:
        BaseImageError: neither runs here.
    """
    if sys.platform != "linux" or machine() != _MACHINES.get(platform):
        return Interpreter((_host_python(version), "-I", "-S", "-W", "ignore"), _ENVIRONMENT)
    executable = rootfs.absolute() / python.relative_to("/")
    libraries = ":".join(str(folder) for folder in _library_folders(rootfs.absolute()))
    loader = str(resolve(rootfs.absolute(), _loader(executable)))
    return Interpreter(
        (loader, "--library-path", libraries, str(executable), "-s", "-S", "-W", "ignore"),
        {**_ENVIRONMENT, "PYTHONHOME": str(executable.parent.parent)},
    )


def _loader(executable: Path) -> str:
    """The loader that a 64-bit program names (man 5 elf, PT_INTERP)."""
    with executable.open("rb") as stream:
        head = stream.read(64)
        if head[:6] == b"\x7fELF\2\1":
            (table,) = struct.unpack_from("<Q", head, 32)
            size, number = struct.unpack_from("<HH", head, 54)
            for index in range(number):
                stream.seek(table + index * size)
                kind, _, offset, _, _, length = struct.unpack("<IIQQQQ", stream.read(40))
                if kind == _PT_INTERP:
                    stream.seek(offset)
                    return stream.read(length).rstrip(b"\0").decode()
    raise BaseImageError(f"Run {executable.name} of the base", "it is no program that names its loader")


def _library_folders(rootfs: Path) -> list[Path]:
    patterns = ("usr/local/lib", "usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib64", "lib64", "usr/lib", "lib")
    found = [
        resolve(rootfs, path.relative_to(rootfs).as_posix())
        for pattern in patterns
        for path in sorted(rootfs.glob(pattern))
    ]
    return list(dict.fromkeys(found))


def _host_python(version: str) -> str:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    done = process.run(
        [find_uv_bin(), "python", "find", "--no-project", version],
        env=process.environment(prefixes=["UV_"]),
        check=False,
    )
    if done.code != 0:
        doing = f"Find a Python {version} to compile with"
        raise BaseImageError(doing, done.last_lines, f"Run: uv python install {version}")
    return done.stdout.strip()
