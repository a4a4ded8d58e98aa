"""Installed packages, told apart by their RECORDs, and where a virtual environment in the image has their files.

uv installs them with a prefix: what lies among the modules there is a module, whatever it is called, and all else
belongs below the environment.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bentoship.errors import PackagesError, reason
from bentoship.image.layer import Entry, size_of, tree
from bentoship.packages.requirements import canonical_name
from bentoship.packages.target import VENV, Target
from bentoship.system.documents import LIST, read_text
from bentoship.system.process import OWN_PYTHON
from bentoship.system.values import dataclass

_COMPILED = re.compile(r"(^|/)__pycache__/[^/]+\.pyc(\.\d+)?$")

# This process's Python, by which uv names folders; some systems have a folder of their own for compiled modules.
_OURS = f"python{OWN_PYTHON}"
_SITES = (f"lib/{_OURS}/site-packages", f"lib64/{_OURS}/site-packages")
_HEADERS = f"include/site/{_OURS}"


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


def module_folders(installed: Path) -> list[Path]:
    """Return the folders with modules below a prefix, whether they exist or not; the first is the usual one."""
    return [installed / site for site in _SITES]


def distributions(installed: Path, target: Target) -> list[Distribution]:
    """Return what was installed with a prefix, by package, with its files where a virtual environment has them.

    The folder may be compiled at the same time: byte-code that no package lists is left out.
    """
    found: list[Distribution] = []
    taken: set[str] = set()
    present = {entry.path: entry for entry in tree(installed, "") if isinstance(entry.content, Path)}
    for record in _records(installed):
        name, version = _identity(record)
        files = (_rows(installed, record).keys() & present.keys()) - taken
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
        for path in _rows(installed, record):
            owners.setdefault(path, []).append(canonical_name(_identity(record)[0]))
    present = (entry.path for entry in tree(installed, "") if isinstance(entry.content, Path))
    if any(path not in owners and _is_wanted(path) for path in present):
        return None
    return {name for names in owners.values() if len(names) > 1 for name in names}


def faulty_files(installed: Path) -> dict[str, str]:
    """Return a file that is not what its package's RECORD says, by the canonical names of such packages.

    A cache of uv's that was cut short or changed shows itself here, before it becomes a part of a layer.
    """
    found: dict[str, str] = {}
    for record in _records(installed):
        faults = (path for path, row in _rows(installed, record).items() if not _is_as_recorded(installed / path, *row))
        if path := next(faults, None):
            found[canonical_name(_identity(record)[0])] = path
    return found


def _is_as_recorded(file: Path, digest: str, size: str) -> bool:
    """Return whether a file has the size and the digest of its row, "sha256=…", as far as these are given."""
    try:
        if not file.is_file():  # a device would not end
            return not size and not digest and _COMPILED.search(file.name) is not None
        if size and file.stat().st_size != int(size):
            return False
        algorithm, _, expected = digest.partition("=")
        if not expected or algorithm not in hashlib.algorithms_guaranteed:
            return True
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, algorithm).digest()
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode() == expected.rstrip("=")


def _records(installed: Path) -> list[Path]:
    return sorted(record for folder in module_folders(installed) for record in folder.glob("*.dist-info/RECORD"))


def _identity(record: Path) -> tuple[str, str]:
    """Return the name and the version of the package that a RECORD is of."""
    name, _, version = record.parent.name.removesuffix(".dist-info").rpartition("-")
    return name, version


def _rows(installed: Path, record: Path) -> dict[str, tuple[str, str]]:
    """Return the digests and sizes that a RECORD lists, as texts, by the files' paths below the prefix."""
    folder = record.parent.parent.relative_to(installed).as_posix()
    try:
        rows = list(csv.reader(io.StringIO(read_text(record, LIST))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = f"its RECORD cannot be read: {reason(error)}"
        raise PackagesError(f"Install {record.parent.name.removesuffix('.dist-info')}", why) from error
    filled = ([*row, "", ""] for row in rows if row)
    return {posixpath.normpath(f"{folder}/{name}"): (digest, size) for name, digest, size, *_ in filled}


def _is_wanted(path: str) -> bool:
    # uv's notes on where a package came from; of this machine, not of the image.
    return path.rpartition("/")[2] not in {"uv_cache.json", "direct_url.json"}


def _place(path: str, target: Target) -> str:
    """Return where the image has a file, given its path below the prefix."""
    for site in _SITES:
        if path.startswith(f"{site}/"):
            return f"{target.site_packages}{path.removeprefix(site)}"
    if path.startswith(f"{_HEADERS}/"):
        return f"{VENV}/include/site/python{target.python}{path.removeprefix(_HEADERS)}"
    return f"{VENV}/{path}"


def _placed(entry: Entry, target: Target) -> Entry:
    """Return an installed file at its place in the image."""
    content = entry.content
    if isinstance(content, Path) and entry.path.startswith("bin/"):
        content = _script(content)
    return replace(entry, path=_place(entry.path, target), content=content)


def _script(file: Path) -> Path | bytes:
    """Return a console script with the image's interpreter in its first line instead of this machine's."""
    with file.open("rb") as stream:
        if stream.read(2) != b"#!":
            return file
    content = file.read_bytes()
    if content.startswith(b"#!/bin/sh\n'''exec'"):  # a path that is too long, or has a space
        _, _, body = content.partition(b"\n' '''\n")
    else:
        first, _, body = content.partition(b"\n")
        if b"python" not in first:
            return file
    return f"#!/{VENV}/bin/python\n".encode() + body


def _record(installed: Path, record: Path, target: Target) -> Entry:
    """Return the list of a package's files as placed in the image, without the hashes of scripts: those changed."""
    rows: list[tuple[str, str, str]] = []
    for path, (digest, size) in _rows(installed, record).items():
        if _is_wanted(path):
            place = os.path.relpath(_place(path, target), target.site_packages)
            rows.append((place, "", "") if path.startswith("bin/") else (place, digest, size))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return Entry(_place(record.relative_to(installed).as_posix(), target), content=text.getvalue().encode())


def modules(installed: Path) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Yield the folders with modules below a prefix, each with its Python files."""
    for folder in filter(Path.is_dir, module_folders(installed)):
        found = (entry.content for entry in tree(folder, "") if entry.path.endswith(".py"))
        yield folder, tuple(content for content in found if isinstance(content, Path))
