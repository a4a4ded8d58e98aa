"""The host's own apt, used without root and without touching the host's packages."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from operator import itemgetter
from pathlib import Path
from urllib.parse import unquote

from bentoship.debian.sources import os_release, own_sources
from bentoship.errors import BaseImageError, BentoshipError, ProcessError
from bentoship.system import process, records, retry
from bentoship.system.files import PARTIAL, digest_of, file_lock, private_folder, temporary_folder, write_whole
from bentoship.system.progress import SILENT, State, StepReporter
from bentoship.system.values import dataclass

_FRESH_FOR = 24 * 3600.0
"""Seconds for which lists of packages are used before they are refreshed: security updates come in within a day."""

WITHOUT_APT = "Set BASE_IMAGE=python:3.11-slim."

_HELPER = "/usr/lib/apt/apt-helper"

_ATTEMPTS = 6
"""How often apt is started, at most, while a mirror fails; apt itself tries again only after some kinds of failure."""

_FINAL = re.compile(
    r"\b(40[0134]|407|410) |signature|NO_PUBKEY|No space left|not valid yet|Permission denied|: No such file"
)
"""What apt says of a failure that will not pass."""

_LACKING = "This host's package mirror may not have this architecture."

# Of the host's configuration, how its servers are reached; its hooks, pins and preferences are not ours.
_KEPT = re.compile(r'Acquire::(?:https?|ftp|tor|Check-[\w-]+|Max-ValidTime)\b.* "[^"]+";')

# What --print-uris writes: 'http://…/bash_5.2_amd64.deb' bash_5.2_amd64.deb 1490652 SHA256:82130b…
_PRINTED = re.compile(
    r"'(?:(?P<uri>https?://[^'@]+)|[^']+)' "
    r"(?P<file>(?P<name>[^_\s]+)_(?P<version>[^_\s]+)_(?P<architecture>[^_\s]+)\.deb)"
    r" (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class DebPackage:
    """One version of a package.

    Args:
        name, version, architecture: as Debian writes them ("python3", "3.11.2-1+b1", "amd64" or "all").
        sha256: of the .deb file, in hex, from lists whose signature apt has checked.
        size: of the .deb file, in bytes.
        path: where the .deb file lies once it is downloaded.
        uri: where it can be downloaded anonymously; None where that takes an account, or it is not on the web.
    """

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: Path
    uri: str | None


@dataclass(frozen=True)
class Apt:
    """Debian's packages, for any architecture, in a folder of ours.

    Two processes may use the same folder at once; one waits for the other.

    Args:
        folder: keeps lists, answers and .deb files.
        release: the codename of the distribution's release; empty for the host's.
        reporter: receives the progress.
    """

    folder: Path
    reporter: StepReporter = field(default=SILENT, compare=False)
    release: str = ""

    def resolve(
        self, names: Sequence[str], *, architecture: str | None = None, dependencies: bool = True
    ) -> list[DebPackage]:
        """Return the packages that installing some would take, by name; nothing of them is downloaded.

        Args:
            names: packages.
            architecture: Debian's name of one ("arm64"); the host's when None.
            dependencies: whether what they depend on belongs to them.

        Raises:
            BaseImageError: there is no apt, it can't reach its servers, or it knows no such packages.
        """
        with file_lock(self.folder / "lock"):
            state = self._state(architecture)
            state.update(self.reporter)
            question = json.dumps([sorted(names), dependencies, _PRINTED.pattern])
            known = state.folder / f"answer-{hashlib.sha256(question.encode()).hexdigest()}.json"
            is_young = known.is_file() and known.stat().st_mtime >= state.updated
            packages = records.read_as(known, self._packages) if is_young else None
            if not packages:
                command = ["install", "--yes"] if dependencies else ["download"]
                printed = state.apt_get(f"Look up {' '.join(names)}", *command, "--print-uris", *sorted(names))
                answer = sorted((match.groupdict() for match in _PRINTED.finditer(printed)), key=itemgetter("name"))
                records.keep(known, answer)
                packages = self._packages(answer)
        return packages

    def _packages(self, answer: Sequence[Mapping[str, str]]) -> list[DebPackage]:
        """Return the packages of what apt has printed, as `_PRINTED` reads it."""
        return [
            DebPackage(
                unquote(line["name"]),
                unquote(line["version"]),
                line["architecture"],
                line["sha256"],
                int(line["size"]),
                self.folder / "debs" / line["file"],
                line["uri"],
            )
            for line in answer
        ]

    def download(
        self, names: Sequence[str], *, architecture: str | None = None, dependencies: bool = True
    ) -> list[DebPackage]:
        """Return the packages that `resolve` gives, with their .deb files downloaded and checked."""
        packages = self.resolve(names, architecture=architecture, dependencies=dependencies)
        self.fetch(packages, architecture=architecture)
        return packages

    def fetch(self, packages: Sequence[DebPackage], *, architecture: str | None = None) -> None:
        """Download those of the packages whose .deb files are missing or damaged.

        Args:
            packages: of what `resolve` gave.
            architecture: what they were resolved for.

        Raises:
            BaseImageError: apt can't download them.
        """
        debs = self.folder / "debs"
        private_folder(debs)
        with file_lock(self.folder / "lock"), temporary_folder(debs, PARTIAL) as partial:
            missing = [package for package in packages if not _is_whole(package)]
            if not missing:
                return
            state = self._state(architecture)
            title, total = "downloading Debian packages", sum(package.size for package in missing)
            try:
                with self.reporter.task(title, measure=lambda: State(title, _size(partial), total)):
                    retry.retry(lambda: _download(state, missing, partial), _pause)
            except BaseImageError:
                # A package may have been replaced since the lists were made: the next run refreshes them.
                state.outdate()
                raise
            for package in missing:
                (partial / package.path.name).replace(package.path)
                if not _is_whole(package):
                    why = f"{package.path.name} does not match the package list"
                    raise BaseImageError(f"Download {package.name}", why)

    def _state(self, architecture: str | None) -> _State:
        system = os_release()
        sources = own_sources(system, release=self.release)
        if not sources:
            name = system.get("PRETTY_NAME", "This system")
            raise BaseImageError("Find Debian's packages", f"{name} has no package source of its own", WITHOUT_APT)
        architecture = architecture or _host_architecture()
        # A folder for each, so that an edited list of sources is a question never asked before.
        name = f"{architecture}-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"
        return _State(self.folder / name, architecture, sources, system.get("ID", "debian").capitalize())


@dataclass(frozen=True)
class _State:
    """What apt knows of one architecture, and the configuration that keeps it apart from the host's.

    Args:
        folder: where it lies.
        architecture: Debian's name of it.
        sources: the text of a `.sources` file.
        origin: how the distribution's own lists are marked ("Debian"); others that slipped in rank lower.
    """

    folder: Path
    architecture: str
    sources: str
    origin: str

    @property
    def updated(self) -> float:
        """Return when the lists were refreshed, in seconds since 1970; 0 for never."""
        stamp = self.folder / "updated"
        return stamp.stat().st_mtime if stamp.is_file() else 0.0

    def update(self, reporter: StepReporter) -> None:
        """Refresh the lists unless they are young. Raises: BaseImageError when one of them can't be downloaded."""
        if 0 <= time.time() - self.updated < _FRESH_FOR:
            return
        for name in ("parts", "lists/partial", "cache/archives/partial"):
            private_folder(self.folder / name)
        texts = {
            "apt.conf": self._conf(),
            "parts/own.sources": self.sources,
            "preferences": f"Package: *\nPin: release o={self.origin}\nPin-Priority: 990\n",
            "status": "",
        }
        for name, text in texts.items():
            write_whole(self.folder / name, text.encode())  # an address in it may have a password
        doing = f"Refresh the lists of Debian's packages for {self.architecture}"
        try:
            # The next question makes apt's cache, in the same time.
            no_cache = ("--option", "pkgCacheFile::Generate=false")
            with reporter.task("refreshing the lists of Debian packages"):
                update = ("update", "--option", "APT::Update::Error-Mode=any", *no_cache)
                retry.retry(lambda: self.apt_get(doing, *update), _pause)
        except BaseImageError as error:
            # A mirror may lack an architecture that the distribution's list of contents names.
            if f"binary-{self.architecture}" in error.why and "404" in error.why:
                raise BaseImageError(doing, error.why, f"{_LACKING} {WITHOUT_APT}") from error
            raise
        if not any((self.folder / "lists").glob(f"*_binary-{self.architecture}_Packages*")):
            raise BaseImageError(doing, f"this host's package sources have none for {self.architecture}", WITHOUT_APT)
        (self.folder / "updated").touch()

    def outdate(self) -> None:
        """Have the lists refreshed the next time, however young they are."""
        (self.folder / "updated").unlink(missing_ok=True)

    def download(self, doing: str, packages: Sequence[DebPackage], into: Path) -> None:
        """Download packages into a folder, under the names that they are to have. Raises: BaseImageError."""
        files = [(deb.uri, str(into / deb.path.name), f"SHA256:{deb.sha256}") for deb in packages if deb.uri]
        # It loads no lists, which takes longer than to download these; but its arguments show in a list of processes.
        if Path(_HELPER).is_file() and len(files) == len(packages):
            self._run(doing, _HELPER, "download-file", *itertools.chain(*files))
        else:
            self.apt_get(
                doing, "download", *(f"{deb.name}:{deb.architecture}={deb.version}" for deb in packages), cwd=into
            )

    def apt_get(self, doing: str, *args: str, cwd: Path | None = None) -> str:
        """Return what apt-get prints. Raises: BaseImageError with apt's own words."""
        return self._run(doing, "apt-get", *args, cwd=cwd)

    def _run(self, doing: str, program: str, *args: str, cwd: Path | None = None) -> str:
        try:
            with temporary_folder(self.folder, "tmp-") as folder:  # apt has files there while it checks a signature
                env = process.environment(
                    extra={"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C", "TMPDIR": str(folder)}
                )
                done = process.run([program, "--quiet=2", *args], env=env, cwd=cwd, check=False)
        except ProcessError as error:
            raise BaseImageError(doing, f"{program}: {error.why}", WITHOUT_APT) from error
        # Before apt 2.1.14 a list that could not be fetched is only a warning.
        if done.code != 0 or "Failed to fetch" in done.stderr:
            words = [line[3:] for line in done.stderr.splitlines() if line.startswith(("E: ", "W: "))]
            raise BaseImageError(doing, " ".join(words[:2]) or done.last_lines, WITHOUT_APT)
        return done.stdout

    def _conf(self) -> str:
        """Return an apt.conf that keeps of the host's how its servers are reached. Raises: BaseImageError."""
        try:
            host = process.run(["apt-config", "dump"], env=process.environment(extra={"LC_ALL": "C"})).stdout
        except ProcessError as error:
            raise BaseImageError("Find Debian's packages", f"apt-config: {error.why}", WITHOUT_APT) from error
        folder = str(self.folder.absolute())
        ours = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Install-Recommends": "0",
            "APT::Sandbox::User": "",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Languages": "none",
            "Acquire::PDiffs": "0",
            "Acquire::Retries": "2",
            "Acquire::Retries::Delay": "false",  # the pauses between starts of apt are enough
            "Acquire::http::Timeout": "15",
            "Acquire::https::Timeout": "15",
            "Debug::NoLocking": "1",
            "Dir::Cache": f"{folder}/cache",
            "Dir::Cache::srcpkgcache": "",  # only spares work where the list of installed packages changes
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "Dir::Etc::preferences": f"{folder}/preferences",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{folder}/parts",
            "Dir::State": folder,
            "Dir::State::status": f"{folder}/status",
        }
        kept = [line for line in host.splitlines() if _KEPT.fullmatch(line)]
        return "\n".join([*kept, *(f'{name} "{value}";' for name, value in ours.items()), ""])


def _download(state: _State, packages: Sequence[DebPackage], into: Path) -> None:
    """Download those of the packages that a folder lacks."""
    lacking = [package for package in packages if not _is_whole(replace(package, path=into / package.path.name))]
    if lacking:
        state.download(f"Download {len(packages)} of Debian's packages", lacking, into)


def _pause(error: BentoshipError, attempt: int, elapsed: float) -> float | None:
    """Return the seconds after which apt is started again; None to give up (`retry.Policy`)."""
    return None if attempt == _ATTEMPTS or _FINAL.search(error.why) else retry.FIRST_PAUSE * 2 ** (attempt - 1)


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder, of which some may be renamed at this moment."""
    size = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                size += entry.stat().st_size
    return size


def _is_whole(package: DebPackage) -> bool:
    """Return whether a .deb file exists, and matches the lists."""
    if not package.path.is_file() or package.path.stat().st_size != package.size:
        return False
    return digest_of(package.path) == package.sha256


def _host_architecture() -> str:
    try:
        return process.run(["dpkg", "--print-architecture"], env=process.environment()).stdout.strip()
    except ProcessError as error:
        raise BaseImageError("Find Debian's packages", f"dpkg: {error.why}", WITHOUT_APT) from error
