"""An environment of this machine with the packages that a Bento's requirements ask for, to import its service in."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.image.platforms import platform_of
from bentoship.packages.building import interpreter_of
from bentoship.packages.indexes import indexes_of
from bentoship.packages.install import install_for
from bentoship.packages.locks import lock_here, with_wheels
from bentoship.packages.requirements import bare, canonical_name, local_file, paths_start
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import calling_uv, lock_settings, uv_program
from bentoship.system.files import digest_of, file_lock, private_folder, temporary_folder
from bentoship.system.process import OWN_PYTHON, run
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.records import key_of
from bentoship.system.text import counted
from bentoship.system.values import dataclass

# Increase it when environments are made in another way.
_RECIPE = "1"

_DAYS = 30
"""How long an environment is kept that is not used."""

_USUAL_GLIBC = 36


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the packages of a Bento.

    Args:
        folder: where it is.
        python: its version of Python, such as "3.11".
        wanted: the version that the image has.
        number: how many packages it has.
        bentoml: its version of BentoML; empty where its lock does not say.
    """

    folder: Path
    python: str
    wanted: str
    number: int
    bentoml: str

    @property
    def program(self) -> Path:
        """Return the path of its Python."""
        return self.folder / "bin" / "python"

    def is_usable(self) -> bool:
        """Return whether it can be used, and note its use.

        It may be gone, and so may the Python it was made with; and the image's may have been installed since.
        """
        with suppress(OSError):
            os.utime(self.folder)
        return self.program.exists() and (self.python == self.wanted or not interpreter_of(self.wanted, self.folder))

    def __str__(self) -> str:
        packages = f"the {counted(self.number, 'package')} of its requirements"
        if self.python == self.wanted:
            return f"an environment of Python {self.python} with {packages}"
        why = f"since this machine has no Python {self.wanted}"
        return f"an environment of Python {self.python}, {why}, with {packages}"


def environment_of(bento: Path, python: str, kept: Path, locks: Path, reporter: StepReporter = SILENT) -> Environment:
    """Return the environment with the packages of a Bento, which is made unless it is kept.

    Args:
        bento: the Bento's folder.
        python: the minor version of its image's Python. Where this machine has none, the running one is taken.
        kept: a folder that keeps environments.
        locks: a folder that keeps locks.
        reporter: receives the progress.

    Raises: PackagesError when a package cannot be locked or installed for this machine.
    """
    program = interpreter_of(python, bento)
    lock = lock_here(bento, Target(_platform(), python if program else OWN_PYTHON, _glibc()), locks, python=python)
    contents = [digest_of(file) for line in lock.lines if (file := local_file(line, paths_start(bento)))]
    contents += filter(None, [indexes_of(bento)])
    key = key_of(_RECIPE, program or sys.executable, lock.target.python, lock_settings(), *lock.lines, "", *contents)
    found = Environment(kept / key, lock.target.python, python, len(lock.lines), _bentoml(lock.lines))
    with file_lock(kept / "locks" / key[:2]):
        if found.is_usable():
            return found
        (complete,) = with_wheels(bento, [lock], locks)
        with temporary_folder(kept / "making", "environment-") as scratch:
            made = scratch / "made"
            _make(program or sys.executable, made)
            install_for(bento, complete.installed, lock.target, made, reporter)
            _forget_old(kept)
            shutil.rmtree(found.folder, ignore_errors=True)
            private_folder(kept)
            made.rename(found.folder)
    return found


def _make(program: str, folder: Path) -> None:
    with calling_uv(folder.parent) as env:
        command = [uv_program(), "venv", "--python", program, "--relocatable", "--no-project", "--quiet", str(folder)]
        done = run(command, env=env, cwd=folder.parent, check=False)
    if done.code:
        raise PackagesError("Make an environment to import the service in", done.last_lines)


def _forget_old(kept: Path) -> None:
    for folder in kept.glob("*/pyvenv.cfg"):
        with suppress(OSError):
            if time.time() - folder.parent.stat().st_mtime > _DAYS * 24 * 3600:
                shutil.rmtree(folder.parent)


def _platform() -> str:
    """Return the platform of this machine, such as "linux/amd64" or "darwin/arm64". Raises PackagesError."""
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    found = platform_of(machine)
    if found is None:
        hint = "Install the service's packages yourself, and set BUILD_PYTHON=host."
        raise PackagesError(
            "Make an environment to import the service in", f"no packages for {machine} are known", hint
        )
    return found.replace("linux", platform.system().lower())


def _glibc() -> int:
    """Return the minor version of this machine's C library: 36 for 2.36."""
    found = re.fullmatch(r"2\.(\d+).*", platform.libc_ver()[1])
    return int(found[1]) if found else _USUAL_GLIBC


def _bentoml(lines: tuple[str, ...]) -> str:
    found = next((bare(line) for line in lines if canonical_name(line) == "bentoml"), "")
    return found.partition("==")[2].partition(";")[0].strip()
