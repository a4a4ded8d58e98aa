"""The versions of an image in its registry, as a table or JSON, and the history of a promoted name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bentoship.commands import terminal as console
from bentoship.commands.described import repository
from bentoship.commands.versions_table import print_promotions, print_versions
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.stores.listing import repositories, tags
from bentoship.versions.history import Promotion, promoted_names, read_history
from bentoship.versions.reading import Reader
from bentoship.versions.times import rfc3339
from bentoship.versions.version import Version


def show(folder: Path, *, every: bool = False, as_json: bool = False) -> None:
    """Print the versions of a project's image on stdout.

    Args:
        folder: the project's.
        every: whether to print those of all images that are beside it in the registry.
        as_json: whether to print JSON, in the format that docs/registry.md describes.

    Raises: BentoshipError.
    """
    with closing(begin(folder, console.Terminal())) as run:
        images = list(_beside(run)) if every else [repository(run, "versions")]
        found = {image.repository: _read(run, image) for image in images}
        lower = run.project.settings.metrics_lower
    if as_json:
        documents = [{"repository": name, "versions": list(map(document, listed))} for name, listed in found.items()]
        console.result_as_json(documents if every else documents[0])
        return
    for name, listed in found.items():
        if every:
            console.result(name)
        if listed:
            print_versions(listed, lower, datetime.now(UTC))
        else:
            console.say("versions", f"{name} has no versions yet; `invoke publish` makes the first one")


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
        listed = list(map(promotion_document, promotions))
        console.result_as_json({"repository": image.repository, "name": name, "promotions": listed})
    else:
        print_promotions(promotions[::-1])


def read_versions(run: Run, image: ImageReference) -> Sequence[Version]:
    """Return the versions of an image, the newest first; manifests are kept in the cache. Raises StoreError."""
    return Reader(run.registry(image, push=False), run.project.settings.cache / "versions").read().versions


def document(version: Version) -> dict[str, Any]:
    """Return a version as a JSON document, in the format that docs/registry.md describes."""
    return {
        "digest": version.digest,
        "tags": list(version.tags),
        "is_ours": version.is_ours,
        "created": version.created and rfc3339(version.created),
        "commit": version.commit,
        "size": version.size,
        "platforms": list(version.platforms),
        "bento": version.bento,
        "description": version.description,
        "base": {"name": version.base, "digest": version.base_digest},
        "models": [{"tag": model.tag, "metadata": dict(model.metadata)} for model in version.models],
        "metrics": dict(version.metrics),
        "parameters": dict(version.parameters),
        "data": [{"path": one.path, "digest": one.digest, "size": one.size} for one in version.data],
        "layers": [{**part.descriptor.to_dict(), "kind": part.kind} for part in version.layers],
        "promoted": list(version.promoted),
        "verified": version.verified,
        "problem": version.problem,
    }


def promotion_document(promotion: Promotion) -> Mapping[str, Any]:
    """Return a promotion as a JSON document, as its history in the registry has it."""
    return {
        "digest": promotion.digest,
        "tags": list(promotion.tags),
        "from": promotion.origin,
        "by": promotion.by,
        "when": promotion.when,
        "why": promotion.why,
        "conditions": list(promotion.conditions),
        "rollback": promotion.is_rollback,
    }


def _read(run: Run, image: ImageReference) -> Sequence[Version]:
    with run.reporter.task("versions", f"reading {image.repository}"):
        return read_versions(run, image)


def _beside(run: Run) -> Iterator[ImageReference]:
    """Yield the images that the registry has where the project's goes. Raises RegistryError when it lists none."""
    run.reporter.say("auth", run.provider.login())
    example = run.provider.repository("image")
    place = example.path.removesuffix("image")
    try:
        paths = run.provider.images()
        if paths is None:
            paths = repositories(run.registry(example, push=False))
    except RegistryError as error:
        if error.status is None or error.temporary:
            raise
        error.hint = "This registry does not list its images; without --all those of this project's image are listed."
        raise
    found = sorted(path for path in paths if path.startswith(place))
    if not found:
        console.say("versions", f"{example.host}/{place.rstrip('/')} has no images yet; `invoke publish` makes one")
    yield from (ImageReference(example.host, path) for path in found)


def _no_history(repository: str, name: str, names: Sequence[str]) -> BentoshipError:
    hint = f"Promoted names: {', '.join(names)}" if names else "`invoke promote VERSION NAME` promotes a version."
    return BentoshipError(f"Show the history of {name}", f"nothing was promoted to it in {repository}", hint)
