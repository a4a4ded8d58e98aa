"""What can be set for Google Artifact Registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import settings
from bentoship.errors import SettingsError
from bentoship.settings.google import GoogleSettings

GIVEN = {
    "GCP_PROJECT_ID": "celestial-bodies-123456",
    "GCP_CONTAINER_REGISTRY_NAME": "mlops-registry",
    "GCP_CONTAINER_REGISTRY_LOCATION": "europe-west6",
}
HOST = "europe-west6-docker.pkg.dev/celestial-bodies-123456/mlops-registry"


def load(folder: Path, **given: str) -> GoogleSettings:
    """The settings of an environment."""
    return settings.load(folder, {"HOME": str(folder), **given}).google


def test_the_host_is_derived(tmp_path: Path) -> None:
    """As the chapter derives it."""
    assert load(tmp_path, **GIVEN).host == HOST


def test_the_host_tells_the_names(tmp_path: Path) -> None:
    """They need not be set besides."""
    found = load(tmp_path, REGISTRY="google", GCP_CONTAINER_REGISTRY_HOST=f"{HOST}/")
    assert (found.location, found.project, found.name) == ("europe-west6", "celestial-bodies-123456", "mlops-registry")


def test_a_workspace_domains_project_is_two_parts_of_the_path(tmp_path: Path) -> None:
    """Its id has a colon, which no image's name may have."""
    names = {**GIVEN, "GCP_PROJECT_ID": "example.com:my-project"}
    host = load(tmp_path, **names).host
    assert load(tmp_path, **names, GCP_CONTAINER_REGISTRY_HOST=host).host == host
    assert host == "europe-west6-docker.pkg.dev/example.com/my-project/mlops-registry"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GCP_PROJECT_ID", "123456789012", "a number, but has to be the id"),
        ("GCP_PROJECT_ID", "My Project", "a project's id"),
        ("GCP_CONTAINER_REGISTRY_LOCATION", "europe-west6-a", "a region: europe-west6"),
        ("GCP_CONTAINER_REGISTRY_LOCATION", "Zürich", "a location such as"),
        ("GCP_CONTAINER_REGISTRY_NAME", "My_Registry", "2 to 63 of a-z"),
        ("GCP_CONTAINER_REGISTRY_HOST", HOST.replace("west6", "west1"), "LOCATION is 'europe-west1', but it is set to"),
        ("GCP_CONTAINER_REGISTRY_HOST", "europe-west6-docker.pkg.dev", "HOST/PROJECT/NAME"),
        ("GCP_CONTAINER_REGISTRY_HOST", f"{HOST}/image", "HOST/PROJECT/NAME; the image's name is IMAGE_NAME"),
        ("GCP_CONTAINER_REGISTRY_KMS_KEY", "my-key", "projects/…/locations/…/keyRings/…/cryptoKeys/…"),
        ("GCP_CONTAINER_REGISTRY_KEEP", "none", "a number above 0"),
        ("GCP_CONTAINER_REGISTRY_CLEANUP", "yes", "delete or dry-run"),
        ("GCP_CONTAINER_REGISTRY_LABELS", "Team=a b", "name=value"),
        ("GCP_API_ENDPOINT", "example.com", "an address such as"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, value: str, told: str) -> None:
    """With the setting, what it is, and what it has to be."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{**GIVEN, name: value})
    assert name in caught.value.why
    assert told in caught.value.why


def test_who_looks_for_a_project_needs_none(tmp_path: Path) -> None:
    """Listing projects works before anything is set."""
    given = {"HOME": str(tmp_path), "REGISTRY": "google"}
    assert settings.load(tmp_path, given, complete=False).google.project == ""
    with pytest.raises(SettingsError, match="GCP_PROJECT_ID is missing"):
        settings.load(tmp_path, given)
    wrong = {**given, **GIVEN, "GCP_PROJECT_ID": "123456789012", "GCP_CONTAINER_REGISTRY_HOST": HOST}
    assert settings.load(tmp_path, wrong, complete=False).google.project == "123456789012"


def test_immutable_tags_and_latest_do_not_go_together(tmp_path: Path) -> None:
    """Which is a warning, since the first publish works."""
    given = {"HOME": str(tmp_path), **GIVEN, "GCP_CONTAINER_REGISTRY_IMMUTABLE_TAGS": "1"}
    assert any("latest" in warning for warning in settings.load(tmp_path, given).warnings)
    assert not settings.load(tmp_path, {**given, "IMAGE_TAGS": "{version}"}).warnings
