"""A project and what its settings name; and a run, which owns what lives as long as one command."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, Unpack

from bentoship import bento as bentos
from bentoship.backend import Pushed
from bentoship.bento import Bento
from bentoship.errors import BentoshipError, SettingsError, reason
from bentoship.image.progress import Progress
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.providers import Provider
from bentoship.providers.generic import GenericProvider
from bentoship.settings import Settings as Settings  # part of what a project is, for those who open one
from bentoship.settings import environment, load, project_folder
from bentoship.settings.address import RegistryAddress
from bentoship.stores.history import History
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system.files import SharedFolder, close_folder, unwritable, write_whole
from bentoship.system.git import Revision, revision
from bentoship.system.network import network_settings
from bentoship.system.progress import Details, StepReporter, Task
from bentoship.system.values import dataclass
from bentoship.system.waiting import reporting_waits

R = TypeVar("R")

_UNWRITABLE = re.compile("Read-only file system|Permission denied|Not a directory|File exists")


@dataclass(frozen=True)
class Project:
    """A project and its settings.

    Args:
        folder: where `bentoml build` would be run.
        settings: what the user has set.
    """

    folder: Path
    settings: Settings

    @property
    def layout(self) -> Path:
        """Return the folder of the OCI image layout with this project's images."""
        return self.folder / ".bentoship" / "image"

    def hide_layout(self) -> None:
        """Have Git ignore the layout: it is no change of the project's, and `git add .` must not take it."""
        write_whole(self.layout.parent / ".gitignore", b"*\n")

    @property
    def places(self) -> tuple[tuple[Path, str], ...]:
        """Return the folders that are written to, each with what to do where that is not possible."""
        return (
            (self.settings.cache, "Make it writable, or set XDG_CACHE_HOME to another folder."),
            (self.settings.bentoml_home, "Make it writable, or set BENTOML_HOME to another folder."),
            (self.layout.parent, "Make the project's folder writable, or publish a copy of it: images are kept there."),
        )

    @property
    def build_context(self) -> bentos.BuildContext:
        """Return what its Bento is built from."""
        settings = self.settings
        # Docker installs the Bento's own lock; without it each platform gets one that follows it.
        platform = settings.platforms[0] if settings.backend == "docker" else bentos.LOCK_PLATFORM
        return bentos.BuildContext(
            self.folder,
            settings.cache / "bentos",
            settings.bentoml_home,
            platform,
            secrets_allowed=settings.secrets_allowed,
            bentofile=settings.bentofile,
            service=settings.service,
            bento=settings.bento,
            variables=settings.build_env,
            python=settings.build_python,
            arguments=settings.arguments,
        )

    @functools.cached_property
    def revision(self) -> Revision | None:
        """Return what it has checked out; None outside a Git repository."""
        return revision(self.folder)

    def image_name(self, bento: str) -> str:
        """Return the image's name, in a registry as in an engine. Args: bento: the Bento's name."""
        return self.settings.image_name or bento.replace("_", "-")

    def local_name(self, bento: Bento) -> str:
        """Return the image's name and tag in this machine's Docker engine."""
        return f"{self.image_name(bento.name)}:latest"

    @property
    def moving_tags(self) -> tuple[str, ...]:
        """Return the tags that each publish moves: those of IMAGE_TAGS without a version or a commit."""
        return tuple(template for template in self.settings.image_tags if "{" not in template)

    def tags(self, version: str) -> tuple[str, ...]:
        """Return the image's tags: IMAGE_TAGS with the Bento's version and the commit filled in.

        A tag with a commit is left out where the work tree differs from the commit. Raises SettingsError when no tag is
        left.
        """
        templates = self.settings.image_tags
        found = self.revision if any("{commit}" in template for template in templates) else None
        commit = found.commit[:12] if found and found.is_clean else None
        names = (
            template.replace("{version}", version).replace("{commit}", commit or "")
            for template in templates
            if commit or "{commit}" not in template
        )
        tags = tuple(dict.fromkeys(names))
        if not tags:
            why = f"IMAGE_TAGS is {','.join(templates)}, and the project has uncommitted changes or no Git repository"
            raise SettingsError("Name the image", why, "Commit your changes, or add another tag such as latest.")
        return tags


@dataclass(frozen=True)
class Published:
    """An image that was pushed.

    Args:
        pushed: what became of its parts.
        tags: its names in the registry.
    """

    pushed: Pushed
    tags: tuple[ImageReference, ...]

    @property
    def reference(self) -> ImageReference:
        """Return its reference by digest."""
        return self.tags[0].with_digest(self.pushed.digest)


class Transfer(Progress, Protocol):
    """A receiver of a copy's progress that also measures its time."""

    @property
    def seconds(self) -> float:
        """Return how long it took, in seconds, from when it was known that there is something to send."""


class Reporter(Protocol):
    """A receiver of what happens in a run."""

    def say(self, step: str, text: str) -> None:
        """Report a line about a step."""

    def task(self, step: str, title: str = "", **details: Unpack[Details]) -> AbstractContextManager[Task]:
        """Report a task of a step, which lasts as long as the block; without a title, the step itself.

        Args: as of `StepReporter.task`.
        """

    def transfer(self, step: str, titles: Mapping[str, str]) -> AbstractContextManager[Transfer]:
        """Report the copy of a step, which lasts as long as the block.

        Args:
            step: the step that it belongs to.
            titles: what the blobs are that may be copied, by digest.
        """

    def pushed(self, image: Published) -> None:
        """Report an image that has been pushed."""


@dataclass(frozen=True)
class _Step:
    """A reporter of one step."""

    reporter: Reporter
    name: str

    def say(self, text: str) -> None:
        self.reporter.say(self.name, text)

    def task(self, title: str, **details: Unpack[Details]) -> AbstractContextManager[Task]:
        return self.reporter.task(self.name, title, **details)


class Run:
    """What lives as long as one command: connections, logins, the results of steps, and work in the background.

    Close it at the end, so that nothing is left running.

    Args:
        project: what is published.
        reporter: receives what happens.
    """

    def __init__(self, project: Project, reporter: Reporter) -> None:
        self.project = project
        self.reporter = reporter
        self.began = datetime.now(UTC)
        self.session = Session(
            network_settings(),
            patience=project.settings.retry_seconds,
            tell=functools.partial(reporter.say, "registry"),
        )
        self.seconds: dict[str, float] = {}
        """How long each step took, without its prerequisites."""
        self.layers = LayerCache(project.settings.cache / "layers")
        self.history = History(project.settings.cache / "history")
        self._made: dict[object, Any] = {}
        self._begun: dict[object, Any] = {}
        self._background = ExitStack()

    def reporter_of(self, step: str) -> StepReporter:
        """Return the reporter of one step."""
        return _Step(self.reporter, step)

    @functools.cached_property
    def provider(self) -> Provider:
        """Return the provider of the registry that the image goes to."""
        settings = self.project.settings
        if settings.registry == "local":
            from bentoship.providers.local import LocalRegistry

            return LocalRegistry(settings.cache, settings.local_registry_port)
        if isinstance(settings.registry, RegistryAddress):
            return GenericProvider(settings.registry)
        from bentoship.providers.google import GoogleRegistry

        return GoogleRegistry(settings.google, self.session.http, self.reporter.say)

    def login(self) -> None:
        """Log in to the registry, and report with which account. Raises BentoshipError."""
        self.reporter.say("auth", self.provider.login())

    def use_cache(self) -> SharedFolder:
        """Keep other runs from trimming the cache of layers, from the first call until this run has ended."""
        return self.once(SharedFolder, lambda: SharedFolder(self.layers.folder))

    @property
    def layout(self) -> LayoutStore:
        """Return the store of this project's images."""
        return LayoutStore(self.project.layout)

    @property
    def layer_layout(self) -> LayoutStore:
        """Return the store of all projects' layers, and of what was pulled."""
        return LayoutStore(self.layers.folder)

    def repository(self, bento: Bento) -> ImageReference:
        """Return where the image of a Bento goes."""
        return self.provider.repository(self.project.image_name(bento.name))

    def registry(self, repository: ImageReference, *, push: bool) -> RegistryStore:
        """Return the repository that the image goes to, with the provider's account."""
        provider = self.provider
        return RegistryStore(
            repository,
            provider.credentials,
            push=push,
            plain_http=provider.plain_http,
            session=self.session,
            deletes_untagged=provider.deletes_untagged,
        )

    def base_registry(self, image: ImageReference) -> RegistryStore:
        """Return the repository of a base image, with the account of docker login or podman login."""
        account = GenericProvider(RegistryAddress(image.host, image.path))
        return self.once(image, lambda: RegistryStore(image, account.credentials, session=self.session))

    def once(self, key: object, make: Callable[[], R]) -> R:
        """Return what was made for a key; the first call makes it."""
        if key not in self._made:
            self._made[key] = make()
        made: R = self._made[key]
        return made

    def background(self, key: object, work: Callable[[], AbstractContextManager[R]]) -> R:
        """Begin work that goes on in the background until the run is closed, unless it has begun already.

        Args:
            key: distinguishes it from other work.
            work: returns a context manager; the work lasts as long as its block.

        Returns: what the context manager yields.
        """
        if key not in self._begun:
            self._begun[key] = self._background.enter_context(work())
        begun: R = self._begun[key]
        return begun

    def close(self) -> None:
        """End the work in the background."""
        self._begun.clear()
        self._background.close()


def named_folder(folder: Path) -> Path:
    """Return the absolute path of the project that a folder's settings name, or of the folder."""
    with suppress(SettingsError):  # loading the settings raises it again, where a task can report it
        folder = project_folder(folder)
    return folder.resolve()


def begin(folder: Path, reporter: Reporter) -> Run:
    """Begin a run in a project's folder: read its settings, and export them for SDKs and child processes.

    Raises: SettingsError.
    """
    environment.export(folder)
    settings = load(folder)
    for warning in settings.warnings:
        reporter.say("settings", warning)
    project = Project(folder, settings)
    for place in (settings.cache, project.layout.parent):
        close_folder(place)  # former versions left them open
    return Run(project, reporter)


def _hint(project: Project, said: str) -> str:
    """Return what to do about a folder that cannot be written to, if an error says that it is one; else nothing."""
    if not _UNWRITABLE.search(said):
        return ""
    closed = [hint for folder, hint in project.places if unwritable(folder)]
    named = [hint for folder, hint in project.places if f"{folder}/" in said]  # what is below it may be closed
    return next(iter([*closed, *named]), "")


def once(function: Callable[[Run], R]) -> Callable[[Run], R]:
    """Call a function once in a run; later calls return the same result."""

    @functools.wraps(function)
    def remembered(run: Run) -> R:
        return run.once(function, lambda: function(run))

    return remembered


def step(function: Callable[[Run], R]) -> Callable[[Run], R]:
    """Do a step once in a run, report it as long as it lasts, and count its seconds under its name."""
    name = function.__name__.replace("_", "-")

    @functools.wraps(function)
    def timed(run: Run) -> R:
        began, inner = time.monotonic(), sum(run.seconds.values())
        say = functools.partial(run.reporter.say, name)
        with run.reporter.task(name), reporting_waits(say, run.project.settings.retry_seconds):
            try:
                made = function(run)
            except (OSError, BentoshipError) as error:
                if hint := _hint(run.project, str(error)):
                    if isinstance(error, OSError):
                        raise BentoshipError(f"Write {error.filename}", reason(error), hint) from error
                    error.hint = hint
                raise
        run.seconds[name] = time.monotonic() - began - (sum(run.seconds.values()) - inner)
        return made

    return once(timed)
