"""The steps from a BentoML service to an image in a registry, as functions of a run. Each is done once in a run, runs
its prerequisites, reports to the run, and returns what it made."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from bentoship import bento as bentos
from bentoship.assembly.config import metadata_of
from bentoship.backend import Built, Pushed
from bentoship.bento import Bento
from bentoship.bento.configuration import check_configuration
from bentoship.errors import DamagedError, SettingsError, StoreError
from bentoship.image.reference import ImageReference
from bentoship.project import Published, Run, once, step
from bentoship.publishing.backends import backend
from bentoship.publishing.base import configuration, prepare
from bentoship.system.files import OWN, digest_of, file_lock, remove_abandoned, temporary_folder
from bentoship.system.records import key_of
from bentoship.system.text import size

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
def check(run: Run) -> None:
    """Check that there is something to publish, before anything is created or started. Raises BentoError."""
    check_configuration(run.project.build_context, configuration(run))
    if run.project.settings.signs:
        from bentoship.publishing.attesting import signing  # rarely needed

        signing(run)


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
    run.login()
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
        bento = bentos.build(context, configuration(run), begin=begin, reporter=reporter)
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


@step
def containerize(run: Run) -> Built:
    """Assemble or build the image of the Bento."""
    image = _containerize(run, build(run))
    for line in _description(image):
        run.reporter.say("containerize", line)
    if run.project.settings.load_image:
        _load(run, image)
    return image


def _description(image: Built) -> list[str]:
    """Return what was built, line by line."""
    made = f"{size(image.size)} in {len(image.layers)} layers"
    if not image.images:
        return [f"{image.digest}, {made}"]
    each = [f"{platform}: {line}" for platform, one in image.images.items() for line in _description(one)]
    return [*each, f"{image.digest} is the index of {len(image.images)} images, {made}"]


def _containerize(run: Run, bento: Bento) -> Built:
    is_direct = run.project.settings.backend == "direct"
    if is_direct:
        run.project.hide_layout()
    try:
        with alone_with(run, "containerize", run.repository(bento).repository):
            image = backend(run).containerize(bento)
    finally:
        run.close()  # nothing else needs a base that is still being made in the background
        _remove_leftovers(run)
    if is_direct:
        _clear_up(run, image)
    return image


@contextmanager
def alone_with(run: Run, step: str, repository: str) -> Iterator[None]:
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
        run.reporter.say("tag", "no tag for the commit: the project has uncommitted changes or no Git repository")
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
    _refuse_promoted(run, references[0])
    try:
        pushed, seconds = _push(run, containerize(run), references)
    except DamagedError as error:
        run.reporter.say("push", f"{error.why}; rebuilding it")
        image = _containerize(run, build(run))
        backend(run).tag(image, references)
        pushed, seconds = _push(run, image, references)
    _attach_metadata(run, references[0].with_digest(pushed.digest))
    published = Published(pushed, references)
    run.reporter.pushed(published)
    run.history.keep_push(
        references[0], pushed.digest, [layer.digest for layer in pushed.layers if layer.digest], pushed.sent, seconds
    )
    _attest(run, published)
    return published


def _refuse_promoted(run: Run, repository: ImageReference) -> None:
    """Raise SettingsError when a tag that IMAGE_TAGS names, other than latest, is one that `promote` moves."""
    names = [name for name in run.project.moving_tags if name != "latest"]
    if not names:
        return
    from bentoship.versions.history import history_tag, read_history  # not for the usual tags

    store = run.registry(repository, push=True)
    if promoted := [name for name in names if read_history(store, name).promotions]:
        why = (
            f"IMAGE_TAGS names {', '.join(promoted)}, which `promote` moves: {history_tag(promoted[0])} has its history"
        )
        hint = f"Leave it out of IMAGE_TAGS, and run `invoke promote VERSION {promoted[0]}` after publishing."
        raise SettingsError(f"Tag {repository.repository}", why, hint)


def _attest(run: Run, published: Published) -> None:
    """Attach to an image what is to be attached, unless that was done from here and the image was still there.

    Signatures are looked for nevertheless: others may have deleted them, as `cosign clean` does.
    """
    settings = run.project.settings
    wanted, key = settings.attestations, settings.signing_key
    signer = digest_of(key) if key else settings.signing
    mark = key_of(*wanted, repr(run.project.revision), signer) if wanted or signer else ""
    if not mark:
        return
    is_known = not published.pushed.sent and run.history.attested(published.reference) == mark
    if not is_known or not _has_signature(run, published):
        from bentoship.publishing.attesting import attest  # mostly everything is attached already

        attest(run, published, containerize(run), build(run), mark)


def _has_signature(run: Run, published: Published) -> bool:
    """Return whether an image has a signature still, if it is to have one. Raises StoreError."""
    settings = run.project.settings
    if not settings.signs:
        return True
    from bentoship.versions.evidence.signatures import is_signed  # only where something is signed

    store = run.registry(published.tags[0], push=True)
    return is_signed(store, published.pushed.digest, is_keyless=bool(settings.signing))


def _push(run: Run, image: Built, references: Sequence[ImageReference]) -> tuple[Pushed, float]:
    """Send it, and return how many seconds that took."""
    titles = {layer.digest: layer.title for layer in image.layers}
    with alone_with(run, "push", references[0].repository), run.reporter.transfer("push", titles) as progress:
        pushed = backend(run).push(image, references, progress)
    return pushed, progress.seconds


def _attach_metadata(run: Run, image: ImageReference) -> None:
    """Push what is too large for an image's annotations, which name its digest, as an artifact of the image."""
    if document := metadata_of(build(run)).document:
        # Only when there is so much.
        from bentoship.image.artifact import Artifact, Blob
        from bentoship.image.keys import METADATA_TYPE, TITLE
        from bentoship.image.metadata import JSON
        from bentoship.stores import artifacts

        store = run.registry(image, push=True)
        subject = store.resolve(image.digest or "")
        artifacts.attach(
            store, Artifact(METADATA_TYPE, [Blob(JSON, document, {TITLE: "metadata.json"})], subject=subject)
        )
