"""What each task does. A step remembers within a process that it was done, because invoke's own memory does not."""

from __future__ import annotations

import atexit
import functools
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from bentoship import bento as bentos
from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.assembly.plan import PlannedImage, Unplanned
from bentoship.backend import Backend, Built, Pushed
from bentoship.bases import BaseSource
from bentoship.bases.choice import DEBIAN, choose
from bentoship.bento import Bento
from bentoship.bento.inputs import wanted_base
from bentoship.commands import terminal as console
from bentoship.errors import DamagedError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import (
    Workspace,
    history,
    layer_cache,
    layer_layout,
    layout,
    local_name,
    provider,
    registry_store,
    repository,
    tags,
)
from bentoship.stores import Store
from bentoship.stores.graph import read_image
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system import text
from bentoship.system.network import network_settings

if TYPE_CHECKING:
    from bentoship.docker.backend import DockerBackend

R = TypeVar("R")


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
    """Find the account that may push, and see that the registry knows it, before anything is made."""
    whose = provider(where)
    console.say("auth", whose.login())
    registry_store(where, whose.repository("bentoship"), push=True).reach()


@once
def build(where: Workspace) -> Bento:
    """Build the Bento unless it is up to date."""
    begun: list[str] = []

    def begin() -> None:
        begun.append("yes")
        console.say("build", "importing the service and locking its packages")

    bento = bentos.build(where.project, begin=begin)
    for tag in bento.imported_models:
        console.say("build", f"imported the model {tag} into the Bento store")
    models = ", ".join(model.tag for model in bento.models)
    how = "is up to date"
    if bento.fresh:
        how = "is built" if begun else "is built from the one before: what has changed is not run by its import"
    console.say("build", f"{bento.tag} {how}")
    console.say("build", f"packs {models}" if models else "packs no model")
    return bento


@functools.cache
def backend(where: Workspace) -> Backend:
    """How images are made."""
    if where.settings.backend == "docker":
        return _docker_backend(where)
    return direct_backend(where)


def direct_backend(where: Workspace) -> DirectBackend:
    """The backend that assembles."""
    return DirectBackend(
        Workplace(layer_cache(where), layout(where), where.settings.cache / "scratch"),
        where.settings.platforms,
        source=functools.partial(base_source, where),
        registry=lambda target: registry_store(where, target, push=True),
        engine=_load_into_engine,
        holders=lambda target: history(where).holders(target),
        tell=functools.partial(console.say, "containerize"),
    )


def planned(where: Workspace, bento: Bento) -> dict[str, PlannedImage] | Unplanned:
    """The images that there would be, by platform."""
    if where.settings.backend == "docker":
        return Unplanned(_docker_backend(where).outlook(bento))
    return direct_backend(where).plan(bento)


def _docker_backend(where: Workspace) -> DockerBackend:
    from bentoship.docker.backend import DockerBackend
    from bentoship.docker.build import Workplace as DockerWorkplace
    from bentoship.docker.connection import connect

    home, cache, platform = where.settings.bentoml_home, where.settings.cache, where.settings.platforms[0]
    tell = functools.partial(console.say, "containerize")
    return DockerBackend(
        functools.cache(connect),
        lambda bento: local_name(where, bento),
        DockerWorkplace(home, platform, cache / "scratch", cache / "logs", tell),
        registry=lambda target: registry_store(where, target, push=True),
        credentials=provider(where).credentials,
    )


def _load_into_engine(store: Store, image: Descriptor, name: str) -> str:
    from bentoship.docker.connection import connect
    from bentoship.docker.load import ImageArchive, for_engine, load_image

    engine = connect()
    image = for_engine(engine, store, image, name)
    with console.Transfer("load") as progress:
        return load_image(engine, ImageArchive(store, read_image(store, image), name), progress)


def base_source(where: Workspace, bento: Bento) -> BaseSource:
    """Where the base for a Bento comes from, by BASE_IMAGE, its bentofile, or this host's kind."""
    settings, python = where.settings, bento.python_version
    has_apt = shutil.which("apt-get") is not None
    chosen = choose(settings.base_image, bento.base_image, python, has_apt=has_apt)
    if chosen == DEBIAN:
        from bentoship.bases.debian import DebianSource

        begin = functools.partial(_debian_ahead, where, python)
        return DebianSource(settings.cache, python, layer_cache(where), begin)
    from bentoship.bases.registry import RegistrySource
    from bentoship.stores.credentials import find_credentials

    image = ImageReference.parse(chosen)
    session = Session(network_settings())
    store = RegistryStore(image, lambda: find_credentials(image.host, image.path), session=session)
    tell = functools.partial(console.say, "containerize")
    return RegistrySource(image, python, store, settings.cache, layer_layout(where), tell)


@functools.cache
def _debian_ahead(where: Workspace, python: str, platform: str) -> Callable[[], None]:
    """Begin to make Debian's base. Returns: what waits for it. This process does not leave it behind when it ends."""
    from bentoship.bases.ahead import debian_ahead

    console.say("containerize", f"assembling a base from Debian's packages for {platform}")
    stack = ExitStack()
    atexit.register(stack.close)
    settings = where.settings
    return stack.enter_context(
        debian_ahead(settings.cache, python=python, platform=platform, layers=layer_cache(where))
    )


def prepare(where: Workspace) -> None:
    """Before a build, begin what takes longer still: the base that there most likely is to be, if there is none yet."""
    settings = where.settings
    if settings.backend != "direct" or any(settings.cache.glob("bases/debian-*")) or not shutil.which("apt-get"):
        return
    image, python = wanted_base(where.project.bentofile)
    if choose(settings.base_image, image, python, has_apt=True) == DEBIAN:
        for platform in settings.platforms:
            _debian_ahead(where, python, platform)


@once
def containerize(where: Workspace) -> Built:
    """Make the image of the Bento."""
    image = backend(where).containerize(build(where))
    for line in image.lines:
        console.say("containerize", line)
    if where.settings.load_image:
        _load(where, image)
    return image


@once
def load(where: Workspace) -> None:
    """Have the image in Docker's engine, too, where `docker run` finds it."""
    image = containerize(where)
    if not where.settings.load_image:  # with it, that is a part of making it
        _load(where, image)


def _load(where: Workspace, image: Built) -> None:
    console.say("load", backend(where).load(image, local_name(where, build(where))))


@once
def tag(where: Workspace) -> tuple[ImageReference, ...]:
    """Name the image where the backend keeps it."""
    image = containerize(where)
    names = tags(where, build(where).version)
    if len(names) < len(where.settings.image_tags):
        console.say("tag", "none for the commit: the work tree has changes, or is in no git repository")
    target = repository(where, build(where))
    references = tuple(target.with_tag(name) for name in names)
    backend(where).tag(image, references)
    console.say("tag", ", ".join(names))
    return references


@once
def push(where: Workspace) -> Pushed:
    """Send what the registry lacks, set the tags, and print the reference on stdout."""
    references = tag(where)
    auth(where)
    try:
        pushed, seconds = _push(where, containerize(where), references)
    except DamagedError as error:
        console.say("push", f"{error.why}; it is made anew")
        image = backend(where).containerize(build(where))
        backend(where).tag(image, references)
        pushed, seconds = _push(where, image, references)
    console.table([(text.size(layer.size), layer.outcome, layer.title) for layer in pushed.layers])
    console.say("push", pushed.line)
    for reference in references:
        console.say("push", str(reference))
    console.result(str(references[0].with_digest(pushed.digest)))
    blobs = [layer.digest for layer in pushed.layers if layer.digest]
    history(where).keep_push(references[0], pushed.digest, blobs, pushed.sent, seconds)
    return pushed


def _push(where: Workspace, image: Built, references: Sequence[ImageReference]) -> tuple[Pushed, float]:
    """Send it, and tell how many seconds that took."""
    with console.Transfer("push") as progress:
        pushed = backend(where).push(image, references, progress)
    return pushed, progress.seconds


@once
def publish(where: Workspace) -> Pushed:
    """All of it; what is left for the end is the summary."""
    pushed = push(where)
    seconds = ", ".join(f"{name.replace('_', '-')} {spent:.1f}" for name, spent in SECONDS.items() if spent >= 0.05)
    console.say("publish", f"{sum(SECONDS.values()):.1f} s ({seconds})")
    target = repository(where, build(where)).with_digest(pushed.digest)
    console.say("publish", f"run it: docker run --rm -p 3000:3000 {target}")
    return pushed
