"""What a repository deletes by itself: the policies that settings ask for, and in words what they do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from google.cloud.artifactregistry_v1.types import CleanupPolicy, DockerImage

from bentoship.settings.google import GoogleSettings

_KEEP, _DELETE = "bentoship-keep", "bentoship-delete-untagged"


def policies(settings: GoogleSettings) -> dict[str, CleanupPolicy]:
    """The policies by their names; none when nothing is to be deleted or kept."""
    made = {}
    if settings.keep:
        made[_KEEP] = CleanupPolicy(
            id=_KEEP, action=CleanupPolicy.Action.KEEP, most_recent_versions={"keep_count": settings.keep}
        )
    if settings.delete_untagged_days:
        age = timedelta(days=settings.delete_untagged_days)
        made[_DELETE] = CleanupPolicy(
            id=_DELETE, action=CleanupPolicy.Action.DELETE, condition={"tag_state": "UNTAGGED", "older_than": age}
        )
    return made


def rehearsed(settings: GoogleSettings) -> bool:
    """Whether something would be deleted, were this not a dry run."""
    return bool(settings.delete_untagged_days) and not settings.cleanup


def told(settings: GoogleSettings, images: Sequence[DockerImage] | None, now: datetime) -> str:
    """What a dry run would delete, and how it is made real.

    Args:
        settings: with a dry run.
        images: those in the repository; None when they cannot be told.
        now: the time with its zone.
    """
    count = "" if images is None else f"; now {len(doomed(settings, images, now))} of {len(images)}"
    kept = f", but for the newest {settings.keep} of each name" if settings.keep else ""
    return (
        f"Cleaning up is a dry run: Google only logs that it would delete images without a tag after "
        f"{settings.delete_untagged_days} days{kept}{count}. "
        "GCP_CONTAINER_REGISTRY_CLEANUP=delete has it delete them."
    )


def doomed(settings: GoogleSettings, images: Iterable[DockerImage], now: datetime) -> list[DockerImage]:
    """The images that the policies would delete (cloud.google.com/artifact-registry/docs/repositories/cleanup-policy).

    Args: as of told().
    """
    if not settings.delete_untagged_days:
        return []
    oldest = now - timedelta(days=settings.delete_untagged_days)
    by_name: dict[str, list[DockerImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.upload_time, reverse=True):
        by_name[image.name.rpartition("@")[0]].append(image)
    left = [image for versions in by_name.values() for image in versions[settings.keep or 0 :]]
    return [image for image in left if not image.tags and image.upload_time < oldest]
