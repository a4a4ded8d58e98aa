"""A base system put together from Debian's packages: no registry, no root, and nothing of them is run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from bentoship.bases import Base, Unmade
from bentoship.bases.debian_files import configure, is_wanted
from bentoship.bases.interpreter import Interpreter, compiler, find_python, host_platform
from bentoship.bytecode import Batch, compile_trees
from bentoship.debian.apt import Apt, DebPackage
from bentoship.debian.sources import os_release
from bentoship.debian.unpack import control_files, unpack
from bentoship.errors import BaseImageError
from bentoship.image.layer import Entry, tree
from bentoship.layers import LayerCache, key_of
from bentoship.rootfs import is_as_made, make_once

# Raise it when the same packages give other files, so that bases made before are made anew.
RECIPE = "3"

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PACKAGES = (
    "base-files", "base-passwd", "bash", "coreutils", "dash", "findutils", "grep", "hostname", "libc-bin", "sed", "tar",
    "ca-certificates", "netbase", "tzdata",
    "python3", "libgomp1", "libstdc++6",
)  # fmt: skip
"""What BentoML's entrypoint, its server and the wheels of common packages run with."""

LEFT_OUT = frozenset({"debconf", "dpkg", "libdebconfclient0", "libmd0", "openssl", "perl-base"})
"""What only the scripts need that install or configure packages; they aren't run."""

_ARCHITECTURES = {"linux/amd64": "amd64", "linux/arm64": "arm64"}

# Modes and groups that differ from what `tree` gives every file. 42 is the group shadow (/usr/share/base-passwd).
_SPECIAL = {
    "etc/gshadow": (0o640, 42),
    "etc/shadow": (0o640, 42),
    "root": (0o700, 0),
    "run/lock": (0o1777, 0),
    "tmp": (0o1777, 0),
    "var/tmp": (0o1777, 0),
}


def debian_base(cache: Path, *, python: str, platform: str, layers: LayerCache, packages: Sequence[str] = ()) -> Base:
    """The base for a platform, from the packages of this host's distribution; made anew only when those have changed.

    Args:
        cache: keeps apt's state and packages in `apt`, and the system's files in `bases`.
        python: the minor version that Debian's Python has to have, such as "3.11".
        platform: such as "linux/amd64".
        layers: where its one layer is made.
        packages: names of more packages; they come with what they depend on.

    Raises:
        BaseImageError: there is no apt or no network, Debian has another Python, or doesn't know the platform.
    """
    return _plan(cache, python, platform, packages).base(layers)


def debian_outline(cache: Path, *, python: str, platform: str, layers: LayerCache) -> Base | Unmade:
    """The base if it is made already, else what its packages tell of it. Takes and raises as `debian_base`."""
    plan = _plan(cache, python, platform, ())
    made = is_as_made(plan.rootfs) and layers.find(plan.key)
    # A package is compressed harder than a layer, and holds what is left out of one: that is about even.
    if made:
        return plan.made(layers)
    return Unmade(platform, sum(deb.size for deb in plan.debs), plan.glibc, {"debian": {"packages": plan.made_of}})


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
    def glibc(self) -> int:
        """The minor version of the C library: 36 for 2.36-9+deb12u9."""
        version = next(deb.version for deb in self.debs if deb.name == "libc6")
        return int(re.split(r"[.-]", version)[1])

    def base(self, layers: LayerCache) -> Base:
        """The base, whose files are made unless they are there."""
        self._make()
        return self.made(layers)

    def made(self, layers: LayerCache) -> Base:
        """The base, whose files are there: looking at each of them once more would take a while."""
        release = os_release(self.rootfs / "usr/lib/os-release").get("PRETTY_NAME", "Debian")
        title = f"{release}, Python {self.python}"
        return Base(
            layers=layers.make(self.key, lambda: [layers.write(_entries(self.rootfs), title)]),
            config={"Env": [f"PATH={PATH}"]},
            platform=self.platform,
            rootfs=self.rootfs,
            origin={"debian": {"release": release, "packages": self.made_of}},
            compiler=lambda: self._compiler(self.rootfs, self._twin()),
        )

    def _make(self) -> None:
        if not is_as_made(self.rootfs):
            twin = self._twin()  # before, since folders are made one at a time
            make_once(self.rootfs, lambda folder: self._fill(folder, twin))

    def _fill(self, folder: Path, twin: Path | None) -> None:
        self.apt.fetch(self.debs, architecture=_ARCHITECTURES[self.platform])
        _unpack(self.debs, folder)
        _compile(folder, self.python, self._compiler(folder, twin))

    def _twin(self) -> Path | None:
        """The files of the same base for this machine, if it is for another one."""
        here = host_platform()
        if self.platform == here or here not in _ARCHITECTURES:
            return None
        plan = _plan(self.cache, self.python, here, ())
        plan._make()
        return plan.rootfs

    def _compiler(self, rootfs: Path, twin: Path | None) -> Interpreter:
        python = find_python(rootfs, self.python, PATH)
        return compiler(rootfs, python, version=self.python, platform=self.platform, twin=twin)


def _plan(cache: Path, python: str, platform: str, packages: Sequence[str]) -> _Plan:
    architecture = _ARCHITECTURES.get(platform)
    if architecture is None:
        raise BaseImageError(
            f"Assemble Debian for {platform}", f"only {' and '.join(_ARCHITECTURES)} can be", "Set PLATFORMS."
        )
    apt = Apt(cache / "apt")
    debs = [
        deb
        for deb in apt.resolve([*PACKAGES, *packages], architecture=architecture)
        if deb.name not in LEFT_OUT.difference(packages)
    ]
    _check_python(debs, python)
    return _Plan(apt, debs, python, platform, cache)


def _check_python(debs: Sequence[DebPackage], python: str) -> None:
    offered = ".".join(next(deb.version for deb in debs if deb.name == "python3").split(".")[:2])
    if offered != python:
        raise BaseImageError(
            f"Assemble a base with Python {python}",
            f"Debian's packages here have Python {offered}",
            f'Set docker.python_version: "{offered}" in bentofile.yaml, or BASE_IMAGE=python:{python}-slim.',
        )


def _unpack(debs: Sequence[DebPackage], folder: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        controls = pool.map(lambda deb: control_files(deb.path, ("control", "md5sums")), debs)  # meanwhile
        for deb in debs:
            unpack(deb.path, folder, wanted=is_wanted)
        configure(folder, {deb.name: control for deb, control in zip(debs, controls, strict=True)})


def _compile(folder: Path, python: str, interpreter: Interpreter) -> None:
    library = folder / "usr" / "lib" / f"python{python}"
    files = tuple(path for path in library.rglob("*.py") if not path.is_symlink())
    compile_trees(interpreter, [Batch(folder, PurePosixPath("/"), files)], jobs=os.cpu_count() or 1)


def _entries(rootfs: Path) -> Iterator[Entry]:
    for entry in tree(rootfs, ""):
        mode, group = _SPECIAL.get(entry.path, (entry.mode, entry.gid))
        yield replace(entry, mode=mode, gid=group)
