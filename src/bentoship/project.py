"""A project and what its settings name; and a run, which owns what lives as long as one command."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bentoship import bento as bentos
from bentoship.backend import Pushed
from bentoship.bento import Bento
from bentoship.errors import SettingsError
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.providers import Provider
from bentoship.providers.generic import GenericProvider
from bentoship.settings import Settings, environment, load
from bentoship.settings.address import RegistryAddress
from bentoship.stores.history import History
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.stores.transfer import Progress
from bentoship.system.files import SharedFolder
from bentoship.system.git import clean_commit
from bentoship.system.network import network_settings
from bentoship.system.progress import State, StepReporter, Task

R = TypeVar("R")


@dataclass(frozen=True)
class Project:
    """A project and its settings.

    Args:
        folder: where bentofile.yaml is.
        settings: what the user has set.
    """

    folder: Path
    settings: Settings

    @property
    def layout(self) -> Path:
        """The OCI image layout with this project's images."""
        return self.folder / ".bentoship" / "image"

    @property
    def build_context(self) -> bentos.BuildContext:
        """What its Bento is built from."""
        settings = self.settings
        # Docker installs the Bento's own lock; without it each platform gets one that follows it.
        platform = settings.platforms[0] if settings.backend == "docker" else bentos.LOCK_PLATFORM
        return bentos.BuildContext(self.folder, settings.cache / "bentos", settings.bentoml_home, platform)

    def image_name(self, bento: Bento) -> str:
        """Return what the image is called, wherever it is."""
        return self.settings.image_name or bento.name.replace("_", "-")

    def local_name(self, bento: Bento) -> str:
        """Return what Docker's engine on this machine calls it."""
        return f"{self.image_name(bento)}:latest"

    def tags(self, version: str) -> tuple[str, ...]:
        """Return the image's tags: IMAGE_TAGS with the Bento's version and the commit put in.

        A tag with a commit is left out where the work tree is not what the commit says. Raises SettingsError when none
        is left.
        """
        templates = self.settings.image_tags
        commit = clean_commit(self.folder) if any("{commit}" in template for template in templates) else None
        names = (
            template.replace("{version}", version).replace("{commit}", commit or "")
            for template in templates
            if commit or "{commit}" not in template
        )
        tags = tuple(dict.fromkeys(names))
        if not tags:
            why = f"IMAGE_TAGS is {','.join(templates)}, and the work tree is not what a commit says"
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
        """Its name by digest."""
        return self.tags[0].with_digest(self.pushed.digest)


class Transfer(Progress, Protocol):
    """Told how a copy goes on."""

    @property
    def seconds(self) -> float:
        """How long it took in the end, from when it was known that there is something to send."""


class Reporter(Protocol):
    """Told what a run does."""

    def say(self, step: str, text: str) -> None:
        """Take a line about a step."""

    def task(
        self,
        step: str,
        title: str = "",
        *,
        total: int | None = None,
        unit: str = "bytes",
        measure: Callable[[], State] | None = None,
        ended: Callable[[], bool] | None = None,
    ) -> AbstractContextManager[Task]:
        """Return what is told of a task of a step as long as the block lasts; without a title, of the step itself.

        Args: as of `StepReporter.task`.
        """

    def transfer(self, step: str, titles: Mapping[str, str]) -> AbstractContextManager[Transfer]:
        """Return what is told of a step's copy as long as the block lasts.

        Args:
            step: that it belongs to.
            titles: what is in the blobs that may be copied, by their digests.
        """

    def pushed(self, image: Published) -> None:
        """Take an image that is in the registry now."""


@dataclass(frozen=True)
class _Step:
    """A reporter of one step."""

    reporter: Reporter
    name: str

    def say(self, text: str) -> None:
        self.reporter.say(self.name, text)

    def task(self, title: str, **details: Any) -> AbstractContextManager[Task]:
        return self.reporter.task(self.name, title, **details)


class Run:
    """What lives as long as one command: connections, logins, what each step made, and work in the background.

    Close it: nothing is left running then.

    Args:
        project: what is published.
        reporter: told what happens.
    """

    def __init__(self, project: Project, reporter: Reporter) -> None:
        self.project = project
        self.reporter = reporter
        self.session = Session(
            network_settings(),
            patience=project.settings.retry_seconds,
            tell=functools.partial(reporter.say, "registry"),
        )
        self.seconds: dict[str, float] = {}
        """How long each step took, without the steps that it took along."""
        self.layers = LayerCache(project.settings.cache / "layers")
        self.history = History(project.settings.cache / "history")
        self._made: dict[object, Any] = {}
        self._begun: dict[object, Any] = {}
        self._background = ExitStack()

    def reporter_of(self, step: str) -> StepReporter:
        """Return what is told of a step."""
        return _Step(self.reporter, step)

    @functools.cached_property
    def provider(self) -> Provider:
        """Whose registry the image goes to."""
        settings = self.project.settings
        if settings.registry == "local":
            from bentoship.providers.local import LocalRegistry

            return LocalRegistry(settings.cache, settings.local_registry_port)
        if isinstance(settings.registry, RegistryAddress):
            return GenericProvider(settings.registry)
        from bentoship.providers.google import GoogleRegistry

        return GoogleRegistry(settings.google, self.session.http, self.reporter.say)

    def use_cache(self) -> SharedFolder:
        """Keep other runs from clearing up the layers, from the first call on until this one has ended."""
        return self.once(SharedFolder, lambda: SharedFolder(self.layers.folder))

    @property
    def layout(self) -> LayoutStore:
        """This project's images."""
        return LayoutStore(self.project.layout)

    @property
    def layer_layout(self) -> LayoutStore:
        """The blobs of all projects' layers, and what was pulled."""
        return LayoutStore(self.layers.folder)

    def repository(self, bento: Bento) -> ImageReference:
        """Return where the image of a Bento goes."""
        return self.provider.repository(self.project.image_name(bento))

    def registry(self, repository: ImageReference, *, push: bool) -> RegistryStore:
        """Return the repository that the image goes to, as the account that the provider knows."""
        provider = self.provider
        return RegistryStore(
            repository, provider.credentials, push=push, plain_http=provider.plain_http, session=self.session
        )

    def base_registry(self, image: ImageReference) -> RegistryStore:
        """Return the repository of an image that is a base, as the account that docker login or podman login kept."""
        account = GenericProvider(RegistryAddress(image.host, image.path))
        return self.once(image, lambda: RegistryStore(image, account.credentials, session=self.session))

    def once(self, key: object, make: Callable[[], R]) -> R:
        """Return what was made for a key; it is made when it is first asked for."""
        if key not in self._made:
            self._made[key] = make()
        made: R = self._made[key]
        return made

    def background(self, key: object, work: Callable[[], AbstractContextManager[R]]) -> R:
        """Begin work that goes on in the background until the run is closed, unless it was begun.

        Args:
            key: tells it from other work.
            work: as long as whose block lasts, it goes on.

        Returns: what the block has.
        """
        if key not in self._begun:
            self._begun[key] = self._background.enter_context(work())
        begun: R = self._begun[key]
        return begun

    def close(self) -> None:
        """End what goes on in the background."""
        self._begun.clear()
        self._background.close()


def begin(folder: Path, reporter: Reporter) -> Run:
    """Begin a run in a project's folder: its settings are read, and exported for SDKs and children.

    Raises: SettingsError.
    """
    environment.export(folder)
    settings = load(folder)
    for warning in settings.warnings:
        reporter.say("settings", warning)
    return Run(Project(folder, settings), reporter)


def once(function: Callable[[Run], R]) -> Callable[[Run], R]:
    """Let a function be called once in a run; what it returned is returned again."""

    @functools.wraps(function)
    def remembered(run: Run) -> R:
        return run.once(function, lambda: function(run))

    return remembered


def step(function: Callable[[Run], R]) -> Callable[[Run], R]:
    """Let a step be done once in a run, be shown while it is under way, and its seconds be counted under its name."""
    name = function.__name__.replace("_", "-")

    @functools.wraps(function)
    def timed(run: Run) -> R:
        began, inner = time.monotonic(), sum(run.seconds.values())
        with run.reporter.task(name):
            made = function(run)
        run.seconds[name] = time.monotonic() - began - (sum(run.seconds.values()) - inner)
        return made

    return once(timed)
