"""What each task does. A step remembers within a process that it was done, because invoke's own memory does not."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bentoship import bento as bentos
from bentoship import console
from bentoship.backends import Backend
from bentoship.backends.direct import DirectBackend
from bentoship.bases import Base
from bentoship.bases.choice import DEBIAN, choose
from bentoship.bento import Bento
from bentoship.git import clean_commit
from bentoship.image.manifest import Image
from bentoship.layers import LayerCache
from bentoship.process import network_settings
from bentoship.providers import Provider
from bentoship.reference import ImageReference
from bentoship.settings import Settings, load
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.transfer import Result

R = TypeVar("R")


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
    def project(self) -> bentos.Project:
        """What its Bento is built from."""
        settings = self.settings
        return bentos.Project(self.folder, settings.cache / "bentos", settings.bentoml_home, settings.platforms[0])


SECONDS: dict[str, float] = {}
"""How long each step of this process took, for the summary."""


def once(step: Callable[[Workspace], R]) -> Callable[[Workspace], R]:
    """Do a step once in a process, and keep what it made and how long that took."""
    made: dict[Workspace, R] = {}

    @functools.wraps(step)
    def timed(where: Workspace) -> R:
        if where not in made:
            began, inner = time.monotonic(), sum(SECONDS.values())
            made[where] = step(where)
            # Steps that this one took along have their own time.
            SECONDS[step.__name__] = time.monotonic() - began - (sum(SECONDS.values()) - inner)
        return made[where]

    return timed


@functools.cache
def workspace(folder: Path) -> Workspace:
    """The project in a folder. Raises SettingsError."""
    settings = load(folder)
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
    from bentoship.providers.generic import GenericProvider

    return GenericProvider.parse(settings.repository)


@once
def enable_api(where: Workspace) -> None:
    """Have the registry's API enabled."""
    console.say("enable-api", provider(where).enable_api())


@once
def create_registry(where: Workspace) -> None:
    """Have the registry created."""
    console.say("create-registry", provider(where).create_registry())


@once
def auth(where: Workspace) -> None:
    """Find the account that may push."""
    console.say("auth", provider(where).login())


@once
def build(where: Workspace) -> Bento:
    """Build the Bento unless it is up to date."""
    bento = bentos.build(where.project)
    for tag in bento.imported_models:
        console.say("build", f"imported the model {tag} into the Bento store")
    models = ", ".join(model.tag for model in bento.models)
    console.say("build", f"{bento.tag} {'is built' if bento.fresh else 'is up to date'}")
    console.say("build", f"packs {models}" if models else "packs no model")
    return bento


@functools.cache
def backend(where: Workspace) -> Backend:
    """How images are made."""
    cache = where.settings.cache
    return DirectBackend(
        LayerCache(cache / "layers"), LayoutStore(where.layout), cache / "scratch", lambda bento: base(where, bento)
    )


def base(where: Workspace, bento: Bento) -> Base:
    """The base for a Bento, by BASE_IMAGE, its bentofile, or this host's kind."""
    settings = where.settings
    chosen = choose(
        settings.base_image, bento.base_image, bento.python_version, has_apt=shutil.which("apt-get") is not None
    )
    layers = LayerCache(settings.cache / "layers")
    if chosen == DEBIAN:
        from bentoship.bases.debian import debian_base

        return debian_base(
            settings.cache, python=bento.python_version, platform=settings.platforms[0], layers=layers
        )
    from bentoship.bases.registry import registry_base

    image = ImageReference.parse(chosen)
    from bentoship.providers.generic import GenericProvider

    account = GenericProvider(image.host, image.path).credentials
    store = RegistryStore(image, account, network=network_settings())
    return registry_base(
        image,
        python=bento.python_version,
        platform=settings.platforms[0],
        store=store,
        cache=settings.cache,
        layout=LayoutStore(layers.folder),
    )


@once
def containerize(where: Workspace) -> Image:
    """Make the image of the Bento."""
    image = backend(where).containerize(build(where))
    console.say("containerize", f"{image.descriptor.digest}, {console.size(image.size)} in {len(image.layers)} layers")
    return image


@once
def tag(where: Workspace) -> tuple[str, ...]:
    """Name the image in the layout."""
    image = containerize(where)
    names = tags(where)
    backend(where).tag(image, names)
    console.say("tag", ", ".join(names))
    return names


def tags(where: Workspace) -> tuple[str, ...]:
    """What the image is to be called: IMAGE_TAGS with the Bento's version and the commit put in.

    A tag with a commit is left out where the work tree is not what the commit says.
    """
    wanted = where.settings.image_tags
    commit = clean_commit(where.folder) if any("{commit}" in one for one in wanted) else None
    if commit is None:
        wanted = tuple(one for one in wanted if "{commit}" not in one)
    version = build(where).version
    filled = (one.replace("{version}", version).replace("{commit}", commit or "") for one in wanted)
    return tuple(dict.fromkeys(filled))


def repository(where: Workspace) -> ImageReference:
    """Where the image goes."""
    name = where.settings.image_name or build(where).name.replace("_", "-")
    return provider(where).repository(name)


@once
def push(where: Workspace) -> Result:
    """Send what the registry lacks, set the tags, and print the reference on stdout."""
    names = tag(where)
    auth(where)
    target = repository(where)
    account = provider(where)
    store = RegistryStore(
        target, account.credentials, push=True, plain_http=account.plain_http, network=network_settings()
    )
    with console.Transfer("push") as progress:
        result = backend(where).push(containerize(where), names, store, progress)
    _tell(where, target, names, result)
    console.result(str(target.with_digest(result.root.digest)))
    return result


@once
def publish(where: Workspace) -> Result:
    """All of it; what is left for the end is the summary."""
    result = push(where)
    _summarise(where, result)
    return result


def _tell(where: Workspace, target: ImageReference, names: tuple[str, ...], result: Result) -> None:
    outcomes = {descriptor.digest: outcome for descriptor, outcome in result.outcomes}
    console.table(
        [
            (console.size(layer.descriptor.size), outcomes.get(layer.descriptor.digest, ""), layer.title)
            for layer in containerize(where).layers
        ]
    )
    there = sum(descriptor.size for descriptor, outcome in result.outcomes if outcome != "sent")
    console.say("push", f"sent {console.size(result.sent_bytes)}, {console.size(there)} were there already")
    for name in names:
        console.say("push", str(target.with_tag(name)))


def _summarise(where: Workspace, result: Result) -> None:
    seconds = ", ".join(f"{name} {spent:.1f}" for name, spent in SECONDS.items() if spent >= 0.05)
    console.say("publish", f"{sum(SECONDS.values()):.1f} s ({seconds})")
    target = repository(where).with_digest(result.root.digest)
    console.say("publish", f"run it: docker run --rm -p 3000:3000 {target}")


@once
def stop_registry(where: Workspace) -> None:
    """Stop the local registry."""
    from bentoship.providers.local import LocalRegistry

    stopped = LocalRegistry(where.settings.cache, where.settings.local_registry_port).stop()
    console.say("stop-registry", "stopped; its images are kept" if stopped else "it does not run")


@once
def clean(where: Workspace) -> None:
    """Remove what the next publish would make again."""
    cache = where.settings.cache
    # What the local registry holds was published, and is nobody's to throw away as a cache.
    found = [path for path in cache.glob("*") if path.name != "registry"] if cache.is_dir() else []
    freed = 0
    for path in [*found, where.layout.parent]:
        freed += sum(file.lstat().st_size for file in path.rglob("*") if file.lstat().st_nlink == 1)
        shutil.rmtree(path, ignore_errors=True)
    console.say("clean", f"removed {console.size(freed)}; what was published in the local registry is kept")
