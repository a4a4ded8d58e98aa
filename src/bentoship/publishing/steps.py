"""The steps from a BentoML service to an image in a registry, as functions of a run. Each is done once in a run, runs
its prerequisites, reports to the run, and returns what it made."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from bentoship import bento as bentos
from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.backend import Backend, Built, Pushed
from bentoship.bases import DEBIAN, BaseSource, choose_base, reason_for_base
from bentoship.bento import Bento
from bentoship.bento.configuration import (
    Configuration,
    check_configuration,
    project_configuration,
    python_option,
    python_wish,
    wanted_base,
)
from bentoship.errors import DamagedError, StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Published, Run, once, step
from bentoship.stores import Store
from bentoship.stores.graph import read_image
from bentoship.system.files import OWN, digest_of, file_lock, remove_abandoned, temporary_folder
from bentoship.system.records import key_of

if TYPE_CHECKING:
    from bentoship.assembly.plan import PlannedImage, Unplanned
    from bentoship.docker.backend import DockerBackend
    from bentoship.docker.connection import Engine

IMPORTING = "importing the service and locking its packages"
"""The title of the task in which a Bento is built."""

_RECENT = 3600.0
"""Seconds; a younger image may belong to a run with another cache, which has not tagged it yet."""


def publish(run: Run) -> Published:
    """Run every step, from the service to an image in the registry."""
    check(run)
    enable_api(run)
    create_registry(run)
    auth(run)
    prepare(run)
    build(run)
    containerize(run)
    tag(run)
    return push(run)


@once
def _configuration(run: Run) -> Configuration:
    """Return what the project says of its Bento. Raises BentoError."""
    return project_configuration(run.project.build_context)


@once
def check(run: Run) -> None:
    """Check that there is something to publish, before anything is created or started. Raises BentoError."""
    check_configuration(run.project.build_context, _configuration(run))
    if key := run.project.settings.signing_key:
        from bentoship.evidence.signing import signer  # rarely needed

        signer(key)


@step
def enable_api(run: Run) -> None:
    """Enable the registry's API."""
    run.reporter.say("enable-api", run.provider.enable_api())


@step
def create_registry(run: Run) -> None:
    """Create the registry."""
    run.reporter.say("create-registry", run.provider.create_registry())


@step
def auth(run: Run) -> None:
    """Find the account that may push, and check that the registry accepts it, before anything is built."""
    run.reporter.say("auth", run.provider.login())
    run.registry(run.provider.repository("bentoship"), push=True).reach()


@step
def build(run: Run) -> Bento:
    """Build the Bento unless it is up to date."""
    say = functools.partial(run.reporter.say, "build")
    imported: list[str] = []

    with ExitStack() as stack:

        def begin() -> None:
            imported.append("the service")
            stack.enter_context(run.reporter.task("build", IMPORTING))

        context, reporter = run.project.build_context, run.reporter_of("build")
        bento = bentos.build(context, _configuration(run), begin=begin, reporter=reporter)
    _report_imports(run, "build", bento)
    for note in bento.notes:
        say(note)
    models = ", ".join(model.tag for model in bento.models)
    how = "is up to date"
    if bento.fresh and bento.content:
        how = "is packed as it was built"
    elif bento.fresh:
        how = "is built" if imported else "is rebuilt incrementally: only function bodies changed"
    say(f"{bento.tag} {how}")
    say(f"packs {models}" if models else "packs no model")
    return bento


@contextmanager
def preview(run: Run, step: str) -> Iterator[Bento]:
    """Build a Bento outside of the Bento store, as long as the block lasts. Args: step: the one that needs it."""
    with temporary_folder(run.project.settings.scratch, f"{step}-") as folder:
        with ExitStack() as stack:
            bento = bentos.preview(
                run.project.build_context,
                folder / "bentos",
                begin=lambda: stack.enter_context(run.reporter.task(step, IMPORTING)),
                reporter=run.reporter_of(step),
            )
        _report_imports(run, step, bento)
        yield bento


def _report_imports(run: Run, step: str, bento: Bento) -> None:
    for tag in bento.imported_models:
        run.reporter.say(step, f"imported the model {tag} into the Bento store")
    if bento.environment:
        run.reporter.say(step, f"imported the service in {bento.environment}")


@once
def backend(run: Run) -> Backend:
    """Return how images are made."""
    return _docker_backend(run) if run.project.settings.backend == "docker" else _direct_backend(run)


def planned_images(run: Run, bento: Bento) -> dict[str, PlannedImage] | Unplanned:
    """Return the images that publish would make, by platform."""
    from bentoship.assembly.plan import Unplanned  # not needed for publishing

    if run.project.settings.backend == "docker":
        return Unplanned(_docker_backend(run).outlook(bento))
    return _direct_backend(run).plan(bento)


def _direct_backend(run: Run) -> DirectBackend:
    settings = run.project.settings
    run.use_cache()
    return DirectBackend(
        Workplace(run.layers, run.layout, settings.scratch),
        settings.platforms,
        source=functools.partial(_base_source, run),
        registry=functools.partial(run.registry, push=True),
        engine=functools.partial(_load_into_engine, run),
        holders=run.history.paths_by_blob,
        reporter=run.reporter_of("containerize"),
    )


def _docker_backend(run: Run) -> DockerBackend:
    from bentoship.docker.backend import DockerBackend
    from bentoship.docker.build import BuildOptions

    settings = run.project.settings
    logs, tell = settings.cache / "logs", functools.partial(run.reporter.say, "containerize")
    return DockerBackend(
        functools.partial(_engine, run),
        run.project.local_name,
        BuildOptions(settings.bentoml_home, settings.platforms[0], settings.scratch, logs, tell),
        registry=functools.partial(run.registry, push=True),
        credentials=run.provider.credentials,
    )


@once
def _engine(run: Run) -> Engine:
    """Return Docker's engine. Raises EngineError."""
    from bentoship.docker.connection import connect

    return connect()


def _load_into_engine(run: Run, store: Store, image: Descriptor, name: str) -> str:
    from bentoship.docker.load import ImageArchive, for_engine, load_image

    engine = _engine(run)
    found = read_image(store, for_engine(engine, store, image, name))
    with run.reporter.transfer("load", {layer.descriptor.digest: layer.title for layer in found.layers}) as progress:
        return load_image(engine, ImageArchive(store, found, name), progress)


def _base_source(run: Run, bento: Bento) -> BaseSource:
    """Return where the base for a Bento comes from, by BASE_IMAGE, its bentofile, or this host's kind."""
    from bentoship.bases.debian import DebianSource, is_offered, otherwise

    settings, python, reporter = run.project.settings, bento.python_version, run.reporter_of("containerize")
    option = python_option(_configuration(run), python)
    chosen = choose_base(settings.base_image, bento.base_image, python, has_debian=is_offered(python))
    if chosen == DEBIAN:
        begin = functools.partial(_debian_in_background, run, python)
        return DebianSource(settings.cache, python, run.layers, begin, reporter, option)
    from bentoship.bases.registry import RegistrySource

    image = ImageReference.parse(chosen)
    return RegistrySource(
        image,
        python,
        run.base_registry(image),
        settings.cache,
        run.layer_layout,
        reporter,
        otherwise(python, option),
        option,
    )


def base_reason(run: Run, bento: Bento) -> str:
    """Return which base the image of a Bento gets, and why, in words; empty where BentoML chooses it."""
    from bentoship.bases.debian import title

    settings, python = run.project.settings, bento.python_version
    if settings.backend == "docker":
        return ""
    wish = python_wish(_configuration(run), python)
    debian = title(python)
    chosen = choose_base(settings.base_image, bento.base_image, python, has_debian=bool(debian))
    return reason_for_base(settings.base_image, bento.base_image, wish, debian=debian, chosen=chosen)


def _debian_in_background(run: Run, python: str, platform: str) -> Callable[[], None]:
    """Begin to make Debian's base in the background, unless it has begun. Returns: a function that waits for it."""
    from bentoship.bases.background import debian_in_background

    def begin() -> AbstractContextManager[Callable[[], None]]:
        run.use_cache()
        return debian_in_background(
            run.project.settings.cache,
            python=python,
            platform=platform,
            layers=run.layers,
            reporter=run.reporter_of("containerize"),
        )

    return run.background((python, platform), begin)


@once
def prepare(run: Run) -> None:
    """Begin to make the base in the background, if there is none yet and the Bento will most likely need it."""
    settings = run.project.settings
    if settings.backend != "direct" or any(settings.cache.glob("bases/debian-*")):
        return
    from bentoship.bases.debian import is_offered  # not when there is a base

    image, python = wanted_base(_configuration(run))
    if choose_base(settings.base_image, image, python, has_debian=is_offered(python)) == DEBIAN:
        for platform in settings.platforms:
            _debian_in_background(run, python, platform)


@step
def containerize(run: Run) -> Built:
    """Assemble or build the image of the Bento."""
    image = _containerize(run, build(run))
    for line in image.lines:
        run.reporter.say("containerize", line)
    if run.project.settings.load_image:
        _load(run, image)
    return image


def _containerize(run: Run, bento: Bento) -> Built:
    is_direct = run.project.settings.backend == "direct"
    if is_direct:
        run.project.hide_layout()
    try:
        with _alone_with(run, "containerize", run.repository(bento).repository):
            image = backend(run).containerize(bento)
    finally:
        run.close()  # nothing else needs a base that is still being made in the background
        _remove_leftovers(run)
    if is_direct:
        _clear_up(run, image)
    return image


@contextmanager
def _alone_with(run: Run, step: str, repository: str) -> Iterator[None]:
    """Make other runs with the same repository wait during the block; they then find what this one has made or sent."""
    name = hashlib.sha256(repository.encode()).hexdigest()[:16]
    with ExitStack() as stack:
        with run.reporter.task(step, f"waiting for another run with {repository}"):
            stack.enter_context(file_lock(run.project.settings.cache / "locks" / name))
        yield


def _remove_leftovers(run: Run) -> None:
    """Remove the temporary folders of killed runs, whichever step they belonged to."""
    for folder, prefix in ((run.project.settings.scratch, ""), (None, OWN)):
        with suppress(OSError):  # there may be no such folder
            remove_abandoned(folder, prefix)


def _clear_up(run: Run, image: Built) -> None:
    """Remove the project's old images, and what the cache has beyond its limit, unless another run uses it."""
    # A failure to remove them must not fail this run.
    with suppress(StoreError, OSError), run.use_cache().alone() as is_alone:
        if is_alone:
            run.layout.prune({image.digest, *run.history.all_published()}, older_than=_RECENT)
            run.layers.trim(run.project.settings.cache_limit, {layer.digest for layer in image.layers})


@step
def load(run: Run) -> None:
    """Load the image into Docker's engine, too, where `docker run` finds it."""
    image = containerize(run)
    if not run.project.settings.load_image:  # with it, containerize has loaded it
        _load(run, image)


def _load(run: Run, image: Built) -> None:
    run.reporter.say("load", backend(run).load(image, run.project.local_name(build(run))))


@step
def tag(run: Run) -> tuple[ImageReference, ...]:
    """Name the image where the backend keeps it."""
    image, bento = containerize(run), build(run)
    names = run.project.tags(bento.version)
    if len(names) < len(run.project.settings.image_tags):
        run.reporter.say("tag", "none for the commit: the project has uncommitted changes or no Git repository")
    repository = run.repository(bento)
    references = tuple(repository.with_tag(name) for name in names)
    backend(run).tag(image, references)
    run.reporter.say("tag", ", ".join(names))
    return references


@step
def push(run: Run) -> Published:
    """Send what the registry lacks, and set the tags."""
    references = tag(run)
    auth(run)
    try:
        pushed, seconds = _push(run, containerize(run), references)
    except DamagedError as error:
        run.reporter.say("push", f"{error.why}; rebuilding it")
        image = _containerize(run, build(run))
        backend(run).tag(image, references)
        pushed, seconds = _push(run, image, references)
    published = Published(pushed, references)
    run.reporter.pushed(published)
    run.history.keep_push(
        references[0], pushed.digest, [layer.digest for layer in pushed.layers if layer.digest], pushed.sent, seconds
    )
    _attest(run, published)
    return published


def _attest(run: Run, published: Published) -> None:
    """Attach to an image what is to be attached, unless that was done from here and the image was still there."""
    wanted, key = run.project.settings.attestations, run.project.settings.signing_key
    mark = key_of(*wanted, repr(run.project.revision), digest_of(key) if key else "") if wanted or key else ""
    if mark and (published.pushed.sent or run.history.attested(published.reference) != mark):
        from bentoship.publishing.attesting import attest  # mostly everything is attached already

        attest(run, published, containerize(run), build(run), mark)


def _push(run: Run, image: Built, references: Sequence[ImageReference]) -> tuple[Pushed, float]:
    """Send it, and return how many seconds that took."""
    titles = {layer.digest: layer.title for layer in image.layers}
    with _alone_with(run, "push", references[0].repository), run.reporter.transfer("push", titles) as progress:
        pushed = backend(run).push(image, references, progress)
    return pushed, progress.seconds
