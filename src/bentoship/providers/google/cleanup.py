"""A repository's cleanup policies as configured, and a notice of what they would delete."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.artifactregistry_v1.types import CleanupPolicy, DockerImage

from bentoship.settings.google import GoogleSettings


def policies(settings: GoogleSettings) -> dict[str, Any]:
    """Return the policies by name, in Google's JSON; none when nothing is configured."""
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
    # As in Google's responses: enums by name, unset fields omitted.
    style = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
    return {policy.id: json.loads(CleanupPolicy.to_json(policy, **style)) for policy in made}


def dry_run_notice(settings: GoogleSettings, found: Iterable[Mapping[str, Any]] | None) -> str:
    """Return a notice of what a dry run would delete, and how to turn the dry run off.

    Args:
        settings: settings with `delete_untagged_days`.
        found: the images in the repository, in Google's JSON; None when they cannot be listed.
    """
    count = ""
    if found is not None:
        given = list(found)
        images = [DockerImage.from_json(json.dumps(image), ignore_unknown_fields=True) for image in given]
        # What an index lists goes no sooner than the index: Google deletes no manifest that has such a parent.
        listed = {part.get("digest") for image in given for part in image.get("imageManifests", ())}
        going = [one for one in deletable(settings, images, datetime.now(UTC)) if digest_of(one) not in listed]
        count = f"; currently {len(going)} of {len(images)}"
    kept = f", except the newest {settings.keep} of each name" if settings.keep else ""
    return (
        f"Cleanup is a dry run: Google only logs that it would delete untagged images after "
        f"{settings.delete_untagged_days} days{kept}{count}. "
        "Set GCP_CONTAINER_REGISTRY_CLEANUP=delete to have it delete them."
    )


def digest_of(image: DockerImage) -> str:
    """Return the digest of an image."""
    return str(image.name).rpartition("@")[2]


def deletable(settings: GoogleSettings, images: Iterable[DockerImage], now: datetime) -> list[DockerImage]:
    """Return the images that the policies would delete.

    The rules: cloud.google.com/artifact-registry/docs/repositories/cleanup-policy.

    Args:
        settings: the number of versions to keep, and the days after which others are deleted.
        images: the images in the repository.
        now: the current time, with a time zone.
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
