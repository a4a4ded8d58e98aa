"""The versions of an image in its registry, as a table or JSON, and the history of a promoted name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from bentoship.bento import Bento
from bentoship.commands import terminal as console
from bentoship.commands.repository import current_bento, repository
from bentoship.commands.versions_table import print_promotions, print_versions
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.stores.listing import repositories, tags
from bentoship.versions.history import promoted_names, read_history
from bentoship.versions.reading import Reader, image_of
from bentoship.versions.version import Version


def published(run: Run, step: str, version: str = "") -> tuple[ImageReference, Descriptor, Bento]:
    """Return an image of the project in the registry, by its digest; its manifest or index; and the project's Bento.

    Args:
        run: the run.
        step: the command that needs it.
        version: a tag, digest, promoted name or reference; empty for the first tag that publish gives an image.

    Raises: StoreError when there is none, or it is no image; BentoshipError.
    """
    run.login()
    bento = current_bento(run, step)
    place = run.repository(bento)
    source = reader(run, place)
    tag = run.project.tags(bento.version)[0]
    try:
        image = image_of(source.store, source.meant(version or tag)).descriptor
    except RegistryError as error:
        if not version and error.status == HTTPStatus.NOT_FOUND:
            error.hint = f"`invoke publish` publishes the image as {tag}; `invoke versions` lists what there is."
        raise
    assert image
    return place.with_digest(image.digest), image, bento


def show(folder: Path, *, every: bool = False, as_json: bool = False) -> None:
    """Print the versions of a project's image on stdout.

    Args:
        folder: the project's.
        every: whether to print those of all images beside it in the registry.
        as_json: whether to print JSON, in the format that docs/registry.md describes.

    Raises: BentoshipError.
    """
    with closing(begin(folder, console.Terminal())) as run:
        images = list(_beside(run)) if every else [repository(run, "versions")]
        found = {image.repository: _read(run, image) for image in images}
        lower = run.project.settings.metrics_lower
    if as_json:
        documents = [
            {"repository": name, "versions": [one.to_dict() for one in listed]} for name, listed in found.items()
        ]
        console.result_as_json(documents if every else documents[0])
        return
    for name, listed in found.items():
        if every:
            console.result(name)
        if listed:
            print_versions(listed, lower, datetime.now(UTC))
        else:
            # Of another image, this project publishes none.
            hint = "" if every else " yet; `invoke publish` makes the first one"
            console.say("versions", f"{name} has no versions{hint}")


def show_history(folder: Path, name: str, *, as_json: bool = False) -> None:
    """Print where a name was promoted, the last promotion first; as JSON, the first one first.

    Args:
        folder: the project's.
        name: such as production.
        as_json: whether to print JSON.

    Raises: BentoshipError, also when the name has no history.
    """
    with closing(begin(folder, console.Terminal())) as run:
        image = repository(run, "versions")
        store = run.registry(image, push=False)
        promotions = read_history(store, name).promotions
        if not promotions:
            raise _no_history(store.repository, name, promoted_names(tags(store)))
    if as_json:
        listed = [{**one.to_dict(), "rollback": one.is_rollback} for one in promotions]
        console.result_as_json({"repository": image.repository, "name": name, "promotions": listed})
    else:
        print_promotions(promotions[::-1])


def reader(run: Run, image: ImageReference) -> Reader:
    """Return what reads the versions of an image, and keeps their manifests in the cache."""
    return Reader(run.registry(image, push=False), run.project.settings.cache / "versions")


def read_versions(run: Run, image: ImageReference) -> Sequence[Version]:
    """Return the versions of an image, the newest first. Raises StoreError."""
    return reader(run, image).read().versions


def _read(run: Run, image: ImageReference) -> Sequence[Version]:
    with run.reporter.task("versions", f"reading {image.repository}"):
        return read_versions(run, image)


def _beside(run: Run) -> Iterator[ImageReference]:
    """Yield all images beside the project's. Raises RegistryError when the registry does not list its images."""
    run.login()
    example = run.provider.repository("image")
    place = example.path.removesuffix("image")
    try:
        paths = run.provider.images()
        if paths is None:
            paths = repositories(run.registry(example, push=False))
    except RegistryError as error:
        if error.status is None or error.temporary:
            raise
        error.hint = "This registry does not list its images; without --all, this project's versions are listed."
        raise
    found = sorted(path for path in paths if path.startswith(place))
    if not found:
        console.say("versions", f"{example.host}/{place.rstrip('/')} has no images yet; `invoke publish` makes one")
    yield from (ImageReference(example.host, path) for path in found)


def _no_history(repository: str, name: str, names: Sequence[str]) -> BentoshipError:
    hint = f"Promoted names: {', '.join(names)}." if names else "`invoke promote VERSION NAME` promotes a version."
    return BentoshipError(f"Show the history of {name}", f"nothing was promoted to it in {repository}", hint)
