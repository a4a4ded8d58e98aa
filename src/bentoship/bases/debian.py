"""A base system assembled from Debian's packages: without a registry, without root, and without running any of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from bentoship.bases import Base, Outline
from bentoship.bases.facts import Facts
from bentoship.debian.apt import Apt, DebPackage
from bentoship.debian.sources import known_pythons, os_release, release_title, release_with
from bentoship.errors import BaseImageError
from bentoship.image.layer import Estimate, size_of
from bentoship.image.platforms import ARCHITECTURES, DEFAULT_PATH
from bentoship.layers.cache import LayerCache
from bentoship.system.folders import is_as_made, make_once
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.records import key_of
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.image.layer import Layer
    from bentoship.layers.bytecode import Interpreter

# Increase it when the same packages give other files, so that existing bases are rebuilt.
RECIPE = "3"

PACKAGES = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "hostname", "libc-bin", "sed", "tar",
    "ca-certificates", "netbase", "tzdata",
    "python3", "libgomp1", "libstdc++6",
)  # fmt: skip
"""What BentoML's entrypoint, its server and the wheels of common packages run with."""

LEFT_OUT = frozenset({"debconf", "dpkg", "libdebconfclient0", "libmd0", "openssl", "perl-base"})
"""What only the scripts that install or configure packages need, which are not run."""


def is_offered(python: str) -> bool:
    """Return whether this host can get the packages of a release with a Python, such as "3.11"."""
    return shutil.which("apt-get") is not None and bool(release_with(python, os_release()))


def title(python: str) -> str:
    """Return the release that has a Python: "Debian 13 (trixie) with Python 3.13"; empty where none is offered."""
    system = os_release()
    return f"{release_title(release_with(python, system), system)} with Python {python}" if is_offered(python) else ""


def otherwise(python: str, option: str) -> str:
    """Return how a Bento gets a base without a registry, in a sentence; empty where it gets none.

    Args:
        python: its Python, such as "3.12".
        option: where the user sets that.
    """
    if is_offered(python):
        return "Set BASE_IMAGE=debian to assemble the base from Debian's packages, without a registry."
    offered = known_pythons(os_release()) if shutil.which("apt-get") else []
    return f"Without a registry, this machine has Python {', '.join(offered)}: set {option}." if offered else ""


@dataclass(frozen=True)
class DebianSource:
    """Makes bases from the packages of this host's distribution; rebuilds them only when those have changed.

    Args:
        cache: keeps apt's state and packages in `apt`, and the systems' files in `bases`.
        python: the minor version that Debian's Python has to have, such as "3.11".
        layers: where a base's one layer is made.
        begin: begins to make the base for a platform in another process, and returns what waits for its end; None for
            making it in this one.
        reporter: receives the progress.
        option: where the user sets the Bento's Python, for errors.
    """

    cache: Path
    python: str
    layers: LayerCache
    begin: Callable[[str], Callable[[], None]] | None = None
    reporter: StepReporter = field(default=SILENT, compare=False)
    option: str = field(default="docker.python_version", compare=False)

    def outline(self, platform: str) -> Outline:
        """Return the base if it exists, else what can be known from its packages.

        Raises:
            BaseImageError: there is no apt or no network, Debian has another Python, or doesn't know the platform.
        """
        plan = self._plan(platform)
        facts = Facts.read(plan.record)
        if facts and self.layers.find(plan.key):
            return plan.made(facts, self.layers).outline
        # A .deb is compressed better than a layer, but has files that the layer leaves out: the two about cancel out.
        layer = Estimate("base", "base", sum(deb.size for deb in plan.debs))
        return Outline(platform, (layer,), plan.glibc, {"debian": {"packages": plan.made_of}})

    def make(self, platform: str) -> Base:
        """Return the base, made unless it exists. Raises as `outline` does."""
        if self.begin and self.outline(platform).base is None:
            self.begin(platform)()
        return self._plan(platform).base(self.layers)

    def _plan(self, platform: str) -> _Plan:
        apt = Apt(self.cache / "apt", self.reporter, release_with(self.python, os_release()))
        return _plan(apt, self.python, platform, self.cache, self.option)


@dataclass(frozen=True)
class _Plan:
    """What a base will be made of, and where its files go."""

    apt: Apt
    debs: Sequence[DebPackage]
    python: str
    platform: str
    cache: Path

    @property
    def made_of(self) -> list[dict[str, str]]:
        return [
            {"name": deb.name, "version": deb.version, "architecture": deb.architecture, "sha256": deb.sha256}
            for deb in self.debs
        ]

    @property
    def key(self) -> str:
        return key_of("debian", RECIPE, self.platform, json.dumps(self.made_of))

    @property
    def rootfs(self) -> Path:
        return self.cache / "bases" / f"debian-{self.key[:16]}"

    @property
    def record(self) -> Path:
        """Return the file with the facts of its files, kept when they were made so that they need not be read again."""
        return self.cache / "bases" / f"{self.rootfs.name}.facts"

    @property
    def glibc(self) -> int:
        """Return the minor version of the C library: 36 for 2.36-9+deb12u9."""
        version = next(deb.version for deb in self.debs if deb.name == "libc6")
        return int(re.split(r"[.-]", version)[1])

    def base(self, layers: LayerCache) -> Base:
        """Return the base; its files are made unless they exist."""
        from bentoship.bases.interpreter import find_python

        self._make()
        release = os_release(self.rootfs / "usr/lib/os-release").get("PRETTY_NAME", "Debian")
        facts = Facts.of(self.rootfs, find_python(self.rootfs, self.python, DEFAULT_PATH), release)
        facts.keep(self.record)
        return self.made(facts, layers)

    def made(self, facts: Facts, layers: LayerCache) -> Base:
        """Return the base from what is known of its files."""
        title = f"{facts.release}, Python {self.python}"
        return Base(
            layers=layers.make(self.key, lambda: self._layers(title, layers)),
            config={"Env": [f"PATH={DEFAULT_PATH}"]},
            platform=self.platform,
            facts=facts,
            rootfs=self.rootfs,
            origin={"debian": {"release": facts.release, "packages": self.made_of}},
            compiler=self._checked_compiler,
        )

    def _checked_compiler(self) -> Interpreter:
        self._make()
        return self._compiler(self.rootfs, self._twin())

    def _make(self) -> None:
        if not is_as_made(self.rootfs):
            twin = self._twin()  # before, since folders are made one at a time
            make_once(self.rootfs, lambda folder: self._fill(folder, twin))

    def _fill(self, folder: Path, twin: Path | None) -> None:
        from bentoship.bases import debian_making  # not for a base that exists

        self.apt.fetch(self.debs, architecture=ARCHITECTURES[self.platform].debian)
        debian_making.unpack_all(self.debs, folder, self.apt.reporter)
        debian_making.compile_library(folder, self.python, self._compiler(folder, twin), self.apt.reporter)

    def _layers(self, title: str, layers: LayerCache) -> list[Layer]:
        from bentoship.bases import debian_making

        self._make()  # the files may have been changed since
        entries = list(debian_making.entries(self.rootfs))
        with self.apt.reporter.task("compressing the base system", total=size_of(entries)) as task:
            return [layers.write(entries, title, "base", task.advance)]

    def _twin(self) -> Path | None:
        """Return the files of the same base for this machine, if it is for another one."""
        from bentoship.bases.interpreter import host_platform

        here = host_platform()
        if self.platform == here or here not in ARCHITECTURES:
            return None
        plan = _plan(self.apt, self.python, here, self.cache)
        plan._make()
        return plan.rootfs

    def _compiler(self, rootfs: Path, twin: Path | None) -> Interpreter:
        from bentoship.bases.interpreter import compiler, find_python

        python = find_python(rootfs, self.python, DEFAULT_PATH)
        return compiler(rootfs, python, version=self.python, platform=self.platform, twin=twin)


def _plan(apt: Apt, python: str, platform: str, cache: Path, option: str = "") -> _Plan:
    architecture = ARCHITECTURES.get(platform)
    if architecture is None:
        raise BaseImageError(
            f"Assemble a base from Debian's packages for {platform}",
            f"only {' and '.join(ARCHITECTURES)} are supported",
            "Change PLATFORMS.",
        )
    debs = [deb for deb in apt.resolve(PACKAGES, architecture=architecture.debian) if deb.name not in LEFT_OUT]
    _check_python(debs, python, option)
    return _Plan(apt, debs, python, platform, cache)


def _check_python(debs: Sequence[DebPackage], python: str, option: str) -> None:
    offered = ".".join(next(deb.version for deb in debs if deb.name == "python3").split(".")[:2])
    if offered != python:
        raise BaseImageError(
            f"Assemble a base with Python {python}",
            f"Debian's packages here have Python {offered}",
            f"Set {option} to {offered}, or BASE_IMAGE=python:{python}-slim.",
        )
