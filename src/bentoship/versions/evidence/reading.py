"""Reading back what is attached to an image. It comes from a registry, where anyone who may push can put anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from bentoship.errors import RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.document import parse_json
from bentoship.stores.artifacts import Referrer, referrers, subject_of
from bentoship.stores.graph import children, read_blob
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import in_parallel
from bentoship.system.text import flaw
from bentoship.versions.times import parse_time

_MAX = 64 << 20
"""Bytes of a document; an SBOM of a thousand packages has one megabyte."""

_JOBS = 8
_PUBLISH = "Publish the image again to attach it; ATTESTATIONS says what is attached."


def is_sbom(one: Referrer) -> bool:
    """Return whether a referrer is an SBOM in CycloneDX."""
    return one.artifact_type == keys.SBOM_TYPE


def is_statement(predicate: str) -> Callable[[Referrer], bool]:
    """Return a function that says whether a referrer is a statement with a predicate."""
    return lambda one: one.artifact_type == keys.STATEMENT_TYPE and one.annotations.get(keys.PREDICATE) == predicate


def document(store: RegistryStore, image: Descriptor, what: str, wanted: Callable[[Referrer], bool]) -> Any:
    """Return the newest document of a kind that is attached to an image.

    Args:
        store: the repository that has it.
        image: its manifest or index.
        what: what the document is called, for errors.
        wanted: says which referrers are of the kind.

    Raises: StoreError when there is none, or it cannot be read.
    """
    doing = f"Read the {what} of {image.digest}"
    found = newest(list(filter(wanted, referrers(store, image.digest))))
    if found is None:
        raise StoreError(doing, f"none is attached to it in {store.repository}", _PUBLISH)
    _, manifest = store.read(found.descriptor.digest)
    try:
        blob = Descriptor.from_dict(parse_json(manifest)["layers"][0])
        return parse_json(content_of(store, doing, blob))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(doing, f"it is damaged ({flaw(error)})") from error


def indexes_of(store: RegistryStore, manifest: Descriptor) -> list[Descriptor]:
    """Return the indexes with a tag that list a manifest; a tag that cannot be read is passed over.

    Raises: StoreError when the registry does not list its tags.
    """

    def index(tag: str) -> Descriptor | None:
        try:
            found, content = store.read(tag)
            listed = children(content) if found.media_type in INDEX_TYPES else ()
        except StoreError:
            return None
        return found if manifest.digest in {one.digest for one in listed} else None

    names = [tag for tag in tags(store) if not subject_of(tag)]
    every = in_parallel(index, names, jobs=_JOBS, cancelled=threading.Event(), interrupt=store.interrupt)
    return list(dict.fromkeys(one for one in every if one))


def newest(found: Sequence[Referrer]) -> Referrer | None:
    """Return the referrer that was made last, by its annotation; if none says when, the last of them. None for none."""
    return max(reversed(found), key=_made, default=None)


def _made(one: Referrer) -> float:
    """Return when a referrer was made, in seconds; 0 where it does not say that, so that any other is newer."""
    made = parse_time(one.annotations.get(keys.CREATED))
    return made.timestamp() if made else 0.0


def content_of(store: RegistryStore, doing: str, blob: Descriptor) -> bytes:
    """Return the content of a document's blob. Raises StoreError. Args: doing: what needs it, for errors."""
    return read_blob(store, blob, doing, _MAX)


def content_if_readable(store: RegistryStore, doing: str, blob: Descriptor) -> bytes:
    """Return the content of a small blob; nothing where it is missing, damaged or too large. Raises RegistryError."""
    try:
        return content_of(store, doing, blob)
    except StoreError as error:
        if isinstance(error, RegistryError) and error.status != 404:
            raise
        return b""
