"""The Python packages of an image: installed by uv for the image's platform, and laid out as a virtual environment."""

from __future__ import annotations

import csv
import functools
import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from uv import find_uv_bin

from bentoship.errors import PackagesError
from bentoship.image.layer import Entry, size_of, tree
from bentoship.image.platforms import ARCHITECTURES
from bentoship.packages.requirements import address_lines, canonical_name, local_file, paths_start
from bentoship.system.files import temporary_folder
from bentoship.system.process import Completed, Running, background, environment, run
from bentoship.system.progress import State, StepReporter
from bentoship.system.text import counted

VENV = "app/.venv"

# What a wheel puts beside its packages belongs to the environment, not among the modules.
_BESIDE = ("bin", "etc", "include", "share")

_COMPILED = re.compile(r"(^|/)__pycache__/[^/]+\.pyc(\.\d+)?$")

OTHERWISE = "Change the requirement, or use BACKEND=docker, which can build packages from source."
_OFFLINE = "Check the network and the package index (UV_DEFAULT_INDEX)."


@dataclass(frozen=True)
class Target:
    """What packages are installed for.

    Args:
        platform: such as "linux/amd64".
        python: the minor version, such as "3.11".
        glibc: the minor version of the base's C library: 36 for 2.36.
    """

    platform: str
    python: str
    glibc: int

    @property
    def uv_platform(self) -> str:
        """Return the platform's name in uv (`--python-platform`)."""
        return f"{ARCHITECTURES[self.platform].machine}-manylinux_2_{self.glibc}"

    @property
    def site_packages(self) -> str:
        """Return where modules are in the image."""
        return f"{VENV}/lib/python{self.python}/site-packages"

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}, glibc 2.{self.glibc}"


@dataclass(frozen=True)
class Distribution:
    """An installed package, and its files in the image."""

    name: str
    version: str
    entries: tuple[Entry, ...]

    @cached_property
    def size(self) -> int:
        """Return the bytes of its files."""
        return size_of(self.entries)


@contextmanager
def installing(bento: Path, locked: Sequence[str], target: Target, into: Path) -> Iterator[Installation]:
    """Install a lock for the target, as `uv pip install --target` does, while something else is done.

    Args:
        bento: the Bento's folder: what its lock names by path, and where it says packages are downloaded.
        locked: requirement lines.
        target: what they have to run on.
        into: an empty folder.
    """
    requirements = (bento / "env" / "python" / "requirements.txt").read_text("utf-8")
    source = "\n".join([*address_lines(requirements), *locked])
    args = ["pip", "install", "-r", "-", "--target", str(into), "--no-deps", "--no-compile-bytecode"]
    command = _command([*args, *selection(target)])
    with background(command, env=_environment(), cwd=paths_start(bento), input=source) as uv:
        yield Installation(uv, target, into, len(locked))


@dataclass(frozen=True)
class Installation:
    """Packages that uv is installing.

    Args:
        uv: its process.
        target: what they have to run on.
        into: the folder that they get into.
        number: how many there are.
    """

    uv: Running
    target: Target
    into: Path
    number: int

    def finish(self) -> None:
        """Wait until they are installed. Raises PackagesError when one has no wheel, or cannot be downloaded."""
        _checked(self.uv.wait(), self.target)
        (self.into / ".lock").unlink(missing_ok=True)

    def state(self) -> State:
        """Return how far uv has come."""
        from bentoship.packages.uv_output import install_state  # mostly nothing is installed

        return install_state(self.uv.complaints, self.into, self.number)

    def has_ended(self) -> bool:
        """Return whether they are installed."""
        return self.uv.has_succeeded


@dataclass(frozen=True)
class Staged:
    """Packages on their way into a folder.

    Args:
        lines: those of a lock that they stand for.
        folders: waits until they are installed, and gives their folders, by the lines in each. Raises PackagesError.
    """

    lines: Sequence[str]
    folders: Callable[[], Mapping[tuple[str, ...], Path]]


@contextmanager
def staging(
    bento: Path, lines: Sequence[str], target: Target, scratch: Path, reporter: StepReporter
) -> Iterator[Staged]:
    """Install packages while something else is done; their folders go with the block.

    Args:
        bento: the Bento's folder.
        lines: of its lock.
        target: what they have to run on.
        scratch: a folder for the folders.
        reporter: receives the progress.
    """
    # Files with the same path would overwrite each other, and a wheel that is named by its path may be called anything.
    named = [line for line in lines if canonical_name(line) and not local_file(line, paths_start(bento))]
    title = f"installing {counted(len(lines), 'package')} for {target.platform}"
    with temporary_folder(scratch, "packages-") as folder, ExitStack() as stack:
        common = folder / "common"
        common.mkdir()
        installation = stack.enter_context(installing(bento, named, target, common)) if named else None
        if installation:
            stack.enter_context(reporter.task(title, measure=installation.state, ended=installation.has_ended))

        @functools.cache
        def folders() -> Mapping[tuple[str, ...], Path]:
            if installation:
                installation.finish()
            clashes = clashing(common)
            apart = [line for line in lines if line not in named or clashes is None or canonical_name(line) in clashes]
            found = {tuple(line for line in named if line not in apart): common}
            with reporter.task(
                f"installing {counted(len(apart), 'package')} one by one", total=len(apart), unit="packages"
            ) as task:
                for number, line in enumerate(apart):
                    found[(line,)] = _installed_alone(bento, line, target, folder / str(number))
                    task.advance(1)
            return found

        yield Staged(lines, folders)


def _installed_alone(bento: Path, line: str, target: Target, into: Path) -> Path:
    into.mkdir()
    with installing(bento, [line], target, into) as installation:
        installation.finish()
    return into


def distributions(installed: Path, target: Target) -> list[Distribution]:
    """Return what was installed into a folder, by package, with scripts and data where a virtual environment has them.

    The folder may be compiled at the same time: byte-code that no package lists is left out.
    """
    found: list[Distribution] = []
    taken: set[str] = set()
    present = {entry.path: entry for entry in tree(installed, "") if isinstance(entry.content, Path)}
    for record in _records(installed):
        name, _, version = record.parent.name.removesuffix(".dist-info").rpartition("-")
        files = (_listed(record) & present.keys()) - taken
        taken |= files
        record_entry = _record(installed, record, target)
        entries = [_placed(present[path], target) for path in sorted(files)]
        kept = [entry for entry in entries if entry.path != record_entry.path and _is_wanted(entry.path)]
        found.append(Distribution(name, version, (*kept, record_entry)))
    # A wheel whose list of files is not whole still works as installed.
    unlisted = (path for path in present.keys() - taken if not path.startswith(".") and not _COMPILED.search(path))
    if rest := sorted(unlisted):
        moved = [_placed(present[path], target) for path in rest]
        found.append(Distribution("", "", tuple(entry for entry in moved if _is_wanted(entry.path))))
    return found


def with_byte_code(one: Distribution, target: Target) -> Distribution:
    """Return a package with the byte-code that has since been put beside its modules (PEP 3147)."""
    listed = {entry.path for entry in one.entries}
    suffix = f".cpython-{target.python.replace('.', '')}.pyc"
    compiled = []
    for entry in one.entries:
        if isinstance(entry.content, Path) and entry.path.endswith(".py"):
            file = entry.content.parent / "__pycache__" / f"{entry.content.stem}{suffix}"
            path = f"{entry.path.rpartition('/')[0]}/__pycache__/{file.name}"
            if path not in listed and file.is_file():
                compiled.append(Entry(path, content=file))
    return replace(one, entries=(*one.entries, *compiled))


def clashing(installed: Path) -> set[str] | None:
    """Return the canonical names of packages whose files another package installed as well.

    Returns: None when there are files that no package lists, which could belong to any of them.
    """
    owners: dict[str, list[str]] = {}
    for record in _records(installed):
        name = canonical_name(record.parent.name.removesuffix(".dist-info").rpartition("-")[0])
        for path in _listed(record):
            owners.setdefault(path, []).append(name)
    present = (entry.path for entry in tree(installed, "") if isinstance(entry.content, Path))
    if any(path not in owners and _is_wanted(path) for path in present):
        return None
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _records(installed: Path) -> list[Path]:
    return sorted(installed.glob("*.dist-info/RECORD"))


def _listed(record: Path) -> set[str]:
    return {row[0] for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if row}


def selection(target: Target) -> list[str]:
    """Return uv's options for wheels that a target runs."""
    return ["--python-version", target.python, "--python-platform", target.uv_platform, "--only-binary", ":all:"]


def run_uv(args: Sequence[str], target: Target, *, cwd: Path, stdin: str) -> str:
    """Return what uv prints. Raises PackagesError with its error message."""
    return _checked(run(_command(args), env=_environment(), cwd=cwd, check=False, input=stdin), target).stdout


def _command(args: Sequence[str]) -> list[str]:
    return [find_uv_bin(), *args, "--python", sys.executable]


def _environment() -> dict[str, str]:
    return environment(prefixes=("UV_",), extra={"NO_COLOR": "1", "UV_NO_PROGRESS": "1"})


def _checked(done: Completed, target: Target) -> Completed:
    if done.code:
        # Before its error message uv prints what it downloads; the tree that it draws becomes one line.
        complaint = re.split(r"(?m)^\s*(?:×|error:)", done.stderr, maxsplit=1)[-1]
        why = re.sub(r"[\s╰─▶│├]+", " ", complaint).strip()
        offline = any(word in why for word in ("dns error", "client error (Connect)", "timed out"))
        raise PackagesError(f"Install the Python packages for {target}", why, _OFFLINE if offline else OTHERWISE)
    return done


def _is_wanted(path: str) -> bool:
    # uv's notes on where a package came from; of this machine, not of the image.
    return path.rpartition("/")[2] not in {"uv_cache.json", "direct_url.json"}


def _place(path: str, target: Target) -> str:
    first, _, _ = path.partition("/")
    return f"{VENV}/{path}" if first in _BESIDE else f"{target.site_packages}/{path}"


def _placed(entry: Entry, target: Target) -> Entry:
    """Return an installed file at its place in the image."""
    content = entry.content
    if isinstance(content, Path) and entry.path.startswith("bin/"):
        content = _script(content)
    return replace(entry, path=_place(entry.path, target), content=content)


def _script(file: Path) -> Path | bytes:
    """Return a console script with the image's interpreter in its first line instead of this machine's."""
    content = file.read_bytes()
    if not content.startswith(b"#!"):
        return file
    if content.startswith(b"#!/bin/sh\n'''exec'"):  # a path that is too long, or has a space
        _, _, body = content.partition(b"\n' '''\n")
    else:
        first, _, body = content.partition(b"\n")
        if b"python" not in first:
            return file
    return f"#!/{VENV}/bin/python\n".encode() + body


def _record(installed: Path, record: Path, target: Target) -> Entry:
    """Return the list of a package's files as placed in the image, without the hashes of scripts: those changed."""
    rows = [row for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if row and _is_wanted(row[0])]
    up = "../" * (len(PurePosixPath(target.site_packages).parts) - len(PurePosixPath(VENV).parts))
    moved = ([f"{up}{row[0]}", "", ""] if row[0].partition("/")[0] in _BESIDE else row for row in rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(moved))
    path = record.relative_to(installed).as_posix()
    return Entry(_place(path, target), content=text.getvalue().encode())
