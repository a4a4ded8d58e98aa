"""Requirements of what has no wheel: folders, archives of sources, repositories. Each gets the wheel built from it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bentoship.errors import PackagesError, ProcessError
from bentoship.packages.building import Builder
from bentoship.packages.requirements import bare, hashes, lines, text_of
from bentoship.packages.requirements_file import answered
from bentoship.packages.uv_settings import GIT, completed
from bentoship.system.files import digest_of, private_folder, temporary_folder
from bentoship.system.git import clone_without_files, described, remote_commit
from bentoship.system.process import environment
from bentoship.system.text import size
from bentoship.system.urls import without_secrets

_EDITABLE = re.compile(r"^(?:-e|--editable)[ =]\s*")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^]]*\])?\s*@\s*(?P<address>\S.*)")
_EXTRAS = re.compile(r"(?P<address>.*[^\s\[])\s*(?P<extras>\[[\w\s,.-]*\])")
_ARCHIVES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tar")
_LARGEST = 2 << 30
"""The bytes that an archive of sources may have; the largest ones that are published have some hundred millions."""

_PIECE = 1 << 20
# Where a package says how it is built, and what takes its version from Git.
_DESCRIBING = ("pyproject.toml", "setup.cfg", "setup.py")
_ASKS_GIT = re.compile(r"scm|vcs|versioneer|versioningit|dunamai|pbr\b|git-versioning|dynamic-versioning")
# What a build leaves in a folder of sources.
_LEFT = re.compile(r"(dist|build/lib|build/bdist[^/]*|(.*/)?[^/]+\.egg-info|(.*/)?\.eggs)/")


@dataclass(frozen=True)
class Source:
    """A requirement of something that has to be built.

    Args:
        line: as the user wrote it, without hashes.
        address: a path or a URL.
        hashes: such as "sha256:…"; its file has to have one of them, if there are any.
        extras: in brackets; empty for none.
        marker: where it is required; empty for everywhere.
    """

    line: str
    address: str
    hashes: Sequence[str] = ()
    extras: str = ""
    marker: str = ""

    @property
    def fragment(self) -> str:
        """Return the folder that the address names within what it leads to, as a fragment of a URL."""
        found = re.search(r"[#&](subdirectory=[^&]+)", self.address)
        return f"#{found[1]}" if found else ""

    def with_wheel(self, wheel: str) -> str:
        """Return the requirement of a wheel in its place. Args: wheel: its path."""
        name = Path(wheel).name.partition("-")[0]
        required = f"{name}{self.extras} @ {wheel}" if self.extras else wheel
        return f"{required} ; {self.marker}" if self.marker else required


def source_of(line: str, folder: Path) -> Source | None:
    """Return what a requirement names that has to be built; None for a version, a wheel or what is nothing of this.

    Args:
        line: a requirement.
        folder: what its path starts from.
    """
    text = bare(line)
    plain = _EDITABLE.sub("", text)
    if plain.startswith("-"):
        return None
    address, _, marker = map(str.strip, re.split(r"(\s;|;\s)", f"{plain} ; ", maxsplit=1))
    marker = marker.removesuffix(";").strip()
    named = _NAMED.fullmatch(address)
    address, extras = (named["address"], named["extras"] or "") if named else (address, "")
    if not named and (with_extras := _EXTRAS.fullmatch(address)):
        address, extras = with_extras["address"], with_extras["extras"]
    source = Source(text, address.strip("'\""), hashes(line), extras, marker)
    is_path = plain != text or named or "/" in address or address.startswith(".") or address.endswith(_ARCHIVES)
    return source if is_path and _is_to_be_built(source, folder) else None


def _is_to_be_built(source: Source, folder: Path) -> bool:
    if source.address.startswith("git+"):
        return True
    path = _path(source, folder)
    if path is None:
        return urlsplit(source.address).path.endswith(_ARCHIVES)
    return path.suffix != ".whl"


def _path(source: Source, folder: Path) -> Path | None:
    """Return the file or folder that a source is; None for one elsewhere."""
    parts = urlsplit(source.address)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(os.path.normpath(folder / Path(unquote(parts.path)).expanduser()))


@dataclass
class Sources:
    """What wheels are built from, in a project.

    Args:
        project: the folder that paths start from.
        files_of: returns the files of a folder, by their paths in it, without those that are never packed.
        into: the folder that receives the wheels.
        read: the files and folders that were built from so far.
    """

    project: Path
    files_of: Callable[[Path], Iterable[str]]
    into: Path
    read: set[Path] = field(default_factory=set)

    def with_wheels(self, text: str, builder: Builder) -> str:
        """Return requirements with a wheel in place of each source; as they are where there is none.

        Args:
            text: requirements, a line each.
            builder: builds the wheels.

        Raises: PackagesError when one cannot be built, or is not there.
        """
        found = {line: source for line in lines(text) if (source := source_of(line, self.project))}
        if not found:
            return text
        return "".join(
            f"{self._replaced(source, builder) if (source := found.get(line)) else line}\n" for line in lines(text)
        )

    def _replaced(self, source: Source, builder: Builder) -> str:
        wheel = self._wheel(source, builder)
        private_folder(self.into)
        shutil.copy(wheel, self.into / wheel.name)
        return source.with_wheel(f"./wheels/{wheel.name}")

    def _wheel(self, source: Source, builder: Builder) -> Path:
        if source.address.startswith("git+"):
            return _of_repository(source, builder)
        path = _path(source, self.project)
        if path is None:
            return _of_address(source, builder)
        if path.is_file():
            self.read.add(path)
            return _of_archive(source, path, builder)
        if not path.is_dir():
            hint = "Correct the requirement; its path starts from the project's folder."
            raise PackagesError(f"Build {source.line}", f"there is no {path}", hint)
        return self._of_folder(source, path, builder)

    def _of_folder(self, source: Source, folder: Path, builder: Builder) -> Path:
        """Return the wheel of a folder. It is built in a copy: builds leave files, and take what others left."""
        names = [name for name in self.files_of(folder) if not _LEFT.match(name)]
        self.read |= {folder / name for name in names} | {(folder / name).parent for name in names}
        asks_git = any(_ASKS_GIT.search(text_of(folder / name)) for name in _DESCRIBING)
        commit = described(folder) if asks_git else ""
        content = f"{_content(folder, names)}{commit}"
        if found := builder.find(content):
            return found
        with temporary_folder(builder.kept / "building", "sources-") as scratch:
            copy = scratch / (folder.name or "sources")
            if commit:
                copy = clone_without_files(folder, copy, names)
            for name in names:
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / name, copy / name)
            return builder.build(copy.as_uri(), content, source.line)


def _content(folder: Path, names: Sequence[str]) -> str:
    """Return a hash over files of a folder: their paths, their contents, and which are executable."""
    digest = hashlib.sha256()
    for name in sorted(names):
        file = folder / name
        digest.update(os.fsencode(f"{name}\0{bool(file.stat().st_mode & 0o100):d}\0{digest_of(file)}\n"))
    return digest.hexdigest()


def _of_repository(source: Source, builder: Builder) -> Path:
    """Return the wheel of a Git repository, of the commit that its branch or tag is at now."""
    address = source.address.removeprefix("git+").partition("#")[0]
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    path, _, reference = path.partition("@")
    url = f"{scheme}://{host}{slash}{path}"
    env = environment(names=GIT, extra={"LC_ALL": "C"})
    try:
        commit = remote_commit(completed(url), reference, env)
    except ProcessError as error:
        hint = error.hint or "Check the address and the account: Git is run without a question for a password."
        raise PackagesError(f"Build {without_secrets(source.line)}", without_secrets(error.why), hint) from error
    pinned = f"git+{url}@{commit or reference}{source.fragment}"
    return builder.build(pinned, f"{without_secrets(url)}@{commit or reference}{source.fragment}", source.line)


def _of_address(source: Source, builder: Builder) -> Path:
    address = source.address.partition("#")[0]
    shown = without_secrets(address)
    with temporary_folder(builder.kept / "building", "archive-") as scratch:
        archive = scratch / Path(unquote(urlsplit(address).path)).name
        try:
            with archive.open("wb") as file, answered(address) as answer:
                while piece := answer.read(_PIECE):
                    file.write(piece)
                    if file.tell() > _LARGEST:
                        raise OSError(f"it is larger than {size(_LARGEST)}")
        except (OSError, KeyError) as error:
            why = f"{shown} cannot be downloaded: {getattr(error, 'reason', None) or error}"
            raise PackagesError(f"Build {shown}", why, "Check the address, the network and the account.") from error
        return _of_archive(source, archive, builder)


def _of_archive(source: Source, archive: Path, builder: Builder) -> Path:
    expected = {*source.hashes, *(f"sha256:{digest}" for digest in re.findall(r"[#&]sha256=(\w+)", source.address))}
    found = digest_of(archive)
    if expected and f"sha256:{found}" not in expected:
        why = f"its SHA-256 is {found}, which is not what the requirement says"
        raise PackagesError(f"Build {without_secrets(source.line)}", why, "Check the file and the hash.")
    return builder.build(f"{archive.as_uri()}{source.fragment}", f"{found}{source.fragment}", source.line)
