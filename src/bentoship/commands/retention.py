"""Deleting old versions from the registry."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

from bentoship.commands.repository import repository
from bentoship.commands.terminal import result, table
from bentoship.commands.versions_table import age
from bentoship.errors import BentoshipError, RegistryError, StoreError
from bentoship.image.descriptor import short
from bentoship.image.reference import ImageReference
from bentoship.project import Run
from bentoship.publishing.steps import alone_with
from bentoship.system.text import counted
from bentoship.versions.retention import YOUNGER, Rules, Stored, Survey, delete, is_unsupported, survey

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_STEP = "clean"


def clean_registry(run: Run, *, keep: str, older_than: str, others: bool, yes: bool) -> None:
    """Delete old versions of the project's image from the registry; print those that go on stdout.

    Args:
        run: the run.
        keep: how many of the newest stay; empty to go by age alone.
        older_than: the age from which others go, such as 30d; empty for any age.
        others: whether images that were not made by bentoship may go, too.
        yes: whether to delete them; otherwise they are only listed.

    Raises: BentoshipError.
    """
    rules = _rules(run, keep, older_than, others=others)
    place = repository(run, _STEP)
    store = run.registry(place, push=True)
    with alone_with(run, _STEP, place.repository):
        with run.reporter.task(_STEP, f"reading the versions in {place.repository}"):
            found = survey(store, rules, datetime.now(UTC))
        _report(run, place, found, older_than)
        if not yes and found.going:
            versions = counted(len(found.going), "version")
            them = "it" if len(found.going) == 1 else "them"
            run.reporter.say(_STEP, f"dry run, nothing was deleted; --yes deletes {versions} and what refers to {them}")
        failed = _delete_all(run, place, found) if yes else []
    for version in found.going:
        if version.digest not in failed:
            result(str(place.with_digest(version.digest)))
    if failed:
        raise BentoshipError(
            f"Delete versions from {place.repository}", f"{counted(len(failed), 'version')} could not be deleted"
        )


def _delete_all(run: Run, place: ImageReference, found: Survey) -> list[str]:
    """Delete the versions that may go, and return the digests of those that could not be deleted.

    Raises: BentoshipError when the registry does not delete at all.
    """
    store, failed = run.registry(place, push=True), list[str]()
    for version in found.going:
        try:
            delete(store, version, found)
        except StoreError as error:
            if isinstance(error, RegistryError) and is_unsupported(error):
                raise _unsupported(run, place, error) from error
            run.reporter.say(_STEP, f"skipped {_named(version)}: {error.why}")
            failed.append(version.digest)
        else:
            run.reporter.say(_STEP, f"deleted {_named(version)}")
    if len(failed) < len(found.going):
        run.reporter.say(_STEP, _freeing(run))
    return failed


def _unsupported(run: Run, place: ImageReference, error: RegistryError) -> BentoshipError:
    hint = "Delete versions by the registry's own means, such as its retention rules."
    if run.project.settings.registry == "local":
        hint = "An earlier bentoship started it: run `invoke stop-registry`, then this again, which restarts it."
    return BentoshipError(
        f"Delete versions from {place.repository}", f"{place.host} does not delete: {error.why}", hint
    )


def _freeing(run: Run) -> str:
    """Return how the registry frees the space of layers that no version needs any more, in words."""
    settings = run.project.settings
    if settings.registry == "local":
        from bentoship.providers.local import LocalRegistry

        command = LocalRegistry(settings.cache, settings.local_registry_port).garbage_collection()
        return f"to free the space of their layers, run: invoke stop-registry && {command}"
    if settings.registry == "google":
        return "Google frees the space of their layers by itself"
    return "the space of their layers is freed when the registry collects its garbage"


def _rules(run: Run, keep: str, older_than: str, *, others: bool) -> Rules:
    doing = "Clean the registry"
    if not keep and not older_than:
        raise BentoshipError(doing, "nothing says which versions may go", "Add --keep 10, --older-than 30d, or both.")
    if keep and not re.fullmatch(r"\d{1,9}", keep, re.ASCII):
        raise BentoshipError(doing, f"--keep is {keep!r}, but has to be a number of versions such as 10")
    found = re.fullmatch(r"(\d{1,5})([hdw])", older_than, re.ASCII)
    if older_than and not found:
        raise BentoshipError(doing, f"--older-than is {older_than!r}, but has to be an age such as 12h, 30d or 8w")
    oldest = int(found[1]) * _UNITS[found[2]] if found else None
    return Rules(int(keep) if keep else None, oldest, run.project.moving_tags, others)


def _report(run: Run, place: ImageReference, found: Survey, older_than: str) -> None:
    """Report what may go, and why the rest stays."""
    run.reporter.say(_STEP, f"{counted(len(found.versions), 'version')} in {place.repository}")
    if found.going:
        table([("delete", short(one.digest), _age(one), ", ".join(one.tags)) for one in found.going])
    words = {YOUNGER: f"younger than {older_than}"}
    reasons = Counter(words.get(one.kept, one.kept) for one in found.versions if one.kept)
    if reasons:
        table([("keep", str(count), reason) for reason, count in reasons.items()])
    for text in found.unread:
        run.reporter.say(_STEP, f"skipped the tag {text}")
    if not found.going:
        run.reporter.say(_STEP, "nothing to delete")


def _named(version: Stored) -> str:
    return f"{version.digest} ({', '.join(version.tags)})"


def _age(version: Stored) -> str:
    return age(version.created, datetime.now(UTC)) if version.created else "unknown age"
