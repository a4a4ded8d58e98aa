"""What a repository deletes by itself: the policies that settings ask for, and in words what they do."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.artifactregistry_v1.types import CleanupPolicy, DockerImage

from bentoship.settings.google import GoogleSettings


def policies(settings: GoogleSettings) -> dict[str, Any]:
    """Return the policies by their names, in Google's JSON; none when nothing is to be deleted or kept."""
    made = []
    if settings.keep:
        made.append(
            CleanupPolicy(
                id="bentoship-keep",
                action=CleanupPolicy.Action.KEEP,
                most_recent_versions={"keep_count": settings.keep},
            )
        )
    if settings.delete_untagged_days:
        made.append(
            CleanupPolicy(
                id="bentoship-delete-untagged",
                action=CleanupPolicy.Action.DELETE,
                condition={"tag_state": "UNTAGGED", "older_than": timedelta(days=settings.delete_untagged_days)},
            )
        )
    # As Google's own answers are written, with names and without what is not set.
    style = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
    return {policy.id: json.loads(CleanupPolicy.to_json(policy, **style)) for policy in made}


def dry_run_notice(settings: GoogleSettings, found: Iterable[Mapping[str, Any]] | None) -> str:
    """Return what a dry run would delete, and how it is made real.

    Args:
        settings: with a dry run.
        found: the images in the repository, in Google's JSON; None when they cannot be told.
    """
    count = ""
    if found is not None:
        images = [DockerImage.from_json(json.dumps(image), ignore_unknown_fields=True) for image in found]
        count = f"; now {len(deletable(settings, images, datetime.now(UTC)))} of {len(images)}"
    kept = f", but for the newest {settings.keep} of each name" if settings.keep else ""
    return (
        f"Cleaning up is a dry run: Google only logs that it would delete images without a tag after "
        f"{settings.delete_untagged_days} days{kept}{count}. "
        "GCP_CONTAINER_REGISTRY_CLEANUP=delete has it delete them."
    )


def deletable(settings: GoogleSettings, images: Iterable[DockerImage], now: datetime) -> list[DockerImage]:
    """Return the images that the policies would delete.

    Their rules: cloud.google.com/artifact-registry/docs/repositories/cleanup-policy.

    Args:
        settings: with what is kept, and after how many days others go.
        images: those in the repository.
        now: the time with its zone.
    """
    if not settings.delete_untagged_days:
        return []
    oldest = now - timedelta(days=settings.delete_untagged_days)
    by_name: dict[str, list[DockerImage]] = defaultdict(list)
    for image in sorted(images, key=lambda image: image.upload_time, reverse=True):
        by_name[image.name.rpartition("@")[0]].append(image)
    return [
        image
        for versions in by_name.values()
        for image in versions[settings.keep or 0 :]
        if not image.tags and image.upload_time < oldest
    ]
