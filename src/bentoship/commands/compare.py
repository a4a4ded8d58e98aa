"""Comparing two versions of an image by what the registry says of them, without pulling a layer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from bentoship.assembly.diff import Difference, recorded_differences
from bentoship.commands import terminal as console
from bentoship.commands.compare_report import Compared, Trial, document, in_markdown, in_text
from bentoship.commands.repository import repository
from bentoship.commands.versions import reader
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.descriptor import short
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.stores.graph import read_images
from bentoship.system import git
from bentoship.system.values import dataclass
from bentoship.versions.comparing import compare
from bentoship.versions.history import read_history
from bentoship.versions.reading import Reader
from bentoship.versions.version import Version

_PRODUCTION = "production"
_COMMITS = 50
"""How many commits are listed."""


@dataclass(frozen=True)
class Chosen:
    """A version to compare. Args: name: a tag, a promoted name or the beginning of a digest; version: the version."""

    name: str
    version: Version


def show(folder: Path, old: str = "", new: str = "", *, answers: bool = False, form: str = "text") -> None:
    """Print how two versions of a project's image differ.

    Args:
        folder: the project's.
        old: a tag, a promoted name or a digest; empty for what is promoted, else the version before the newest.
        new: likewise; empty for the newest version.
        answers: whether to run both, and compare their answers to the sample request.
        form: "text", "markdown" or "json".

    Raises: BentoshipError.
    """
    with closing(begin(folder, console.Terminal())) as run:
        image = repository(run, "compare")
        with run.reporter.task("compare", f"reading {image.repository}"):
            before, now = _chosen(run, image, old, new)
            compared = _compared(run, image, before, now)
        if answers:
            compared = replace(compared, trials=[_trial(run, image, one.version) for one in (before, now)])
    if form == "json":
        console.result_as_json(document(compared))
        return
    if before.version.digest == now.version.digest:
        console.say("compare", f"{before.name} and {now.name} are the same version; name others with --old and --new")
    for line in in_markdown(compared) if form == "markdown" else in_text(compared):
        console.result(line)
    if any(metric.is_better is not None for metric in compared.comparison.metrics):
        console.say("", "higher is better unless METRICS_LOWER names the metric")


def _chosen(run: Run, image: ImageReference, old: str, new: str) -> tuple[Chosen, Chosen]:
    """Return the two versions. Raises BentoshipError when one does not exist, or there is nothing to choose from."""
    source = reader(run, image)
    if old and new:
        before, now = _find(source, old), _find(source, new)
        with suppress(RegistryError):  # of a registry that does not list its tags, those that were named are known
            listed = source.read().versions
            return _whole(before, listed), _whole(now, listed)
        return before, now
    found = source.read()
    versions = [one for one in found.versions if one.digest]
    ours = [one for one in versions if one.is_ours] or versions
    if not ours:
        hint = "`invoke publish` makes the first one."
        raise BentoshipError(f"Compare versions of {image.repository}", "it has no versions yet", hint)
    newest = _whole(_find(source, new), versions) if new else Chosen(_name(ours[0]), ours[0])
    if name := old or _promoted(found.histories, image):
        return _whole(_find(source, name), versions), newest
    return _before(ours, newest, image), newest


def _promoted(names: Collection[str], image: ImageReference) -> str:
    """Return the promoted name to compare with; empty for none. Raises BentoshipError when several could be meant.

    Args: names: all promoted names; image: the image.
    """
    if len(names) > 1 and _PRODUCTION not in names:
        why = f"several names are promoted ({', '.join(sorted(names))}), and none of them is {_PRODUCTION}"
        raise BentoshipError(f"Compare versions of {image.repository}", why, "Name one with --old.")
    return _PRODUCTION if _PRODUCTION in names else next(iter(names), "")


def _before(versions: Sequence[Version], newest: Chosen, image: ImageReference) -> Chosen:
    """Return the version before the newest one. Raises BentoshipError when there is none."""
    digests = [one.digest for one in versions]
    place = digests.index(newest.version.digest) if newest.version.digest in digests else -1
    if place + 1 >= len(versions):
        why = "nothing is promoted, and there is no older version"
        raise BentoshipError(f"Compare versions of {image.repository}", why, "Name one with --old.")
    console.say("compare", "nothing is promoted, so this compares with the version before")
    return Chosen(_name(versions[place + 1]), versions[place + 1])


def _whole(found: Chosen, versions: Sequence[Version]) -> Chosen:
    """Return a version with all of its tags and promoted names. Args: versions: all of the repository."""
    same = (one for one in versions if one.digest == found.version.digest)
    return replace(found, version=next(same, found.version))


def _find(source: Reader, name: str) -> Chosen:
    """Return the version of a tag, a promoted name, a digest or the beginning of one. Raises StoreError."""
    tag = source.meant(name)
    if tag.startswith("sha256:"):
        return Chosen(short(tag), source.find(tag))
    try:
        return Chosen(tag, source.find(tag))
    except RegistryError as error:
        # Where tags do not move, only the history says where a name points.
        if error.status != 404 or not (last := read_history(source.store, tag).digest):
            raise
        return Chosen(tag, source.find(last))


def _name(version: Version) -> str:
    """Return what to call a version: by a tag of its own rather than one that moves."""
    tags = [tag for tag in version.tags if tag not in ("latest", *version.promoted)] or [*version.tags]
    return tags[0] if tags else short(version.digest)


def _compared(run: Run, image: ImageReference, before: Chosen, now: Chosen) -> Compared:
    base, packages = _recorded(run, image, before.version, now.version)
    commits = None
    if before.version.commit and now.version.commit:
        commits = git.log(run.project.folder, before.version.commit, now.version.commit, _COMMITS + 1)
    comparison = compare(before.version, now.version, run.project.settings.metrics_lower)
    return Compared(image.repository, before.name, now.name, comparison, base, packages, commits)


def _recorded(
    run: Run, image: ImageReference, old: Version, new: Version
) -> tuple[Difference | None, Difference | None]:
    """Return how base and packages differ, of a platform that both are for; None where an image does not say it."""
    store = run.registry(image, push=False)
    try:
        before, now = (read_images(store, store.read(one.digest)[0]) for one in (old, new))
        platform = min(before.keys() & now.keys())
        return recorded_differences(before[platform], now[platform])
    except RegistryError:
        raise
    except (BentoshipError, ValueError, KeyError, TypeError, AttributeError):
        return None, None


def _trial(run: Run, image: ImageReference, version: Version) -> Trial:
    """Run a version, and return what it answers, or why it does not."""
    from bentoship.commands.verify import tried  # which brings along Docker's library

    try:
        proof = tried(run, image.with_digest(version.digest))
    except BentoshipError as error:
        return Trial(str(error.why))
    return Trial(proof.answer, proof.seconds, proof.memory.size if proof.memory else None)
