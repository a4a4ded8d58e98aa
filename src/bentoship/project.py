"""A project, and what its settings name: its image, its registry, and where things are kept."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.commands import terminal as console
from bentoship.errors import SettingsError
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.providers import Provider
from bentoship.settings import Settings, environment
from bentoship.settings import load as load_settings
from bentoship.settings.address import RegistryAddress
from bentoship.stores.history import History
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system.git import clean_commit
from bentoship.system.network import network_settings


@dataclass(frozen=True)
class Workspace:
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
    def project(self) -> bentos.BuildContext:
        """What its Bento is built from."""
        settings = self.settings
        # Docker installs the Bento's own lock; without it each platform gets one that follows it.
        platform = settings.platforms[0] if settings.backend == "docker" else bentos.LOCK_PLATFORM
        return bentos.BuildContext(self.folder, settings.cache / "bentos", settings.bentoml_home, platform)


@functools.cache
def workspace(folder: Path) -> Workspace:
    """The project in a folder. Raises SettingsError."""
    environment.export(folder)
    settings = load_settings(folder)
    for warning in settings.warnings:
        console.say("settings", warning)
    return Workspace(folder, settings)


@functools.cache
def provider(where: Workspace) -> Provider:
    """Whose registry it is."""
    settings = where.settings
    if settings.registry == "local":
        from bentoship.providers.local import LocalRegistry

        return LocalRegistry(settings.cache, settings.local_registry_port)
    if isinstance(settings.registry, RegistryAddress):
        from bentoship.providers.generic import GenericProvider

        return GenericProvider(settings.registry)
    from bentoship.providers.google import GoogleRegistry

    return GoogleRegistry(settings.google, network_settings(), console.say)


def layer_cache(where: Workspace) -> LayerCache:
    """The layers of all projects."""
    return LayerCache(where.settings.cache / "layers")


def layer_layout(where: Workspace) -> LayoutStore:
    """Their blobs, and what was pulled."""
    return LayoutStore(layer_cache(where).folder)


def layout(where: Workspace) -> LayoutStore:
    """This project's images."""
    return LayoutStore(where.layout)


def history(where: Workspace) -> History:
    """What earlier pushes have shown."""
    return History(where.settings.cache / "history")


def tags(where: Workspace, version: str) -> tuple[str, ...]:
    """What the image is to be called: IMAGE_TAGS with the Bento's version and the commit put in.

    A tag with a commit is left out where the work tree is not what the commit says.
    """
    wanted = where.settings.image_tags
    commit = clean_commit(where.folder) if any("{commit}" in one for one in wanted) else None
    if commit is None:
        wanted = tuple(one for one in wanted if "{commit}" not in one)
    filled = (one.replace("{version}", version).replace("{commit}", commit or "") for one in wanted)
    names = tuple(dict.fromkeys(filled))
    if not names:
        why = f"IMAGE_TAGS is {','.join(where.settings.image_tags)}, and the work tree is not what a commit says"
        raise SettingsError("Name the image", why, "Commit your changes, or add another tag such as latest.")
    return names


def repository(where: Workspace, bento: Bento) -> ImageReference:
    """Where the image goes."""
    return provider(where).repository(image_name(where, bento))


def image_name(where: Workspace, bento: Bento) -> str:
    """What the image is called, wherever it is."""
    return where.settings.image_name or bento.name.replace("_", "-")


def local_name(where: Workspace, bento: Bento) -> str:
    """What Docker's engine on this machine calls it."""
    return f"{image_name(where, bento)}:latest"


def registry_store(where: Workspace, target: ImageReference, *, push: bool) -> RegistryStore:
    """The repository that the image goes to, as the account that the provider knows."""
    whose = provider(where)
    return RegistryStore(
        target, whose.credentials, push=push, plain_http=whose.plain_http, session=Session(network_settings())
    )
