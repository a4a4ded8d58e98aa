"""What publish would do, found out without doing it; and why its image differs from the one published last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field

from bentoship.assembly.diff import Difference, differences, published_images
from bentoship.assembly.plan import PlannedImage, PushPlan, Unplanned, push_plan
from bentoship.bento import Bento
from bentoship.errors import CloudError, RegistryError, StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run
from bentoship.publishing.backends import planned_images
from bentoship.publishing.base import base_reason
from bentoship.publishing.steps import preview
from bentoship.stores.nearest import Nearest
from bentoship.system.values import dataclass
from bentoship.system.waiting import reporting_waits

_PATIENCE = 5.0
"""Seconds; a plan is of use without the registry, too."""


@dataclass(frozen=True)
class Reasons:
    """The reasons why an image differs from the one published last.

    Args:
        published: the digest of the published image; None when unknown.
        differences: the differences, each with the platforms that it applies to.
        unknown: why the differences are unknown; empty when they are known.
    """

    published: str | None
    differences: list[tuple[Difference, tuple[str, ...]]] = field(default_factory=list)
    unknown: str = ""


@dataclass(frozen=True)
class Plan:
    """The plan of a publish.

    Args:
        bento: the Bento that would be published.
        target: the repository.
        tags: the tags that would be set.
        platforms: the platforms of the image.
        push: what would be sent, or why that is known only after building the image.
        speed: the speed of the last push to the registry, in bytes per second; None before any.
        reasons: why the image differs from the last one; None when not requested.
        base: which base the image has, and why, in words; empty where BentoML chooses it.
    """

    bento: Bento
    target: ImageReference
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    push: PushPlan | Unplanned
    speed: float | None
    reasons: Reasons | None
    base: str = ""

    @property
    def seconds(self) -> float | None:
        """Return about how many seconds sending would take; None when that is unknown."""
        return None if isinstance(self.push, Unplanned) or not self.speed else self.push.size / self.speed


def planned(run: Run, *, why: bool) -> Plan:
    """Return what publish would do: no Bento is stored, no tag set, no registry started, nothing sent.

    Args:
        run: the run that publish would be.
        why: whether to find what makes the image differ from the one that was published last.

    Raises: BentoshipError.
    """
    run.session.http.patience = min(run.session.http.patience, _PATIENCE)
    waits = reporting_waits(run.reporter_of("plan").say, run.project.settings.retry_seconds)
    with run.reporter.task("plan"), waits, preview(run, "plan") as bento:
        images = planned_images(run, bento)
    target = run.repository(bento)
    names = run.project.tags(bento.version)
    repository = _Repository(run, target)
    return Plan(
        bento,
        target,
        names,
        run.project.settings.platforms,
        images
        if isinstance(images, Unplanned)
        else push_plan(images, repository.exists, run.history.paths_by_blob(target)),
        run.history.speed(target.host),
        _reasons(run, repository, names, images) if why else None,
        base_reason(run, bento),
    )


def _reasons(
    run: Run, repository: _Repository, names: Sequence[str], images: Mapping[str, PlannedImage] | Unplanned
) -> Reasons:
    if isinstance(images, Unplanned):
        return Reasons(None, unknown="known only after building")
    published = repository.resolve(names) or repository.pushed_last()
    if published is None:
        return Reasons(None, unknown=f"no image published to {repository.target} is known here")
    blobs = Nearest((run.layout, run.layer_layout), repository.store)
    try:
        return Reasons(published.digest, differences(images, published_images(blobs, published), blobs))
    except StoreError as error:
        return Reasons(published.digest, unknown=f"{published.digest} cannot be compared: {error.why}")


class _Repository:
    """The repository, as far as it can be queried without starting its registry; a failure is reported once."""

    def __init__(self, run: Run, target: ImageReference) -> None:
        self.target = target
        self._run = run
        self._holdings = run.provider.holdings(target)
        self.store = None if self._holdings else run.registry(target, push=False)

    def exists(self, descriptor: Descriptor) -> bool | None:
        """Return whether the repository has content; None when it cannot be queried."""
        if self._holdings:
            return self._holdings(descriptor)
        try:
            return self.store.exists(descriptor) if self.store else None
        except (RegistryError, CloudError) as error:
            self._run.reporter.say("plan", f"{error.doing}: {error.why}; assuming that all layers are new")
            self.store = None
            return None

    def resolve(self, names: Sequence[str]) -> Descriptor | None:
        """Return the descriptor of the first of some tags that exists; None when none does, or it cannot be queried."""
        for name in names:
            with suppress(StoreError, CloudError):
                if self.store:
                    return self.store.resolve(name)
        return None

    def pushed_last(self) -> Descriptor | None:
        """Return the descriptor of what was last pushed to it from here, if that is still here."""
        last = self._run.history.last_push(self.target)
        with suppress(StoreError):
            return self._run.layout.resolve(last.digest) if last and last.digest else None
        return None
