"""Reading the versions of an image from its registry, with as few requests as it takes, and no layer."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from bentoship.errors import RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.reference import version_in
from bentoship.stores.artifacts import Referrer, fallback_tag, from_api, listed, referrers, subject_of
from bentoship.stores.graph import children, media_type, read_manifest
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import in_parallel
from bentoship.system.values import dataclass
from bentoship.versions.cache import Known
from bentoship.versions.contents import NO_PLATFORM, Named, version_of
from bentoship.versions.history import SUFFIX, Promotion, read_history
from bentoship.versions.version import Version

_JOBS = 16
"""Requests at a time."""

_BEGINNING = re.compile(r"sha256:[0-9a-f]{1,63}")
_BARE_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_NUMBERS = re.compile(r"(\d+)")

Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Registered:
    """What a repository holds.

    Args:
        versions: the newest first, as of `newest_first`.
        histories: where versions were promoted, by the promoted name; oldest first.
    """

    versions: Sequence[Version]
    histories: Mapping[str, Sequence[Promotion]]


class Reader:
    """Reads a repository; what does not change is read once and kept.

    Args:
        store: the repository.
        folder: where it is kept.
    """

    def __init__(self, store: RegistryStore, folder: Path) -> None:
        self.store = store
        """The repository."""
        self._known = Known.load(folder, store.repository)
        self._documents: dict[str, bytes] = {}
        self._failed = 0

    def read(self) -> Registered:
        """Return what the repository holds: nothing when it does not exist.

        Raises: StoreError when the registry does not list its tags, or does not respond.
        """
        every = tags(self.store)
        names = [name for name in every if not subject_of(name)]
        indexes = [name for name in every if name == fallback_tag(subject_of(name))]
        found = self._in_parallel(self._named, [*names, *indexes])
        named, attached = found[: len(names)], {one.tags[0]: one for one in found[len(names) :]}
        kept = [one.tags[0] for one in named if one.artifact_type == keys.HISTORY_TYPE]
        histories = {tag.removesuffix(SUFFIX): self._history(tag) for tag in kept if tag.endswith(SUFFIX)}
        images = _by_digest(one for one in named if one.is_image)
        versions = self._versions(images, attached, _promoted(histories, images))
        self._known.keep({one.tags[0]: one.digest for one in found if one.digest}, self._documents)
        return Registered(newest_first(versions), histories)

    def find(self, name: str) -> Version:
        """Return the version of a tag or digest. Raises StoreError when there is none, or it is no image."""
        one = image_of(self.store, name)
        return self._version(one, referrers(self.store, one.digest), ())

    def meant(self, text: str) -> str:
        """Return the tag or digest that a person means, who may give only the beginning of a digest.

        Args: text: as of `version_in`, or a digest as tables of versions and promotions show it.

        Raises: StoreError when several digests begin with it, or none does; as of `version_in`.
        """
        if not _BEGINNING.fullmatch(text):
            return version_in(self.store.repository, text)
        found = self.read()
        known = {one.digest for one in found.versions} | {
            one.digest for each in found.histories.values() for one in each
        }
        begun = [digest for digest in known if digest.startswith(text)]
        if len(begun) == 1:
            return begun[0]
        why = f"{'several digests begin' if begun else 'no digest of a version begins'} with that"
        hint = "`invoke versions --json` prints whole digests."
        raise StoreError(f"Find {text} in {self.store.repository}", why, hint)

    def manifest(self, text: str) -> tuple[Descriptor, bytes]:
        """Return the manifest or index that a person names. Raises StoreError. Args: text: as of `meant`."""
        return _manifest(self.store, self.meant(text))

    def _named(self, tag: str) -> Named:
        """Return what a tag names now, read only where it has changed."""
        digest = self._known.tags.get(tag, "")
        content = self._known.get(digest)
        try:
            if content is None:
                found = self.store.read(tag, patient=False)
            else:
                known = Descriptor(media_type(content) or "", digest, len(content))
                found = self.store.read_changed(tag, digest, patient=False) or (known, content)
        except StoreError as error:
            return Named(None, b"", (tag,), self._problem_of_one(error))
        descriptor, content = found
        self._documents[descriptor.digest] = content
        return Named(descriptor, content, (tag,))

    def _content(self, digest: str) -> bytes:
        """Return a manifest. Raises StoreError when the registry does not have it."""
        content = self._known.get(digest)
        if content is None:
            _, content = self.store.read(digest, patient=False)
        self._documents[digest] = content
        return content

    def _versions(
        self, images: Sequence[Named], attached: Mapping[str, Named], promoted: Mapping[str, Sequence[str]]
    ) -> list[Version]:
        """Return the version of each image. Args: attached: the indexes of what refers to them, by their tags."""
        first = next((one.digest for one in images if one.digest), "")
        has_api = bool(first) and self._from_api(first) is not None

        def version(one: Named) -> Version:
            index = attached.get(fallback_tag(one.digest))
            found = listed(index.document) if index else []
            if has_api and one.digest:
                found = [*found, *(self._from_api(one.digest) or ())]
            made = self._version(one, found, promoted.get(one.digest, ()))
            if index and index.problem and not has_api and not made.problem:
                return replace(made, problem=f"what is attached to it cannot be read: {index.problem}")
            return made

        # Without requests to wait for, threads would only get in each other's way.
        asking = has_api or any(one.has_parts for one in images)
        return self._in_parallel(version, images) if asking else list(map(version, images))

    def _version(self, one: Named, found: Sequence[Referrer], promoted: Iterable[str]) -> Version:
        try:
            images = {name: self._content(child.digest) for name, child in one.images.items()}
        except StoreError as error:
            one, images = replace(one, problem=self._problem_of_one(error)), {}
        except ValueError as error:
            one, images = replace(one, problem=str(error)), {}
        return version_of(one, images, found, promoted, self._large(one, found))

    def _large(self, one: Named, found: Iterable[Referrer]) -> bytes:
        """Return the values that are too large for annotations; b"" if there are none, or they cannot be read."""
        wanted = str(one.annotations.get(keys.METADATA) or "")
        content = self._known.get(wanted)
        try:
            for artifact in found if wanted and content is None else ():
                if artifact.artifact_type == keys.METADATA_TYPE:
                    blobs = {blob.digest: blob for blob in children(self._content(artifact.descriptor.digest))}
                    content = read_manifest(self.store, blobs[wanted]) if wanted in blobs else content
        except StoreError as error:
            _problem(error)
        if content:
            self._documents[wanted] = content
        return content or b""

    def _from_api(self, digest: str) -> list[Referrer] | None:
        """Return what refers to an image by the registry's API; None where it has none, or refuses."""
        try:
            return from_api(self.store, digest)
        except StoreError as error:
            _problem(error)
            return None

    def _history(self, tag: str) -> Sequence[Promotion]:
        """Return the promotions of a history; none where it cannot be read."""
        try:
            return read_history(self.store, tag.removesuffix(SUFFIX)).promotions
        except StoreError as error:
            _problem(error)
            return ()

    def _problem_of_one(self, error: StoreError) -> str:
        """Return as `_problem` does, also after an internal error where more could be read than not.

        A registry has internal errors for as long as it is overloaded, or each time for what it has damaged.
        """
        if isinstance(error, RegistryError) and error.status == 500:
            self._failed += 1
            if self._failed < len(self._documents):
                return error.why
        return _problem(error)

    def _in_parallel(self, work: Callable[[Item], Done], items: Sequence[Item]) -> list[Done]:
        return in_parallel(work, items, jobs=_JOBS, cancelled=threading.Event(), interrupt=self.store.interrupt)


def image_of(store: RegistryStore, name: str) -> Named:
    """Return the image of a tag or digest. Raises StoreError when there is none, or it is no image."""
    descriptor, content = _manifest(store, name)
    one = Named(descriptor, content, () if name == descriptor.digest else (name,))
    doing = f"Read {name} in {store.repository}"
    if not one.is_image:
        raise StoreError(doing, f"it is not an image but {one.nature}")
    if descriptor.media_type in INDEX_TYPES and not children(content):
        raise StoreError(doing, NO_PLATFORM)
    return one


def _manifest(store: RegistryStore, name: str) -> tuple[Descriptor, bytes]:
    """Return what a tag or digest names that a person has given. Raises StoreError, which says where to find those."""
    try:
        return store.read(name)
    except RegistryError as error:
        if error.status == HTTPStatus.NOT_FOUND and "NAME_UNKNOWN" not in error.why:
            error.hint = "There is no such tag or digest in the repository: `invoke versions` lists them."
            if _BARE_DIGEST.fullmatch(name):
                error.hint += f" Write a digest as sha256:{name}."
        raise


def newest_first(versions: Iterable[Version]) -> list[Version]:
    """Return versions by the time when they were made; those of unknown time last, by their tags (latest, v10, v9)."""

    def order(version: Version) -> tuple[bool, float, bool, list[tuple[int, str]]]:
        made = version.created.timestamp() if version.created else 0.0
        tag = next((name for name in version.tags if name != "latest"), "")
        parts = [(int(part) if part.isdecimal() and len(part) < 20 else -1, part) for part in _NUMBERS.split(tag)]
        return version.created is not None, made, "latest" in version.tags, parts

    return sorted(versions, key=order, reverse=True)


def _problem(error: StoreError) -> str:
    """Return why something cannot be read. Raises the error where nothing else could be read, either."""
    if isinstance(error, RegistryError) and (error.status is None or error.temporary):
        raise error
    return error.why


def _by_digest(found: Iterable[Named]) -> list[Named]:
    """Return what was found, once for all tags of the same digest; what could not be read stays on its own."""
    by_digest: dict[str, list[Named]] = {}
    for one in found:
        by_digest.setdefault(one.digest or one.tags[0], []).append(one)
    return [replace(same[0], tags=sorted(one.tags[0] for one in same)) for same in by_digest.values()]


def _promoted(histories: Mapping[str, Sequence[Promotion]], images: Iterable[Named]) -> dict[str, list[str]]:
    """Return the promoted names by digest: where their tags are, and without such a tag where the history ends."""
    by_tag = {tag: one.digest for one in images for tag in one.tags}
    found: dict[str, list[str]] = {}
    for name, history in histories.items():
        digest = by_tag.get(name) or (history[-1].digest if history else "")
        found.setdefault(digest, []).append(name)
    return found
