"""Every refusal of Google's that a person can meet: the cause in Google's words, and what to do next."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from google.auth import _helpers

from bentoship.errors import CloudError
from bentoship.providers.google import GoogleRegistry, apis
from tests.support.google import Google, errors

Provider = Callable[..., GoogleRegistry]
API = "artifactregistry.googleapis.com"
PROJECT = "celestial-bodies-123456"
NUMBER = 123456789012

REFUSALS = {
    "the API is disabled": (
        "GetRepository", errors.service_disabled(API, "Artifact Registry API", PROJECT),
        "disabled", "invoke enable-api",
    ),
    "billing is missing": (
        "EnableService", errors.billing_missing(NUMBER, API), "illing", "billing/linkedaccount?project=celestial",
    ),
    "billing has ended": (
        "GetRepository", errors.billing_disabled(API, PROJECT), "requires billing", "billing/linkedaccount",
    ),
    "the API is forbidden": (
        "GetRepository", errors.usage_restricted(API, NUMBER), "restrictServiceUsage", "organisation policy",
    ),
    "no permission to create": (
        "CreateRepository",
        errors.permission_denied(API, "artifactregistry.repositories.create", f"projects/{PROJECT}"),
        "repositories.create", "--role=roles/artifactregistry.admin",
    ),
    "no permission to enable": (
        "EnableService",
        errors.permission_denied("serviceusage.googleapis.com", "serviceusage.services.enable", PROJECT),
        "services.enable", "--role=roles/serviceusage.serviceUsageAdmin",
    ),
    "no such project": ("GetRepository", errors.consumer_invalid(API, PROJECT), "resource project", "invoke projects"),
    "no such project for services": (
        "EnableService", errors.usage_project_missing(PROJECT), f"Project '{PROJECT}' not found", "invoke projects",
    ),
    "another project that may not pay": (
        "GetRepository", errors.user_project_denied(API, "other-project"), "use project other", "set-quota-project",
    ),
    "a token for something else": (
        "GetRepository", errors.scope_insufficient(API, "GetRepository"), "insufficient", "scope cloud-platform",
    ),
    "a disabled account": (
        "GetRepository", errors.credentials_invalid("ACCOUNT_STATE_INVALID", API, "GetRepository"),
        "invalid authentication", "is disabled or deleted",
    ),
    "no permission that is named": ("GetRepository", errors.caller_denied(), "not have permission", "account used is "),
    "an invalid name": ("CreateRepository", errors.invalid_argument(), "invalid argument", "GCP_CONTAINER_REGISTRY_"),
    "quota": (
        "CreateRepository", errors.quota_exceeded(API, NUMBER, "europe-west6", limit=60, retry_seconds=1),
        "uota", "Wait a minute",
    ),
    "an organisation's policy": (
        "CreateRepository", errors.location_restricted(PROJECT, "europe-west6"),
        "constraints/", "organisation policy",
    ),
    "an expired token": (
        "GetRepository", errors.credentials_invalid("ACCESS_TOKEN_EXPIRED", API, "GetRepository"),
        "invalid authentication", "are no longer valid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_names_cause_and_next_step(google: Google, provider: Provider, name: str) -> None:
    """In Google's own words, by whatever reason it gives."""
    call, refusal, why, hint = REFUSALS[name]
    if call != "EnableService":
        google.add_repository("another")
    google.faults.add(f".*{call}", refusal, times=9)
    ours = provider()
    step = ours.enable_api if call == "EnableService" else ours.create_registry
    with pytest.raises(CloudError) as caught:
        step()
    assert why in caught.value.why
    assert hint in caught.value.hint


def test_what_is_temporary_is_tried_again(google: Google, provider: Provider) -> None:
    """A few times, with pauses."""
    google.add_repository()
    google.faults.add(".*GetRepository", errors.unavailable(), times=2)
    assert "already exists" in provider().create_registry()


def test_a_quota_is_waited_for(google: Google, provider: Provider) -> None:
    """As long as Google says that it takes."""
    google.add_repository()
    google.faults.add(".*GetRepository", errors.quota_exceeded(API, NUMBER, "europe-west6", limit=60, retry_seconds=1))
    assert "already exists" in provider().create_registry()
    assert [call.rpartition(".")[2] for call in google.calls].count("GetRepository") == 2


@pytest.mark.parametrize(
    "lasting",
    [errors.unavailable(), errors.quota_exceeded(API, NUMBER, "europe-west6", limit=60, retry_seconds=1)],
    ids=["trouble", "quota"],
)
def test_waiting_for_the_api_counts_as_trying(
    google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch, lasting: errors.RefusalError
) -> None:
    """What fails after it has used up the attempts is told at once, and not tried for ever with doubled pauses."""
    monkeypatch.setattr(apis, "_ATTEMPTS", 1)
    google.add_repository()
    google.faults.add(".*GetRepository", errors.service_disabled(API, "Artifact Registry API", PROJECT))
    google.faults.add(".*GetRepository", lasting, times=2)
    ours = provider()
    ours.enable_api()
    with pytest.raises(CloudError):
        ours.create_registry()
    assert google.calls.count("GetRepository") == 2


def test_an_operation_that_ends_badly(google: Google, provider: Provider) -> None:
    """Its error is told as one of the call itself."""
    google.add_repository("another")
    google.faults.add(r"CreateRepository \(operation\)", errors.location_restricted(PROJECT, "europe-west6"))
    with pytest.raises(CloudError, match="constraints/"):
        provider().create_registry()


def test_a_key_file_that_is_not_there(google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is named, with the setting."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(CloudError, match=r"/nowhere/key\.json") as caught:
        provider().login()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


def test_a_key_file_that_cannot_be_read(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is named, with the setting."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    with pytest.raises(CloudError) as caught:
        provider().login()
    assert caught.value.why == f"{tmp_path}: Is a directory"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


def test_an_api_that_is_disabled_where_calls_are_counted(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is not waited for; enabling it in the settings' project would be of no use."""
    google.add_repository()
    google.add_project("other-project", 99, "Other")
    file = google.authorized_user(tmp_path / "user.json")
    file.write_text(file.read_text().replace(PROJECT, "other-project"))
    google.allow("student@example.com")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    google.faults.add(".*GetRepository", errors.service_disabled(API, "Artifact Registry API", "other-project"))
    ours = provider()
    ours.enable_api()
    with pytest.raises(CloudError, match="disabled") as caught:
        ours.create_registry()
    assert f"set-quota-project {PROJECT}" in caught.value.hint


def test_a_deleted_key(google: Google, provider: Provider) -> None:
    """Its signature is not believed any more."""
    google.add_repository()
    google.state.account(google.account).keys.clear()
    with pytest.raises(CloudError, match="Invalid JWT Signature") as caught:
        provider().login()
    assert "new key" in caught.value.hint


def test_a_wrong_clock(google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's words about tokens are put into words about the clock."""
    real: Callable[[], datetime.datetime] = _helpers.utcnow
    monkeypatch.setattr(_helpers, "utcnow", lambda: real() - datetime.timedelta(hours=5))
    with pytest.raises(CloudError, match="short-lived token") as caught:
        provider().login()
    assert "clock" in caught.value.hint


def test_a_trouble_of_googles_own_that_does_not_pass(google: Google, provider: Provider) -> None:
    """Is told after some tries, with where more is known."""
    google.faults.add(".*GetRepository", errors.unavailable(), times=9)
    google.add_repository()
    with pytest.raises(CloudError, match="currently unavailable") as caught:
        provider().create_registry()
    assert "status.cloud.google.com" in caught.value.hint
