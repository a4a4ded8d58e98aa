"""Printing what is attached to a version: its SBOM and its provenance."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bentoship.commands.repository import repository
from bentoship.commands.terminal import Terminal, result_as_json
from bentoship.commands.versions import reader
from bentoship.errors import StoreError
from bentoship.image import keys
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.platforms import manifests_by_platform, platform_of
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.stores.artifacts import referrers
from bentoship.versions.evidence.reading import document, indexes_of, is_sbom, is_statement


def show(folder: Path, what: str, name: str) -> None:
    """Print what is attached to a version of a project's image.

    Args:
        folder: the project's.
        what: "sbom" or "provenance".
        name: the version's digest or a tag.

    Raises: BentoshipError.
    """
    with closing(begin(folder, Terminal())) as run:
        (show_sbom if what == "sbom" else show_provenance)(run, name)


def show_sbom(run: Run, name: str) -> None:
    """Print the SBOM of a version; of an index, its image for this machine. Args: name: as of `Reader.meant`."""
    image = repository(run, "versions")
    source = reader(run, image)
    store = source.store
    root, content = source.manifest(name)
    manifest = _own(run, root, content) if root.media_type in INDEX_TYPES else root
    with _missed(run, image):
        result_as_json(document(store, manifest, "SBOM", is_sbom))


def show_provenance(run: Run, name: str) -> None:
    """Print the provenance of a version, an in-toto statement. Args: name: as of `Reader.meant`."""
    image = repository(run, "versions")
    source = reader(run, image)
    store = source.store
    root, _ = source.manifest(name)
    wanted = is_statement(keys.PROVENANCE)
    # That of an index is about all its images.
    if not any(map(wanted, referrers(store, root.digest))) and (found := indexes_of(store, root)):
        run.reporter.say("versions", f"{root.digest} is a part of {found[0].digest}, whose provenance this is")
        root = found[0]
    with _missed(run, image):
        result_as_json(document(store, root, "provenance", wanted))


@contextmanager
def _missed(run: Run, image: ImageReference) -> Iterator[None]:
    """Make the next publish look for what is missing: others may have deleted what has been attached from here."""
    try:
        yield
    except StoreError:
        run.history.forget_attested(image)
        raise


def _own(run: Run, root: Descriptor, index: bytes) -> Descriptor:
    """Return the manifest of an index for this machine, else the first; say which the others are."""
    manifests = manifests_by_platform(index)
    here = platform_of(platform.machine()) or ""
    if not manifests:
        return root
    chosen = here if here in manifests else next(iter(manifests))
    others = ", ".join(f"{name} {one.digest}" for name, one in manifests.items() if name != chosen)
    run.reporter.say("versions", f"{root.digest} is an index; this is its image for {chosen}, others: {others}")
    return manifests[chosen]
