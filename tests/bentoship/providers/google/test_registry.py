"""Google Artifact Registry: the API, the repository, the account."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from google.cloud.artifactregistry_v1.types import Repository

from bentoship.errors import CloudError
from bentoship.image.reference import ImageReference
from bentoship.providers.google import GoogleRegistry
from bentoship.stores.registry import RegistryStore
from tests.support.google import Google
from tests.support.images import put_image

Provider = Callable[..., GoogleRegistry]
PLACE = "projects/celestial-bodies-123456/locations/europe-west6/repositories"


def test_an_empty_project_becomes_ready(google: Google, provider: Provider) -> None:
    """The API is enabled, the repository created, the account allowed to push."""
    ours = provider()
    assert "Enabled artifactregistry" in ours.enable_api()
    assert "Created the repository mlops-registry" in ours.create_registry()
    assert f"{google.account} (from GOOGLE_APPLICATION_CREDENTIALS" in ours.login()
    RegistryStore(ours.repository("image"), ours.credentials, push=True).reach()


def test_the_second_time_nothing_is_changed(google: Google, provider: Provider) -> None:
    """One call for each step, and none that changes anything."""
    google.add_repository()
    ours = provider()
    assert "is already enabled" in ours.enable_api()
    assert "already exists" in ours.create_registry()
    ours.login()
    assert [call.rpartition(".")[2] for call in google.calls] == ["GetService", "GetRepository", "TestIamPermissions"]
    assert google.count("POST", "/token") == 1


def test_what_takes_a_while_is_waited_for(google: Google, provider: Provider) -> None:
    """Operations, and an API that is not yet available after it was enabled."""
    google.state.operation_seconds, google.state.propagation_calls = 0.5, 2
    ours = provider()
    ours.enable_api()
    assert "Created" in ours.create_registry()
    assert any("GetOperation" in call for call in google.calls)


def test_an_api_that_another_run_has_enabled_is_waited_for(google: Google, provider: Provider) -> None:
    """What Service Usage calls enabled will answer."""
    google.state.propagation_calls = 1
    provider().enable_api()
    told: list[str] = []
    ours = provider(told)
    assert "is already enabled" in ours.enable_api()
    assert "Created" in ours.create_registry()
    assert any("not yet available" in line for line in told)


def test_who_may_only_push_may_publish(google: Google, provider: Provider) -> None:
    """That it may not look at APIs is told, and no failure."""
    google.add_repository()
    google.deny(google.account, "serviceusage.services.*")
    assert "may not check" in provider().enable_api()


def test_options_are_set_and_changed(google: Google, provider: Provider) -> None:
    """At creation and later; what no setting speaks of stays."""
    provider().enable_api()
    provider(GCP_CONTAINER_REGISTRY_DESCRIPTION="models", GCP_CONTAINER_REGISTRY_LABELS="team=sky").create_registry()
    again = provider(
        GCP_CONTAINER_REGISTRY_IMMUTABLE_TAGS="1",
        GCP_CONTAINER_REGISTRY_KEEP="5",
        GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS="30",
    )
    told = again.create_registry()
    assert told.endswith("Updated immutable tags, the cleanup policies, whether cleanup is a dry run.")
    found = google.state.repositories[f"{PLACE}/mlops-registry"]
    assert (found.description, dict(found.labels), found.docker_config.immutable_tags) == (
        "models",
        {"team": "sky"},
        True,
    )
    assert sorted(found.cleanup_policies) == ["bentoship-delete-untagged", "bentoship-keep"]
    assert found.cleanup_policy_dry_run
    assert "Updated" not in again.create_registry()
    one = provider(GCP_CONTAINER_REGISTRY_DESCRIPTION="sky", GCP_CONTAINER_REGISTRY_LABELS="team=sky")
    assert one.create_registry().endswith("Updated the description.")


def test_another_format_is_named(google: Google, provider: Provider) -> None:
    """A repository's format cannot be changed."""
    google.add_repository().format_ = Repository.Format.PYTHON  # type: ignore[assignment]
    with pytest.raises(CloudError, match="format python, not docker"):
        provider().create_registry()
    with pytest.raises(CloudError, match="format python, not docker"):
        provider().outlook()


def test_one_that_takes_no_images_is_named(google: Google, provider: Provider) -> None:
    """It only hands on what another has; a repository's mode cannot be changed."""
    google.add_repository().mode = Repository.Mode.REMOTE_REPOSITORY  # type: ignore[assignment]
    with pytest.raises(CloudError, match="it is a remote one, which accepts no images") as caught:
        provider().create_registry()
    assert caught.value.hint == "Set GCP_CONTAINER_REGISTRY_NAME to another name."


def test_a_key_is_set_at_creation_alone(google: Google, provider: Provider) -> None:
    """One that is there with another key is named, with both ways out."""
    key = "projects/p/locations/europe-west6/keyRings/r/cryptoKeys/k"
    ours = provider(GCP_CONTAINER_REGISTRY_KMS_KEY=key, GCP_CONTAINER_REGISTRY_SCANNING="0")
    ours.enable_api()
    ours.create_registry()
    found = google.state.repositories[f"{PLACE}/mlops-registry"]
    scanning = found.vulnerability_scanning_config.enablement_config
    assert (found.kms_key_name, scanning.name) == (key, "DISABLED")
    assert "Updated" not in ours.create_registry()
    found.kms_key_name = ""
    with pytest.raises(CloudError, match="encrypted with a Google-managed key, which cannot be changed") as caught:
        ours.create_registry()
    assert caught.value.hint == "Unset GCP_CONTAINER_REGISTRY_KMS_KEY, or choose another name."


def test_the_same_name_elsewhere_is_named(google: Google, provider: Provider) -> None:
    """Since it may be that the location was mistaken; before it is created, too."""
    google.add_repository(location="europe-west1")
    assert "europe-west6, but one of that name exists in europe-west1; publish creates it" in provider().outlook()
    assert "also exists in europe-west1" in provider().create_registry()


def test_a_misspelt_location_is_named_with_the_near_one(google: Google, provider: Provider) -> None:
    """By the list of locations that Google has; also where only the right to push is asked for."""
    google.add_repository()
    host = google.environment["GCP_CONTAINER_REGISTRY_HOST"]
    wrong = provider(GCP_CONTAINER_REGISTRY_LOCATION="europe-wets6", GCP_CONTAINER_REGISTRY_HOST=host)
    for step in (wrong.create_registry, wrong.login, wrong.outlook):
        with pytest.raises(CloudError, match="did you mean europe-west6") as caught:
            step()
        assert "europe-wets6" in caught.value.hint


def test_no_right_to_push_is_told_before_anything_is_built(google: Google, provider: Provider) -> None:
    """With the role, the account and the command that gives it."""
    google.add_repository()
    google.deny(google.account, "artifactregistry.repositories.uploadArtifacts")
    with pytest.raises(CloudError, match="uploadArtifacts") as caught:
        provider().login()
    assert f"--member=serviceAccount:{google.account} --role=roles/artifactregistry.writer" in caught.value.hint


def test_a_repository_that_is_not_there_is_named(google: Google, provider: Provider) -> None:
    """With the task that creates it."""
    google.add_repository("another")
    with pytest.raises(CloudError, match="there is no repository mlops-registry in europe-west6") as caught:
        provider().login()
    assert caught.value.hint == "Create it: invoke create-registry"
    google.add_repository(location="europe-west1")
    with pytest.raises(CloudError, match="exists in europe-west1: check GCP_CONTAINER_REGISTRY_LOCATION"):
        provider().login()


def test_lists(google: Google, provider: Provider) -> None:
    """Services, projects and locations, as the chapter's tips show them."""
    google.add_repository()
    ours = provider().lists
    assert {"project_id": google.project.id, "name": "Celestial Bodies", "number": "123456789012"} in ours.projects()
    assert "artifactregistry.googleapis.com" in [one["name"] for one in ours.services()]
    assert "europe-west6" in [one["location"] for one in ours.locations()]
    assert ours.nearest("europ-west6") == "europe-west6"


def test_images_are_listed_by_google(google: Google, provider: Provider) -> None:
    """By its own list, page by page, as there is no catalog in a repository; each by its path in the registry."""
    google.add_repository()
    google.add_repository("other")
    ours = provider()
    assert ours.images() == []
    for name in ("classifier", "team/stars"):
        put_image(RegistryStore(ours.repository(name), ours.credentials, push=True))
    other = ImageReference.parse(f"{google.docker_host}/{google.project.id}/other/x")
    put_image(RegistryStore(other, ours.credentials, push=True))
    before = f"{google.project.id}/mlops-registry"
    assert ours.images() == [f"{before}/classifier", f"{before}/team/stars"]
    google.deny(google.account, "artifactregistry.packages.list")
    with pytest.raises(CloudError, match=r"List the images in mlops-registry: .*artifactregistry\.packages\.list"):
        ours.images()


def test_without_googles_credentials_the_registry_is_asked(
    google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an account of Docker's alone, which may use no API."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("PATH", "/nowhere")
    folder = Path(os.environ["DOCKER_CONFIG"])
    folder.mkdir()
    account = base64.b64encode(f"_json_key:{google.key.read_text()}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {google.docker_host: {"auth": account}}}))
    assert provider().images() is None
