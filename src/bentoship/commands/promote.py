"""Promoting an image to a name such as production, and rolling that back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bentoship.commands.confirm import confirm
from bentoship.commands.described import repository
from bentoship.commands.terminal import result
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run
from bentoship.publishing.steps import alone_with
from bentoship.stores.registry import RegistryStore
from bentoship.versions.author import author
from bentoship.versions.conditions import Condition, check_better
from bentoship.versions.history import Promotion
from bentoship.versions.metadata import metrics_of
from bentoship.versions.promotion import (
    Candidate,
    Standing,
    check_name,
    find,
    move,
    now,
    rolled_back,
    settled,
)
from bentoship.versions.verified import check_verified


@dataclass(frozen=True)
class Wishes:
    """What has to hold for a promotion, as the options have it.

    Args:
        conditions: comparisons of metrics with numbers, such as "accuracy >= 0.97".
        better_than: the tag or digest of an image that has to be worse; empty for none.
        metric: the one by which it has to be; empty for the only one.
        verified: whether the image has to have been verified.
    """

    conditions: Sequence[str]
    better_than: str
    metric: str
    verified: bool


def promote(run: Run, version: str, name: str, wishes: Wishes, *, why: str = "", yes: bool = False) -> None:
    """Point a name at an image if all wishes hold, and print the image's reference on stdout.

    Args:
        run: the run.
        version: a tag or digest, or a reference of the project's repository.
        name: such as production.
        wishes: what has to hold.
        why: for the record.
        yes: whether to replace what the name points to without asking.

    Raises: BentoshipError.
    """
    check_name(name, run.project.settings.image_tags)
    conditions = [Condition.parse(text) for text in wishes.conditions]
    if wishes.metric and not wishes.better_than:
        raise BentoshipError("Read the options", "--metric has no effect without --if-better-than")
    place, store = _opened(run, "promote")
    seen, image = settled(store, name), find(store, version)
    digest = image.descriptor.digest
    if seen.digest == digest and seen.is_recorded:
        run.reporter.say("promote", f"{name} already exists: it points to {digest}")
        result(str(place.with_digest(digest)))
        return
    held = _held(run, store, image, conditions, wishes)
    for text in held:
        run.reporter.say("promote", f"holds: {text}")
    _say_where_found(run, "promote", seen)
    if seen.digest not in (None, digest):
        doing, what = f"Point {name} to {_named(image.tags, digest)}", f"{name} points to {_current(seen)}"
        if not confirm("promote", doing, what, yes=yes):
            run.reporter.say("promote", "nothing was changed")
            return
    tags = (*image.tags, *_version_tag(store, image))
    entry = Promotion(digest, tags, seen.digest, author(run.project.folder), now(), why, held)
    _move(run, "promote", store, place, seen, image.descriptor, entry)


def rollback(run: Run, name: str, *, why: str = "", yes: bool = False) -> None:
    """Point a name at the image that it pointed to before, and print that one's reference on stdout.

    Args: as of `promote`.
    """
    check_name(name, ())
    place, store = _opened(run, "rollback")
    seen = settled(store, name)
    entry = rolled_back(seen, author(run.project.folder), why)
    try:
        target = store.resolve(entry.digest)
    except RegistryError as error:
        if error.status != 404:
            raise
        others = [one.digest for one in seen.line if one.digest not in (entry.digest, seen.digest)]
        hint = f"Promote another one, such as {others[-1]}." if others else "Promote another version."
        why_not = f"{_named(entry.tags, entry.digest)} is not in the registry any more"
        raise BentoshipError(f"Roll {name} back", why_not, hint) from error
    _say_where_found(run, "rollback", seen)
    doing, what = f"Roll {name} back to {_named(entry.tags, entry.digest)}", f"{name} points to {_current(seen)}"
    if not confirm("rollback", doing, what, yes=yes):
        run.reporter.say("rollback", "nothing was changed")
        return
    _move(run, "rollback", store, place, seen, target, entry)


def _opened(run: Run, step: str) -> tuple[ImageReference, RegistryStore]:
    place = repository(run, step)
    return place, run.registry(place, push=True)


def _move(
    run: Run,
    step: str,
    store: RegistryStore,
    place: ImageReference,
    seen: Standing,
    target: Descriptor,
    entry: Promotion,
) -> None:
    with alone_with(run, step, str(place.with_tag(seen.name))):
        is_ours = move(store, seen, target, entry)
    how = "" if is_ours else "already: it was promoted at the same time"
    run.reporter.say(step, f"{seen.name} points to {_named(entry.tags, entry.digest)} {how}".rstrip())
    result(str(place.with_digest(entry.digest)))


def _held(
    run: Run, store: RegistryStore, image: Candidate, conditions: Sequence[Condition], wishes: Wishes
) -> list[str]:
    """Return the conditions that hold, in words. Raises BentoshipError when one does not."""
    metrics = metrics_of(image.annotations)
    held = [condition.check(metrics) for condition in conditions]
    if wishes.better_than:
        held += _better(run, store, metrics, wishes)
    if wishes.verified:
        held.append(check_verified(store, image.descriptor.digest))
    return held


def _better(run: Run, store: RegistryStore, metrics: Mapping[str, float], wishes: Wishes) -> list[str]:
    """Return that an image is better than another, in words; nothing when there is no other yet."""
    name = wishes.better_than
    try:
        other = find(store, name)
    except RegistryError as error:
        # A digest that is not there is a mistake; a name that was never promoted to is none.
        if error.status != 404 or ":" in name:
            raise
        run.reporter.say("promote", f"there is no {name} yet that it would have to be better than")
        return []
    old = metrics_of(other.annotations)
    return [check_better(name, wishes.metric, metrics, old, run.project.settings.metrics_lower)]


def _say_where_found(run: Run, step: str, seen: Standing) -> None:
    for one in seen.found:
        by = f"says {seen.history.digest}" if seen.history.digest else "has no entry"
        text = f"{seen.name} points to {one.digest}, but its history {by}: it was moved by other means"
        run.reporter.say(step, f"{text}, which will be recorded")


def _current(seen: Standing) -> str:
    """Return where a name points, in words, with who did it."""
    last = seen.line[-1]
    by = f", by {last.by} at {last.when}" if last.by else ""
    return f"{_named(last.tags, last.digest)}{by}"


def _named(tags: Sequence[str], digest: str) -> str:
    return f"{digest} ({', '.join(tags)})" if tags else digest


def _version_tag(store: RegistryStore, image: Candidate) -> tuple[str, ...]:
    """Return the tag of the image's version if that is one of it."""
    from bentoship.image.keys import VERSION

    version = image.annotations.get(VERSION)
    if not isinstance(version, str) or version in image.tags:
        return ()
    try:
        same = find(store, version).descriptor == image.descriptor
    except BentoshipError:
        return ()
    return (version,) if same else ()
