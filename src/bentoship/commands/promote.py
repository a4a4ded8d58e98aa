"""Promoting an image to a name such as production, and rolling that back."""

from __future__ import annotations

from collections.abc import Sequence

from bentoship.commands.confirm import confirm
from bentoship.commands.repository import repository
from bentoship.commands.terminal import result
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run
from bentoship.publishing.steps import alone_with
from bentoship.versions.author import author
from bentoship.versions.history import Promotion
from bentoship.versions.promotion import Standing, check_name, find, move, now, rolled_back, settled
from bentoship.versions.reading import Reader
from bentoship.versions.requirements import Requirements

__all__ = ["Requirements", "promote", "rollback"]


def promote(
    run: Run,
    version: str,
    name: str,
    requirements: Requirements,
    *,
    why: str = "",
    yes: bool = False,
    dry: bool = False,
) -> None:
    """Point a name at an image if it meets all requirements, and print the image's reference on stdout.

    Args:
        run: the run.
        version: a tag or digest, or a reference of the project's repository.
        name: such as production.
        requirements: what the image has to meet.
        why: for the record.
        yes: whether to replace what the name points to without asking.
        dry: whether to say only what would be done.

    Raises: BentoshipError.
    """
    check_name(name, run.project.moving_tags)
    requirements.check()
    place = repository(run, "promote")
    store = run.registry(place, push=True)
    reader = Reader(store, run.project.settings.cache / "versions")
    seen, image = settled(store, name), find(store, reader.meant(version))
    digest = image.descriptor.digest
    if seen.digest == digest and seen.is_recorded:
        run.reporter.say("promote", f"{name} already points to {digest}")
        result(str(place.with_digest(digest)))
        return
    held = requirements.held(reader, image, run.project.settings.metrics_lower)
    for text in held:
        run.reporter.say("promote", text)
    _say_where_found(run, "promote", seen)
    if dry:
        _rehearse(seen, f"point {name} to {_named(image.tags, digest)}")
        return
    if seen.digest not in (None, digest):
        doing, what = f"Point {name} to {_named(image.tags, digest)}", f"{name} now points to {_current(seen)}"
        confirm("promote", doing, what, yes=yes)
    by = author(run.project.folder)
    lasting = [tag for tag in image.tags if tag not in run.project.moving_tags]  # latest is another one soon
    entry = Promotion(digest, lasting, seen.digest, by, now(), why, held)
    _move(run, "promote", place, seen, image.descriptor, entry)


def rollback(run: Run, name: str, *, why: str = "", yes: bool = False, dry: bool = False) -> None:
    """Point a name at the image that it pointed to before, and print that one's reference on stdout.

    Args: as of `promote`.
    """
    check_name(name, ())
    place = repository(run, "rollback")
    store = run.registry(place, push=True)
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
    if dry:
        _rehearse(seen, f"roll {name} back to {_named(entry.tags, entry.digest)}")
        return
    doing, what = f"Roll {name} back to {_named(entry.tags, entry.digest)}", f"{name} now points to {_current(seen)}"
    confirm("rollback", doing, what, yes=yes)
    _move(run, "rollback", place, seen, target, entry)


def _rehearse(seen: Standing, doing: str) -> None:
    """Print what would be done, with where the name points now."""
    result(f"would {doing}" + (f"; now it points to {_current(seen)}" if seen.digest else "; there is no such tag yet"))


def _move(run: Run, step: str, place: ImageReference, seen: Standing, target: Descriptor, entry: Promotion) -> None:
    with alone_with(run, step, str(place.with_tag(seen.name))):
        is_ours = move(run.registry(place, push=True), seen, target, entry)
    how = "" if is_ours else "already: it was promoted at the same time"
    run.reporter.say(step, f"{seen.name} points to {_named(entry.tags, entry.digest)} {how}".rstrip())
    result(str(place.with_digest(entry.digest)))


def _say_where_found(run: Run, step: str, seen: Standing) -> None:
    for one in seen.found:
        by = f"says {seen.history.digest}" if seen.history.digest else "has no entry"
        text = f"{seen.name} points to {one.digest}, but its history {by}"
        run.reporter.say(step, f"{text}: it was moved by other means, which is not recorded yet")


def _current(seen: Standing) -> str:
    """Return where a name points, in words, with who did it."""
    last = seen.line[-1]
    by = f", by {last.by} at {last.when}" if last.by else ""
    return f"{_named(last.tags, last.digest)}{by}"


def _named(tags: Sequence[str], digest: str) -> str:
    return f"{digest} ({', '.join(tags)})" if tags else digest
