"""Bases and Bentos of the tests' own: small, and made without apt, without an index and without BentoML."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from bentoship.assembly.image import assemble
from bentoship.assembly.recipe import Recipe, check, recipes
from bentoship.bases import Base, Outline
from bentoship.bases.facts import Facts
from bentoship.bento import Bento, Env, Model
from bentoship.image.layer import Entry
from bentoship.image.manifest import Image
from bentoship.layers.bytecode import Interpreter
from bentoship.layers.cache import LayerCache
from tests.support.wheels import make_requirements, make_wheel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of the Python that runs the tests, which is the one of the synthetic base, too."""

GLIBC = 36

RELEASE = "Debian GNU/Linux 12 (bookworm)"

_USERS = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n",
    "group": "root:x:0:\ndaemon:x:1:\nshadow:x:42:\n",
    "shadow": "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
    "gshadow": "root:*::\ndaemon:*::\nshadow:*::\n",
}


def synthetic_base(folder: Path, layers: LayerCache, *, platform: str = "linux/amd64") -> Base:
    """Return a base with two small layers, whose Python is the one that runs the tests.

    Args:
        folder: gets the base's files, by platform.
        layers: gets its layers.
        platform: such as "linux/amd64"; the layers of two platforms differ.
    """
    system = [Entry(f"etc/{name}", content=text.encode()) for name, text in _USERS.items()]
    python = [Entry(f"usr/bin/python{PYTHON}", mode=0o755, content=f"for {platform}".encode())]
    rootfs = folder / platform.replace("/", "-")
    for entry in (*system, *python):
        assert isinstance(entry.content, bytes)
        (rootfs / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (rootfs / entry.path).write_bytes(entry.content)
    package = {"name": "libc6", "version": f"2.{GLIBC}-9", "architecture": platform.partition("/")[2]}
    return Base(
        layers=(layers.write(system, "system", "base"), layers.write(python, "python", "base")),
        config={"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        platform=platform,
        facts=Facts(PurePosixPath(f"/usr/bin/python{PYTHON}"), GLIBC, RELEASE, _USERS),
        rootfs=rootfs,
        origin={"debian": {"release": RELEASE, "packages": [{**package, "sha256": "0" * 64}]}},
        compiler=_this_python,
    )


@dataclass(frozen=True)
class GivenBases:
    """A source of bases that are there; of those that are not, of their outlines.

    Args:
        bases: by platform.
        outlines: by platform.
    """

    bases: Mapping[str, Base]
    outlines: Mapping[str, Outline] = field(default_factory=dict)

    def outline(self, platform: str) -> Outline:
        """Return the base, or what is given of it."""
        return self.bases[platform].outline if platform in self.bases else self.outlines[platform]

    def make(self, platform: str) -> Base:
        """Return the base; one that is not there must not be asked for."""
        return self.bases[platform]


def recipe_of(bento: Bento, outline: Outline, cache: LayerCache) -> Recipe:
    """Return the recipe for one platform."""
    (recipe,) = recipes(bento, [outline], cache)
    return recipe


def assembled(bento: Bento, base: Base, cache: LayerCache, scratch: Path) -> Image:
    """Return the image of a Bento on a base."""
    check(bento)
    return assemble(recipe_of(bento, base.outline, cache), base, cache, scratch)


def _this_python() -> Interpreter:
    return Interpreter((sys.executable, "-s", "-S", "-W", "ignore"), {"PYTHONDONTWRITEBYTECODE": "1"})


def laid_out(folder: Path, python: str = PYTHON) -> Bento:
    """A Bento as BentoML lays it out, made without BentoML: one package, one model, a module and a script.

    Args:
        folder: an empty folder for the Bento and what it is made of.
        python: the minor version it asks for, such as "3.11".
    """
    root = folder / "bento"
    make_wheel(folder / "wheels", "tool", script="run-tool")
    make_requirements(root, folder / "wheels", "tool==1.0")
    (root / "src" / "service.py").write_text("print('hello')\n", "utf-8")
    (root / "src" / "run.sh").write_text("#!/bin/sh\n", "utf-8")
    (root / "src" / "run.sh").chmod(0o700)
    (root / "env" / "docker").mkdir()
    (root / "env" / "docker" / "entrypoint.sh").write_text("#!/usr/bin/env bash\n", "utf-8")
    (root / "README.md").write_text("# echo:one\n", "utf-8")
    info = {"name": "echo", "version": "one", "creation_time": "2026-01-01T00:00:00+00:00", "image": {}}
    (root / "bento.yaml").write_text(yaml.safe_dump(info), "utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "weights.bin").write_bytes(b"1234")
    return bento_in(folder, python)


def bento_in(folder: Path, python: str = PYTHON) -> Bento:
    """Return the Bento that was laid out in a folder."""
    models = (Model("stars", "v1", folder / "model", {"accuracy": 0.9}),)
    envs = (Env("MODE", "fast", "all"), Env("PATH_TO", "/x", "runtime"))
    return Bento("echo", "one", folder / "bento", python, "", models, envs, (("team", "sky"),), ())
