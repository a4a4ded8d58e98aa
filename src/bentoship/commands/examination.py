"""What publishing and verifying need of this machine: one look at each, which starts and changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bentoship.bento.inputs import read_bentofile
from bentoship.errors import BentoError, EngineError, ProcessError
from bentoship.settings import Settings
from bentoship.system import process
from bentoship.system.text import size

if TYPE_CHECKING:
    from bentoship.docker.connection import Engine

LEAST_SPACE = 1_000_000_000
"""Bytes that the first publish of a small service needs."""


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Args:
        subject: the thing.
        state: "missing" is what may be so, "problem" what should not.
        text: what it is, or what is wrong with it.
        hint: what to do; may be empty.
        stops_publish: whether publish could not work for that.
    """

    subject: str
    state: Literal["ok", "missing", "problem"]
    text: str
    hint: str = ""
    stops_publish: bool = False


def python() -> Finding:
    """The interpreter that runs this."""
    found = f"{platform.python_version()} at {sys.executable}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "ok", found)
    return Finding("python", "problem", found, "Use Python 3.11, 3.12 or 3.13.", stops_publish=True)


def package(name: str) -> Finding:
    """A package that publishing imports or runs."""
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        hint = "Run `uv run invoke …`, which installs what is needed."
        return Finding(name, "missing", f"not installed for {sys.executable}", hint, stops_publish=True)


def bentofile(folder: Path) -> Finding:
    """What is to be packed; the service itself is not imported."""
    try:
        service = read_bentofile(folder / "bentofile.yaml").get("service")
    except BentoError as error:
        return Finding("bentofile", "problem", error.why, error.hint, stops_publish=True)
    return Finding("bentofile", "ok", f"packs {service}")


def git() -> Finding:
    """Names the commit in a tag."""
    if shutil.which("git"):
        return Finding("git", "ok", str(shutil.which("git")))
    return Finding("git", "missing", "no tag will name the commit", "Install git if you want that tag.")


def apt(base_image: str) -> Finding:
    """Makes the base of Debian's packages."""
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return Finding("apt", "ok", str(shutil.which("apt-get")))
    if base_image == "debian":
        hint = "Set BASE_IMAGE to an image such as python:3.11-slim."
        return Finding("apt", "missing", "BASE_IMAGE=debian needs it", hint, stops_publish=True)
    return Finding("apt", "missing", "the base is an image that is pulled", "It can be chosen by BASE_IMAGE.")


def space(cache: Path) -> Finding:
    """Room for what publish keeps and makes."""
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free for {cache}"
    if not os.access(there, os.W_OK | os.X_OK):
        hint = "Let your user write there, or set XDG_CACHE_HOME to another folder."
        return Finding("disk", "problem", f"{there} cannot be written", hint, stops_publish=True)
    if free < LEAST_SPACE:
        hint = "Make room (`invoke clean` removes what can be made again), or set XDG_CACHE_HOME to another disk."
        return Finding("disk", "problem", text, hint, stops_publish=free < LEAST_SPACE / 10)
    return Finding("disk", "ok", text)


def cache(kept: int, limit: int | None) -> Finding:
    """Layers that are kept to be used again."""
    most = "CACHE_LIMIT is off" if limit is None else f"at most {size(limit)}"
    return Finding("cache", "ok", f"{size(kept)} of layers beside the projects' images, {most}")


def docker(settings: Settings | None) -> Iterator[Finding]:
    """Docker's engine: what version it is, and whether it has BuildKit."""
    from bentoship.docker.connection import connect

    builds = settings is not None and settings.backend == "docker"
    needed = builds or (settings is not None and settings.load_image)
    use = "" if needed else "Only BACKEND=docker and `containerize --load` need it. "
    try:
        engine = connect()
    except EngineError as error:
        yield Finding("docker", "problem" if needed else "missing", error.why, use + error.hint, stops_publish=needed)
        return
    with engine.doing("Ask the engine what it is"):
        name = "podman " if engine.is_podman else ""
        yield Finding("docker", "ok", f"{name}{engine.client.version()['Version']} at {engine.endpoint.host}")
    yield _buildkit(engine, builds)


def _buildkit(engine: Engine, needed: bool) -> Finding:
    """How BACKEND=docker would build."""
    from bentoship.docker.build import classic_builder_reason

    try:
        why = classic_builder_reason(engine, process.environment(prefixes=("DOCKER_",)))
    except ProcessError as error:  # without the docker command there is no building at all
        hint = error.hint if needed else f"Only BACKEND=docker needs it. {error.hint}"
        return Finding("buildkit", "problem" if needed else "missing", error.why, hint, stops_publish=needed)
    if not why:
        return Finding("buildkit", "ok", "the engine and the docker command have it")
    install = "Install it (Debian: docker-buildx; Docker: docker-buildx-plugin). " if "buildx" in why else ""
    return Finding("buildkit", "missing", why, f"{install}BACKEND=docker builds without it, slower.")


def podman() -> Finding:
    """Runs the image for verify where there is no Docker."""
    if not shutil.which("podman"):
        return Finding("podman", "missing", "verify does without", "Nothing to do.")
    done = process.run(["podman", "--version"], env=process.environment(), check=False)
    if done.code:
        return Finding("podman", "problem", done.last_lines, "Only verify would use it.")
    return Finding("podman", "ok", done.stdout.strip())
