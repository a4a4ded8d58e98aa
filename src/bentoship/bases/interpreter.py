"""The Python of a base: where it is in the image, its version, and what on this machine compiles as it does."""

import os
import platform
import re
import struct
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath

from uv import find_uv_bin

from bentoship.errors import BaseImageError
from bentoship.image.platforms import platform_of
from bentoship.layers.bytecode import Interpreter
from bentoship.system import process
from bentoship.system.pythons import managed_python
from bentoship.system.rootfs import resolve

_PT_INTERP, _LONGEST = 3, 4096
"""The kind of a program's header that names its loader, and the bytes that the path there may have."""

# Set by us alone, since what a base holds is a stranger's: no password, no proxy, no home.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def find_python(rootfs: Path, version: str, path_env: str, option: str = "docker.python_version") -> PurePosixPath:
    """Return where the Python of a minor version is in an image, links resolved.

    Args:
        rootfs: the image's files.
        version: such as "3.11".
        path_env: the PATH of the image.
        option: where the user sets the Bento's Python.

    Raises:
        BaseImageError: it has none; the message names the versions that it has.
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
        f"Set {option} to another one, or BASE_IMAGE=python:{version}-slim.",
    )


def host_platform() -> str:
    """Return the platform whose programs this machine runs, such as "linux/amd64"; empty when no image is for it."""
    return platform_of(platform.machine()) or "" if sys.platform == "linux" else ""


def exact_version(rootfs: Path, python: PurePosixPath, version: str) -> str:
    """Return the exact version of a base's Python, as its program or library states it: "3.11.2"; without running it.

    Args:
        rootfs: the base's files.
        python: its Python, as `find_python` gives it.
        version: its minor version, such as "3.11".

    Raises:
        BaseImageError: no version is found.
    """
    program = rootfs / python.relative_to("/")
    said = re.compile(rb"\0(" + re.escape(version).encode() + rb"\.\d+(?:(?:a|b|rc)\d+)?\+?)\0")
    libraries = (
        path for folder in ("lib", "lib/*") for path in program.parent.parent.glob(f"{folder}/libpython3*.so*")
    )
    for file in (program, *sorted(libraries)):
        if found := said.search(file.read_bytes()):
            return found[1].decode()
    raise BaseImageError(f"Find the patch version of Python {version} in the base", f"{python} does not state it")


def compiler(rootfs: Path, python: PurePosixPath, *, version: str, platform: str, twin: Path | None) -> Interpreter:
    """Return what compiles here as a base's Python would: that itself, by its own loader, else one of its version.

    It has to be exactly the same version, since two patch versions may compile a file differently. Byte-code does not
    depend on the processor. So what an image holds depends on its base, and not on this machine.

    Args:
        rootfs: the base's files.
        python: its Python, as `find_python` gives it.
        version: its minor version, such as "3.11".
        platform: what the base is for, such as "linux/amd64".
        twin: the files of the same base for this machine; None when there is none.

    Raises:
        BaseImageError: nothing of that version runs here.
    """
    if platform == host_platform():
        return _own(rootfs, python)
    wanted = exact_version(rootfs, python, version)
    if twin is not None:
        native = find_python(twin, version, str(python.parent))
        if exact_version(twin, native, version) == wanted:
            return _own(twin, native)
    return Interpreter((_host_python(wanted), "-s", "-S", "-W", "ignore"), _ENVIRONMENT)


def _own(rootfs: Path, python: PurePosixPath) -> Interpreter:
    executable = rootfs.absolute() / python.relative_to("/")
    libraries = ":".join(str(folder) for folder in _library_folders(rootfs.absolute()))
    loader = str(resolve(rootfs.absolute(), _loader(executable)))
    if os.geteuid() == 0:
        rootfs.chmod(0o755)  # it runs as another user, which passes by the folders above
    return Interpreter(
        (loader, "--library-path", libraries, str(executable), "-s", "-S", "-W", "ignore"),
        {**_ENVIRONMENT, "PYTHONHOME": str(executable.parent.parent)},
        rootfs.absolute(),
    )


def _loader(executable: Path) -> str:
    """Return the loader that a 64-bit program names (man 5 elf, PT_INTERP)."""
    with executable.open("rb") as stream, suppress(struct.error, ValueError, OverflowError):
        head = stream.read(64)
        if head[:6] == b"\x7fELF\2\1":
            (table,) = struct.unpack_from("<Q", head, 32)
            size, number = struct.unpack_from("<HH", head, 54)
            for index in range(number):
                stream.seek(table + index * size)
                kind, _, offset, _, _, length = struct.unpack("<IIQQQQ", stream.read(40))
                if kind == _PT_INTERP:
                    stream.seek(offset)
                    return os.fsdecode(stream.read(min(length, _LONGEST)).partition(b"\0")[0])
    raise BaseImageError(f"Run {executable.name} of the base", "it is not a 64-bit ELF program with a loader")


def _library_folders(rootfs: Path) -> list[Path]:
    patterns = ("usr/local/lib", "usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib64", "lib64", "usr/lib", "lib")
    found = [
        resolve(rootfs, path.relative_to(rootfs).as_posix())
        for pattern in patterns
        for path in sorted(rootfs.glob(pattern))
    ]
    return list(dict.fromkeys(found))


def _host_python(version: str) -> str:
    if version == platform.python_version():
        return sys.executable
    done = process.run(
        [find_uv_bin(), "python", "find", "--no-project", version],
        env=process.environment(prefixes=["UV_PYTHON"]),
        check=False,
    )
    found = done.stdout.strip() if done.code == 0 else managed_python(version)
    if not found:
        doing = f"Find a Python {version} to compile with, as the base has"
        raise BaseImageError(doing, done.last_lines, f"Run: uv python install {version}")
    return found
