"""What a repository deletes by itself, told in words before it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.artifactregistry_v1.types import DockerImage

from bentoship.image.artifact import Artifact
from bentoship.providers.google import GoogleRegistry, cleanup
from bentoship.settings.google import GoogleSettings
from bentoship.stores.artifacts import attach, referrers, subject_of
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from tests.support.google import Google, images
from tests.support.images import put_image, put_index

Provider = Callable[..., GoogleRegistry]
PLACE = "projects/celestial-bodies-123456/locations/europe-west6/repositories"
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def image(name: str, days: float, *tags: str) -> DockerImage:
    """One that was pushed so many days ago."""
    return DockerImage(name=f"r/dockerImages/{name}@sha256:{days}", tags=tags, upload_time=NOW - timedelta(days=days))


IMAGES = [image("a", 1), image("a", 40), image("a", 50, "v1"), image("a", 60), image("b", 90), image("b", 20)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (GoogleSettings(), []),
        (GoogleSettings(keep=2), []),
        (GoogleSettings(delete_untagged_days=30), [40, 60, 90]),
        (GoogleSettings(delete_untagged_days=30, keep=1), [40, 60, 90]),
        (GoogleSettings(delete_untagged_days=30, keep=2), [60]),
        (GoogleSettings(delete_untagged_days=55, keep=1), [60, 90]),
    ],
)
def test_what_would_be_deleted(settings: GoogleSettings, expected: list[int]) -> None:
    """Old ones without a tag, but for the newest of each name, with a tag or without."""
    found = cleanup.deletable(settings, IMAGES, NOW)
    assert sorted(int(one.name.rpartition(":")[2]) for one in found) == expected


def test_what_is_promoted_is_kept() -> None:
    """It has a tag, as the histories have, and so has what a name can be rolled back to."""
    settings = GoogleSettings(delete_untagged_days=30)
    promoted = [image("a", 90, "production"), image("a", 91, "production.history"), image("a", 92, "v1")]
    assert cleanup.deletable(settings, promoted, NOW) == []
    [policy] = cleanup.policies(settings).values()
    assert policy["condition"]["tagState"] == "UNTAGGED"


def test_a_dry_run_is_told(google: Google, provider: Provider) -> None:
    """With what is set, what would go now, and the setting that makes it real; a real one is not told."""
    google.add_repository()
    said: list[str] = []
    ours = provider(said, GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30", GCP_CONTAINER_REGISTRY_KEEP="5")
    put_image(RegistryStore(ours.repository("image"), ours.credentials, push=True))
    ours.create_registry()
    assert said[-1] == (
        "Cleanup is a dry run: Google only logs that it would delete untagged images after 30 days, except the newest "
        "5 of each name; currently 0 of 1. Set GCP_CONTAINER_REGISTRY_CLEANUP=delete to have it delete them."
    )


def test_who_may_not_list_images_is_told_without_a_count(google: Google, provider: Provider) -> None:
    """It is no failure."""
    google.add_repository()
    google.deny(google.account, "artifactregistry.dockerimages.list")
    said: list[str] = []
    assert "already exists" in provider(said, GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30").create_registry()
    assert len(said) == 1
    assert "after 30 days. " in said[0]


def test_what_belongs_to_a_version_that_stays_is_kept(google: Google, provider: Provider) -> None:
    """Its attestations and the images of an index, though a policy deletes what has no tag; nor are they counted."""
    said: list[str] = []
    google.add_repository()
    ours = provider(said, GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30", GCP_CONTAINER_REGISTRY_IMMUTABLE_TAGS="1")
    ours.create_registry()
    place = ours.repository("image")
    store = RegistryStore(place, ours.credentials, push=True, deletes_untagged=ours.deletes_untagged)
    image, alone = put_image(store), put_image(store, seed=1)
    index = put_index(store, image)
    store.tag(index, "v1")
    notes = [
        attach(store, Artifact("application/vnd.example.note", [], {"n": str(number)}, one)).descriptor
        for number, one in enumerate((index, index, image))
    ]
    repository = google.state.repositories[f"{PLACE}/mlops-registry"]
    month = time.time() + 31 * 86400
    for one in google.state.images[repository.name].values():
        one.uploaded -= 31 * 86400
    ours.create_registry()
    assert "currently 1 of 6." in said[-1]
    images.clean(google.state, repository.name, month)
    assert store.digest_of(alone.digest)
    ours = provider(GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30", GCP_CONTAINER_REGISTRY_CLEANUP="delete")
    ours.create_registry()
    images.clean(google.state, repository.name, month)
    assert store.digest_of(alone.digest) is None
    assert all(store.read(one.digest) for one in (index, image, *notes))
    assert len(referrers(store, index.digest)) == 2
    assert all(tag == "v1" or subject_of(tag) in (index.digest, image.digest) for tag in tags(store))


def test_without_a_tag_an_attestation_would_go(google: Google, provider: Provider) -> None:
    """Which is why each gets one."""
    google.add_repository()
    ours = provider(GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30", GCP_CONTAINER_REGISTRY_CLEANUP="delete")
    ours.create_registry()
    store = RegistryStore(ours.repository("image"), ours.credentials, push=True)
    image = put_image(store)
    store.tag(image, "v1")
    attach(store, Artifact("application/vnd.example.note", [], {}, image))
    images.clean(google.state, f"{PLACE}/mlops-registry", time.time() + 31 * 86400)
    assert store.digest_of("v1") == image.digest
    assert referrers(store, image.digest) == []
