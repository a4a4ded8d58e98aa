"""Checks of what publishing and verifying need on this machine; they start nothing, and change only the cache."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bentoship import bento as bentos
from bentoship.assembly import recipe
from bentoship.bento import Bento, BuildContext
from bentoship.bento.configuration import check_configuration, project_configuration
from bentoship.errors import BentoError, BentoshipError, EngineError, ProcessError, explain
from bentoship.project import Project, Run
from bentoship.publishing.base import look_up_base
from bentoship.settings import Settings
from bentoship.system import process
from bentoship.system.files import temporary_folder, unwritable
from bentoship.system.progress import StepReporter
from bentoship.system.text import size
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.docker.connection import Engine

LEAST_SPACE = 1_000_000_000
"""The bytes of disk space that the first publish of a small service needs."""


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Args:
        subject: what was checked.
        state: "ok", "missing" when it is absent, or "problem" when something is wrong with it.
        text: what was found, or what is wrong.
        hint: what to do; may be empty.
        stops_publish: whether publish would fail because of it.
    """

    subject: str
    state: Literal["ok", "missing", "problem"]
    text: str
    hint: str = ""
    stops_publish: bool = False


def python() -> Finding:
    """Return the version of the running Python, which pip and uv check against requires-python."""
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def package(name: str) -> Finding:
    """Check that a package that publishing needs is installed."""
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        hint = "Run `uv run invoke …`, which installs it."
        return Finding(name, "missing", f"not installed for {sys.executable}", hint, stops_publish=True)


def configuration(context: BuildContext) -> Finding:
    """Check that what configures the Bento is valid; the service is not imported."""
    try:
        found = project_configuration(context)
        check_configuration(context, found)
        if found.is_built:
            return Finding("bentofile", "ok", f"not read: the Bento {context.bento} is built already")
    except BentoError as error:
        return Finding("bentofile", "problem", error.why, error.hint, stops_publish=True)
    source = found.file.name if found.file else "no file"
    return Finding("bentofile", "ok", f"{source}, packs {found.options['service'] or 'service.py'}")


def service(run: Run, reporter: StepReporter) -> tuple[list[Finding], Bento | None]:
    """Check that publish can import the service and build its Bento, by doing so; only the cache keeps anything of it.

    There are no findings if no service is configured, or its Bento is built already: `configuration` reports that.

    Args:
        run: the run that publish would be.
        reporter: receives the progress of packages that are installed to import the service.

    Returns: the findings, and the Bento; None where publish would have none.
    """
    context, settings = run.project.build_context, run.project.settings
    if context.bento or configuration(context).stops_publish:
        return [], None
    with temporary_folder(settings.scratch, "doctor-") as folder:
        try:
            bento = bentos.rehearse(context, folder, reporter=reporter)
        except BentoshipError as error:
            kept = _up_to_date(context) if isinstance(error, BentoError) else None
            return [problem("service", error, stops_publish=kept is None)], kept
        found = [Finding("service", "ok", f"imported in {bento.environment or f'the environment of {sys.executable}'}")]
        try:
            if settings.backend == "direct":
                recipe.check(bento)
                with reporter.task("finding a wheel of each package"):
                    recipe.check_packages(bento, settings.platforms, run.layers)
        except BentoshipError as error:
            return [*found, problem("service", error, stops_publish=True)], None
    return found, bento


def base(run: Run, bento: Bento) -> Finding:
    """Check that publish can get the base for a Bento; nothing large is downloaded."""
    try:
        return Finding("base", "ok", look_up_base(run, bento, "doctor"))
    except BentoshipError as error:
        return problem("base", error, stops_publish=True)


def problem(subject: str, error: Exception, *, stops_publish: bool) -> Finding:
    """Return the finding of an error, in the words in which a task reports it."""
    why, _, hint = explain(error).partition("\n")
    return Finding(subject, "problem", why, hint, stops_publish)


def _up_to_date(context: BuildContext) -> Bento | None:
    """Return the Bento that publish takes since it is built already, as without a network to lock another one."""
    try:
        return bentos.up_to_date(context)
    except BentoError:
        return None


def git() -> Finding:
    """Check for git, which provides the commit for a tag."""
    if shutil.which("git"):
        return Finding("git", "ok", str(shutil.which("git")))
    return Finding("git", "missing", "no tag will name the commit", "Install git if you want that tag.")


def apt(base_image: str) -> Finding:
    """Check for apt and dpkg, which assemble a base from Debian's packages. Args: base_image: of the settings."""
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        return Finding("apt", "ok", str(shutil.which("apt-get")))
    if base_image == "debian":
        hint = "Set BASE_IMAGE to an image such as python:3.11-slim."
        return Finding("apt", "missing", "BASE_IMAGE=debian needs it", hint, stops_publish=True)
    return Finding("apt", "missing", "the base image is pulled instead", "Set BASE_IMAGE to choose another one.")


def folders(project: Project) -> Iterator[Finding]:
    """Check that what is written to is writable, and that the file with verify's request exists."""
    _, *places = project.places  # the first is the cache, on whose disk there has to be space, too
    for folder, hint in places:
        if why := unwritable(folder):
            yield Finding("folders", "problem", why, hint, stops_publish=True)
    request = project.settings.verify_request
    if request and not (project.folder / request).is_file():
        yield Finding(
            "folders", "problem", f"VERIFY_REQUEST is {request}, and no such file exists", "Only verify reads it."
        )


def space(cache: Path) -> Finding:
    """Check that the disk of the cache folder is writable and has enough space."""
    if why := unwritable(cache):
        hint = "Make it writable, or set XDG_CACHE_HOME to another folder."
        return Finding("disk", "problem", why, hint, stops_publish=True)
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free for {cache}"
    if free < LEAST_SPACE:
        hint = "Free up space (`invoke clean` removes what can be rebuilt), or set XDG_CACHE_HOME to another disk."
        return Finding("disk", "problem", text, hint, stops_publish=free < LEAST_SPACE / 10)
    return Finding("disk", "ok", text)


def cache(kept: int, limit: int | None) -> Finding:
    """Report the size of the cache. Args: kept: bytes in the cache; limit: bytes it may have, None for no limit."""
    most = "CACHE_LIMIT is off" if limit is None else f"at most {size(limit)}"
    return Finding("cache", "ok", f"{size(kept)} of layers besides the projects' images, {most}")


def docker(settings: Settings | None) -> Iterator[Finding]:
    """Check Docker's engine: its version, and whether it has BuildKit. Args: settings: None when they are invalid."""
    from bentoship.docker.connection import connect

    builds = settings is not None and settings.backend == "docker"
    needed = builds or (settings is not None and settings.load_image)
    use = "" if needed else "Only BACKEND=docker and `containerize --load` need it. "
    try:
        engine = connect()
    except EngineError as error:
        yield Finding("docker", "problem" if needed else "missing", error.why, use + error.hint, stops_publish=needed)
        return
    with engine.doing("Read the engine's version"):
        name = "podman " if engine.is_podman else ""
        yield Finding("docker", "ok", f"{name}{engine.client.version()['Version']} at {engine.endpoint.host}")
    yield _buildkit(engine, builds)


def _buildkit(engine: Engine, needed: bool) -> Finding:
    """Check whether BACKEND=docker would build with BuildKit."""
    from bentoship.docker.build import classic_builder_reason

    try:
        why = classic_builder_reason(engine, process.environment(prefixes=("DOCKER_",)))
    except ProcessError as error:  # without the docker command, BACKEND=docker cannot build at all
        hint = error.hint if needed else f"Only BACKEND=docker needs it. {error.hint}"
        return Finding("buildkit", "problem" if needed else "missing", error.why, hint, stops_publish=needed)
    if not why:
        return Finding("buildkit", "ok", "the engine and the docker command have it")
    install = "Install it (Debian: docker-buildx; Docker: docker-buildx-plugin). " if "buildx" in why else ""
    return Finding("buildkit", "missing", why, f"{install}BACKEND=docker builds without it, slower.")


def podman() -> Finding:
    """Check for podman, which runs the image for verify where there is no Docker."""
    if not shutil.which("podman"):
        return Finding("podman", "missing", "only verify would use it", "It is optional.")
    done = process.run(["podman", "--version"], env=process.environment(), check=False)
    if done.code:
        return Finding("podman", "problem", done.last_lines, "Only verify would use it.")
    return Finding("podman", "ok", done.stdout.strip())
