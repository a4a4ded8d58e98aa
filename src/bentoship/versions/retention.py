"""Which versions of an image may go from a registry, and deleting them with everything that refers to them.

A version is what has a tag and refers to no other image; what has no tag cannot be listed. What is deleted are
manifests: the space of layers is freed when the registry collects its garbage.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from bentoship.errors import RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.descriptor import INDEX_TYPES
from bentoship.image.document import parse_json
from bentoship.stores.artifacts import Referrer, fallback_tag, listed, referrers, subject_of
from bentoship.stores.graph import media_type
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.system.parallel import in_parallel
from bentoship.system.text import enumerated
from bentoship.system.values import dataclass
from bentoship.versions.history import SUFFIX, promoted_names, read_history
from bentoship.versions.times import parse_time

RETURNS = 5
"""How many times a name can be rolled back to a version that is kept for it."""

_JOBS = 8

YOUNGER = "younger than --older-than"
"""Why a version stays that is not as old as `Rules.older_than`."""

_HISTORY = "a history of promotions"

_STILL_TAGGED = frozenset({400, 409, 412})
"""Statuses of registries that delete no manifest that has tags, such as Google's."""

_STILL_NEEDED = re.compile("PARENT|REFERRING|parent")
"""What Google says of a manifest that others list or refer to (GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE)."""


@dataclass(frozen=True)
class Rules:
    """What stays.

    Args:
        keep: how many of the newest versions; None to go by age alone.
        older_than: the age from which others go; None for any age.
        tags: the tags whose versions stay, such as latest.
        others: whether images that were not made by bentoship may go, too.
    """

    keep: int | None = None
    older_than: timedelta | None = None
    tags: Collection[str] = ()
    others: bool = False


@dataclass(frozen=True)
class Stored:
    """A version in a registry.

    Args:
        digest: of its manifest or index.
        tags: sorted.
        manifests: the digests of an index's manifests, at any depth.
        subject: the digest of the image that it belongs to; empty where it is an image of its own.
        is_ours: whether it was made by bentoship.
        created: when, by its provenance; None when that is not known.
        kept: why it stays, in words; empty when it may go.
    """

    digest: str
    tags: tuple[str, ...]
    manifests: frozenset[str] = frozenset()
    subject: str = ""
    is_ours: bool = True
    created: datetime | None = None
    kept: str = ""


@dataclass(frozen=True)
class Survey:
    """What a repository holds.

    Args:
        versions: the newest first, those of unknown age last.
        unread: tags that could not be read, each with why; what they point to stays.
        protected: the digests of everything that stays.
        tags: all tags.
        belonging: what has a tag and goes with the version that it refers to, by its digest: models beside an image.
    """

    versions: Sequence[Stored]
    unread: Sequence[str] = ()
    protected: frozenset[str] = frozenset()
    tags: frozenset[str] = field(default_factory=frozenset)
    belonging: Mapping[str, Stored] = field(default_factory=dict)

    @property
    def going(self) -> list[Stored]:
        """Return the versions that may go: an index before what it lists, as a registry may ask for that."""
        parts = {digest for one in self.versions for digest in one.manifests}
        # An index has more manifests than any index in it.
        order = {one.digest: (one.digest in parts, -len(one.manifests)) for one in self.versions}
        return sorted((one for one in self.versions if not one.kept), key=lambda one: order[one.digest])

    def tags_of(self, digest: str) -> tuple[str, ...]:
        """Return the tags of something that belongs to a version."""
        return self.belonging[digest].tags if digest in self.belonging else ()


def survey(store: RegistryStore, rules: Rules, now: datetime) -> Survey:
    """Return what a repository holds, and which of it may go.

    Args:
        store: the repository.
        rules: what stays.
        now: the current time, with a time zone.

    Raises: StoreError, also when the history of a promoted name cannot be read: what it needs is not known then.
    """
    names = tags(store)
    every, unread = _read_all(store, [tag for tag in names if not subject_of(tag)])
    needed = _needed(store, names, every)
    present = every.keys() | {part for one in every.values() for part in one.manifests}
    left = _left_behind(store, names, present)
    known = present | {one.digest for one in left}
    belonging = {
        digest: one
        for digest, one in every.items()
        if one.subject in known and digest not in needed and not {*one.tags} & {*rules.tags}
    }
    found = {digest: one for digest, one in every.items() if digest not in belonging}
    ages = in_parallel(partial(_with_age, store, rules), list(found.values()), jobs=_JOBS, cancelled=threading.Event())
    ages.sort(key=lambda one: one.created or datetime.min.replace(tzinfo=UTC), reverse=True)
    judged = [replace(one, kept=_why_kept(one, rules, now, needed, rank)) for rank, one in enumerate(ages)]
    parts = {digest for one in judged if one.kept for digest in one.manifests}
    parts |= {digest for one in belonging.values() for digest in one.manifests}
    parts |= {part for digest in needed if digest not in found for part in _manifests(store, _content(store, digest))}
    inside = "part of an index that stays"
    versions = [replace(one, kept=inside) if not one.kept and one.digest in parts else one for one in judged]
    staying = parts | {one.digest for one in versions if one.kept} | needed.keys()
    shown = [*(one for one in versions if one.kept != _HISTORY), *left]
    return Survey(shown, unread, frozenset(staying), frozenset(names), belonging)


def delete(store: RegistryStore, version: Stored, around: Survey) -> None:
    """Delete a version: first itself, so that a registry that refuses keeps what refers to it, then that.

    A registry that wants what refers to it gone first, as Google's does, has it so.

    Args:
        store: the repository.
        version: one that may go.
        around: the survey that it is from; nothing goes that it protects.

    Raises: RegistryError when the registry refuses; StoreError when the version was promoted since, or got a tag.
    """
    names = tags(store)
    for name in [*promoted_names(names), *sorted({*names} - around.tags)]:
        if store.digest_of(name) == version.digest:
            raise StoreError(f"Delete {version.digest}", f"{name} now points to it")
    parts = sorted(version.manifests - around.protected - {one.digest for one in around.versions})
    about = {digest: _about(store, digest, around) for digest in (version.digest, *parts)}
    own: dict[str, tuple[str, ...]] = {version.digest: version.tags, **dict.fromkeys(parts, ())}
    referring = {one: around.tags_of(one) for found in about.values() for one in found}
    beside: dict[str, tuple[str, ...]] = {}  # such as cosign's signatures, which are in no manifest's way
    for tag in [tag for one in (*about, *referring) for tag in _side_tags(one, around.tags)]:
        if one := store.digest_of(tag):
            place = own if one in own else referring if _is_listed(one, tag, referring) else beside
            place[one] = (*place.get(one, ()), tag)
    # What lists the others goes last, so that the next run finds what a kill has left.
    for group in ({**own, **referring}, beside):
        _delete_in_turn(store, [(one, named) for one, named in group.items() if one not in around.protected])


def _is_listed(digest: str, tag: str, referring: Collection[str]) -> bool:
    """Return whether what a tag is of refers to an image, or lists what does."""
    return digest in referring or tag == fallback_tag(subject_of(tag))


def _delete_in_turn(store: RegistryStore, manifests: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Delete manifests in order; one that the registry keeps since others need it is deleted after these.

    Args: manifests: their digests, each with its tags.

    Raises: RegistryError when the registry refuses, also when none of those that are left can go.
    """
    while manifests:
        kept: list[tuple[str, Sequence[str]]] = []
        for digest, names in manifests:
            try:
                _delete(store, digest, names)
            except RegistryError as error:
                if not _STILL_NEEDED.search(error.why) or len(kept) + 1 == len(manifests):
                    raise
                kept.append((digest, names))
        manifests = kept


def _read_all(store: RegistryStore, names: Sequence[str]) -> tuple[dict[str, Stored], list[str]]:
    """Return the tagged versions by digest, and the tags that could not be read, each with why."""

    def read(tag: str) -> tuple[Stored | None, str]:
        try:
            descriptor, content = store.read(tag)
        except RegistryError as error:
            if error.status != 404:
                raise
            return None, ""  # it has been deleted meanwhile
        except StoreError as error:
            return None, f"{tag}: {error.why}"
        return Stored(descriptor.digest, (tag,), _manifests(store, content), _subject(content), _is_ours(content)), ""

    answers = in_parallel(read, names, jobs=_JOBS, cancelled=threading.Event())
    found: dict[str, Stored] = {}
    for one in (stored for stored, _ in answers if stored):
        same = found.get(one.digest, one)
        found[one.digest] = replace(one, tags=tuple(sorted({*same.tags, *one.tags})))
    return found, [why for _, why in answers if why]


def _needed(store: RegistryStore, names: Sequence[str], found: dict[str, Stored]) -> dict[str, str]:
    """Return the digests that promoted names need, each with why: where they point, and where they can be rolled back.

    The histories themselves are needed, too.
    """
    needed: dict[str, str] = {}
    every = frozenset(names)
    for name in promoted_names(names):
        history = read_history(store, name)
        for one in history.line[-RETURNS - 1 :]:
            needed.setdefault(one.digest, f"{name} can be rolled back to it")
    for digest, version in found.items():
        if any(tag.endswith(SUFFIX) for tag in version.tags):
            needed[digest] = _HISTORY
        elif names_here := [tag for tag in version.tags if f"{tag}{SUFFIX}" in every]:
            needed[digest] = f"promoted to {enumerated(names_here)}"
    return needed


def _with_age(store: RegistryStore, rules: Rules, one: Stored) -> Stored:
    if not one.is_ours and not rules.others:
        return one
    times = [
        time
        for referrer in referrers(store, one.digest, keys.STATEMENT_TYPE)
        if "provenance" in referrer.annotations.get(keys.PREDICATE, "provenance")
        and (time := parse_time(referrer.annotations.get(keys.CREATED)))
    ]
    # The same image may have been published again: what was is in use, and not old.
    return replace(one, created=max(times, default=None))


def _why_kept(one: Stored, rules: Rules, now: datetime, needed: Mapping[str, str], rank: int) -> str:
    """Return why a version stays, in words; empty when it may go.

    Args:
        one: the version, with its age.
        rules: what stays.
        now: the current time.
        needed: as of `_needed`.
        rank: its place among all of them, the newest being the first.
    """
    if one.digest in needed:
        return needed[one.digest]
    if not one.is_ours and not rules.others:
        return "not made by bentoship"
    if tagged := [tag for tag in one.tags if tag in rules.tags]:
        return f"tagged {tagged[0]}"
    if one.created is None:
        return "its age is not known"
    if rules.keep is not None and rank < rules.keep:
        return f"among the newest {rules.keep}"
    return YOUNGER if rules.older_than is not None and now - one.created < rules.older_than else ""


def _left_behind(store: RegistryStore, names: Iterable[str], present: Collection[str]) -> list[Stored]:
    """Return the images that are gone but have tags beside them, as after a kill while one was deleted.

    Args: present: the digests of what is known to be there.
    """
    beside: dict[str, list[str]] = {}
    for tag in names:
        if subject := subject_of(tag):
            beside.setdefault(subject, []).append(tag)
    unlisted = [digest for digest in beside if digest not in present]
    there = in_parallel(store.digest_of, unlisted, jobs=_JOBS, cancelled=threading.Event())
    gone = [digest for digest, known in zip(unlisted, there, strict=True) if known is None]
    return [Stored(digest, tuple(sorted(beside[digest]))) for digest in gone]


def _about(store: RegistryStore, digest: str, around: Survey) -> list[str]:
    """Return the digests of what refers to a manifest, also where only its own subject says so, and of what refers to
    that; without what stays, and what refers to that.

    Anyone may have written a list of referrers: what counts is the subject that each of them names.
    """
    found: list[str] = []
    waiting = [digest]
    for one in waiting:
        told = (each.descriptor.digest for each in referrers(store, one) if _subject_named(store, each) == one)
        named = (each.digest for each in around.belonging.values() if each.subject == one)
        new = dict.fromkeys(each for each in (*told, *named) if each not in {*found, *around.protected})
        found += new
        waiting += new
    return found


def _subject_named(store: RegistryStore, referrer: Referrer) -> str:
    try:
        return _subject(store.read(referrer.descriptor.digest)[1])
    except StoreError:
        return ""


def _subject(content: bytes) -> str:
    """Return the digest of the image that a manifest says it belongs to; empty where it says none."""
    subject = parse_json(content).get("subject")
    return str(subject.get("digest") or "") if isinstance(subject, dict) else ""


def _side_tags(digest: str, names: Iterable[str]) -> list[str]:
    """Return the tags that are made of an image's digest."""
    return [tag for tag in names if subject_of(tag) == digest]


def _delete(store: RegistryStore, digest: str, names: Sequence[str]) -> None:
    """Delete a manifest, where need be after its tags."""
    try:
        store.delete(digest)
    except RegistryError as error:
        is_tagged = error.status in _STILL_TAGGED and not _STILL_NEEDED.search(error.why)
        if not names or not is_tagged or is_unsupported(error):
            raise
        for tag in names:
            store.delete(tag)
        store.delete(digest)


def is_unsupported(error: RegistryError) -> bool:
    """Return whether an error says that the registry does not delete at all."""
    return error.status in (405, 501) or "UNSUPPORTED" in error.why


def _manifests(store: RegistryStore, content: bytes) -> frozenset[str]:
    """Return the digests of the manifests of an index, and of those in it, at any depth; none of a manifest.

    Strangers may have written it: what of it is damaged or gone lists nothing.
    """
    found: set[str] = set()
    waiting = [content]
    for index in waiting:
        if media_type(index) in INDEX_TYPES:
            new = {one.descriptor for one in listed(parse_json(index)) if one.descriptor.digest not in found}
            found |= {child.digest for child in new}
            waiting += [_content(store, child.digest) for child in new if child.media_type in INDEX_TYPES]
    return frozenset(found)


def _content(store: RegistryStore, digest: str) -> bytes:
    """Return a manifest or index; nothing for one that is gone, or is something else."""
    try:
        return store.read(digest)[1]
    except RegistryError as error:
        if error.status == 404:
            return b""
        raise
    except StoreError:
        return b""


def _is_ours(content: bytes) -> bool:
    annotations = parse_json(content).get("annotations")
    return isinstance(annotations, dict) and keys.BENTO in annotations
