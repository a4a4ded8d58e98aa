"""Wheels of packages that have none: each is built by uv once, and kept by what it was built from."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bentoship.errors import PackagesError
from bentoship.packages.folders import listing, named_in, refreshing
from bentoship.packages.indexes import naming_indexes
from bentoship.packages.requirements import canonical_name, is_exact
from bentoship.packages.uv_settings import (
    BUILDING,
    GIT,
    calling_uv,
    completed,
    local_folders,
    lock_settings,
    uv_program,
)
from bentoship.packages.uv_waiting import run_uv
from bentoship.system.files import file_lock, private_folder, temporary_folder
from bentoship.system.process import OWN_PYTHON, environment, run
from bentoship.system.pythons import managed_python
from bentoship.system.records import key_of
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

# Increase it when wheels are built in another way, so that those built before are built again.
_RECIPE = "1"

# Wheels have no times before 1980, and one day later every time zone has got there.
_EPOCH = "315619200"
_DATE = (1980, 1, 2, 0, 0, 0)

_DAYS = 30
"""How long a wheel is kept that is not used."""

_SHARED = re.compile(r"(archive|wheels|simple|flat-index|interpreter)-v\d+")
"""Folders of uv's cache that do not depend on what is built: what a build needs is not downloaded for each."""

_GLIBC = re.compile(rb"GLIBC_2\.(\d+)")
_OLDEST_GLIBC = 17
"""The minor version of glibc that uv takes every Linux to have, at least (PEP 599)."""

_NOISE = re.compile(r"error: (?i:command) '?\[?'.*(returned non-zero|failed with exit)|warning|pyprojecttoml\.py")
_TELLING = re.compile(r"(?i)\berrors?\b|Error:|not found|no such file|denied|cannot ")
_HEADER = re.compile(r"fatal error: (\S+): No such file")
_TOOL = re.compile(
    r"(?:command|execute) '([^']+)'(?: failed)?: No such file|No such file or directory: '([^'/]+)'"
    r"|([\w.+-]+): (?:command )?not found"
)
_UNREACHABLE = "Check the requirement, the network and the account."
_HINT = "Install what its build needs on this machine, or require a version that has a wheel."


@dataclass(frozen=True)
class Builder:
    """What wheels are built with, and where they are kept.

    Args:
        kept: the folder that keeps them.
        python: the minor version of the image's Python, such as "3.11".
        options: lines of requirements that say where packages are downloaded, which a build may need, too.
        start: the folder that paths in the options start from.
        indexes: those of single packages, as of `indexes.indexes_in`.
    """

    kept: Path
    python: str
    options: Sequence[str]
    start: Path
    indexes: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Builder:
        """Return the builder that the process which imports a service describes; that one names no indexes."""
        return cls(Path(data["kept"]), data["python"], tuple(data["options"]), Path(data["start"]))

    def find(self, content: str) -> Path | None:
        """Return the wheel that was built from some content, such as a hash or a commit; None when none is kept."""
        found = next(self._folder(content).glob("*.whl"), None)
        if found:
            with suppress(OSError):  # another run may have removed it meanwhile
                os.utime(found.parent)
        return found

    def build(self, requirement: str, content: str, subject: str) -> Path:
        """Return the wheel of a package, built unless it is kept.

        Args:
            requirement: what uv finds its source by.
            content: what it is built from: another one gives another wheel.
            subject: what the user calls it.

        Raises: PackagesError when it cannot be built.
        """
        folder = self._folder(content)
        with file_lock(self.kept / "locks" / folder.name[:2]):
            if found := self.find(content):
                return found
            with temporary_folder(self.kept / "building", "wheel-") as scratch:
                wheel = self._built(requirement, scratch, subject)
                done = Path(scratch, "done")
                done.mkdir()
                _normalised(wheel, done)
                self._forget_old()
                shutil.rmtree(folder, ignore_errors=True)
                private_folder(folder.parent)
                shutil.move(done, folder)
            return next(folder.glob("*.whl"))

    def _folder(self, content: str) -> Path:
        env = environment(names=BUILDING)
        flags = [f"{name}={env[name]}" for name in BUILDING if name in env]
        options = [*map(without_secrets, self.options), listing(named_in(self.options, self.start))]
        options += [self.indexes] if self.indexes else []
        machine = os.uname()
        key = key_of(
            _RECIPE, content, self.python, machine.sysname, machine.machine, lock_settings(), *options, "", *flags
        )
        return self.kept / "built" / key

    def _forget_old(self) -> None:
        for folder in self.kept.glob("built/*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _DAYS * 24 * 3600:
                    shutil.rmtree(folder)

    def _built(self, requirement: str, scratch: Path, subject: str) -> Path:
        """Return the wheel that uv builds: it keeps it in its cache, for which it gets a folder of its own."""
        # With its variables put in, so that what is built does not see them.
        is_named = is_exact(requirement)  # of an index, which may have wheels for other platforms
        # What is named by its place is no package of an index, which options for these do not mean.
        options = [line for line in self.options if is_named or not line.startswith("--only-binary")]
        source = completed("\n".join([*options, requirement]))
        interpreter = interpreter_of(self.python, self.start)
        args = [
            "pip",
            "install",
            "-r",
            "-",
            "--no-deps",
            "--no-compile-bytecode",
            "--target",
            str(scratch / "installed"),
        ]
        if is_named:
            args += ["--no-binary", canonical_name(requirement)]
        args += refreshing(local_folders(self.options, self.start))
        further = GIT if requirement.startswith("git+") else ()
        with calling_uv(self.start, source, self.indexes) as env, naming_indexes(self.indexes, source, args) as named:
            own = scratch / "cache"
            _share_cache(env, own)
            env |= environment(names=(*BUILDING, *further)) | {"UV_CACHE_DIR": str(own), "SOURCE_DATE_EPOCH": _EPOCH}
            # Without the folder's name in it, what is compiled is the same each time.
            env |= {name: f"{env.get(name, '')} -g0".strip() for name in ("CFLAGS", "CXXFLAGS")}
            env.pop("UV_NO_CACHE", None)
            env["TMPDIR"] = str(scratch)  # what a killed build leaves there goes with it
            command = [*args, *named, "--python", interpreter or sys.executable]
            done = run_uv(command, env=env, cwd=self.start, input=source)
        if done.code:
            raise _failure(done.stderr, subject)
        names = {_wheel_name(folder.name) for folder in Path(scratch, "installed").glob("*.dist-info")}
        wheels = [file for file in own.glob("sdists-v*/**/*.whl") if file.is_file() and _wheel_name(file.name) in names]
        if not wheels:
            raise PackagesError(f"Build {without_secrets(subject)}", "uv has built no wheel of it", _HINT)
        if not interpreter and not wheels[0].stem.endswith("-none-any"):
            why = f"it has compiled modules, and this machine has no Python {self.python} to build them for"
            hint = f"Install it (`uv python install {self.python}`), or require a version that has a wheel."
            raise PackagesError(f"Build {without_secrets(subject)}", why, hint)
        return wheels[0]


def interpreter_of(python: str, folder: Path) -> str:
    """Return the path of a Python that uv finds on this machine, or a manager has; empty when there is none.

    Args:
        python: its minor version, such as "3.11"; the running Python is taken where it has that.
        folder: where uv looks from.
    """
    if python == OWN_PYTHON:
        return sys.executable
    command = [uv_program(), "python", "find", python, "--no-python-downloads", "--no-project"]
    found = run(command, env=environment(prefixes=("UV_PYTHON",)), cwd=folder, check=False).stdout.strip()
    return found or managed_python(python)


def _share_cache(env: Mapping[str, str], own: Path) -> None:
    """Add links to what the user's cache of uv has, except for what was built, to another one."""
    own.mkdir()
    command = [uv_program(), "cache", "dir"]
    usual = Path(run(command, env={**env, "NO_COLOR": "1"}, check=False).stdout.strip() or own)
    for folder in usual.glob("*") if "UV_NO_CACHE" not in env else ():
        if _SHARED.fullmatch(folder.name):
            (own / folder.name).symlink_to(folder)


def _wheel_name(file: str) -> tuple[str, ...]:
    """Return the canonical name and the version of a wheel, or of an installed package, by its file name."""
    name, version, *_ = file.removesuffix(".dist-info").split("-")
    return canonical_name(name), version


def _normalised(wheel: Path, into: Path) -> None:
    """Write a wheel that depends on nothing but what is in it: neither on times, modes nor the compressor.

    One that was compiled is named by the C library that it needs (PEP 600), so that uv knows where it runs.
    """
    oldest = 0
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(into / "wheel", "w", zipfile.ZIP_STORED) as target:
        for info in sorted(source.infolist(), key=lambda info: info.filename):
            content = source.read(info)
            if content.startswith(b"\x7fELF"):
                oldest = max(oldest, *map(int, _GLIBC.findall(content)), _OLDEST_GLIBC)
            member = zipfile.ZipInfo(info.filename, _DATE)
            is_executable = info.external_attr >> 16 & 0o100
            member.external_attr = (0o100755 if is_executable else 0o100644) << 16
            target.writestr(member, content)
    name = re.sub(r"-linux_(\w+)\.whl$", rf"-manylinux_2_{oldest}_\1.whl", wheel.name) if oldest else wheel.name
    (into / "wheel").rename(into / name)


def _failure(stderr: str, subject: str) -> PackagesError:
    """Return why a wheel cannot be built: in the words of its build, or of who was asked for its source."""
    complaint = re.split(r"(?m)^\s*(?:×|error:)\s*", without_secrets(stderr), maxsplit=1)[-1]
    lines = [re.sub(r"^[\s╰─▶│├]*(cause: )?", "", line).rstrip() for line in complaint.splitlines()]
    said, hints = _parted([line for line in lines if line])
    _, is_quoted, quoted = "\n".join(said).rpartition("[stderr]\n")
    words = quoted.splitlines()
    telling = [line for line in words if _TELLING.search(line) and not _NOISE.search(line)]
    why = "; ".join(list(dict.fromkeys(telling))[-3:] or words[-3:]) if is_quoted else " ".join(said[-6:])
    hint = _missing(why) or (" ".join([*hints, _HINT]) if is_quoted or hints else _UNREACHABLE)
    return PackagesError(f"Build {without_secrets(subject)}, which has no wheel", why, hint)


def _missing(why: str) -> str:
    """Return what to install, when the words of a build name a header or a program; empty when they name none."""
    if header := _HEADER.search(why):
        return f"Install the library that provides {header[1]}, or require a version that has a wheel."
    tool = _TOOL.search(why)
    name = next(filter(None, tool.groups())) if tool else ""
    return f"Install {name}, which its build runs, or require a version that has a wheel." if name else ""


def _parted(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what was said, and the hints, without their first word and with a full stop."""
    hints = list(_hints(lines))
    return [line for line in lines if not line.startswith(("hint:", "help:"))], hints


def _hints(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith(("hint:", "help:")):
            # A second sentence often goes on with lines of an example.
            yield f"{line[5:].strip().partition('. ')[0].rstrip('.')}."
