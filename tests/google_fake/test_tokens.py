"""The stand-in's tokens, by google-auth with each kind of credentials."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth import compute_engine, crypt, jwt
from google.auth import exceptions as auth_errors
from google.auth.compute_engine import _metadata
from google.auth.identity_pool import Credentials as ExternalAccount
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials as AuthorizedUser
from google.oauth2.service_account import Credentials as ServiceAccount

from tests.google_fake.clients import Clients
from tests.support.google import Answer, Google
from tests.support.google.state import CLOUD_PLATFORM, EMAIL_SCOPE
from tests.support.google.tokens import JWT_BEARER, principal

SCOPES = [CLOUD_PLATFORM, EMAIL_SCOPE]
USER = "student@example.com"
PROJECT = "projects/celestial-bodies-123456"


def key(google: Google, folder: Path) -> Any:
    """Those of a service account's key."""
    return ServiceAccount.from_service_account_file(str(google.key), scopes=SCOPES)  # type: ignore[no-untyped-call]


def user(google: Google, folder: Path) -> Any:
    """Those of somebody who logged in with gcloud."""
    path = google.authorized_user(folder / "user.json", USER)
    found = AuthorizedUser.from_authorized_user_file(str(path))  # type: ignore[no-untyped-call]
    return found.with_token_uri(json.loads(path.read_text())["token_uri"])


def job(google: Google, folder: Path) -> Any:
    """Those of a job of GitHub's."""
    path = google.external_account(folder / "job.json")
    return ExternalAccount.from_file(str(path), scopes=SCOPES)  # type: ignore[no-untyped-call]


def machine(google: Google, folder: Path) -> Any:
    """Those of a machine in Google Cloud."""
    google.state.machine_account = google.account
    return compute_engine.Credentials(scopes=SCOPES)  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _metadata_server(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """google-auth reads the address from the environment when it is imported."""
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", google.machine_environment["GCE_METADATA_HOST"])
    monkeypatch.setenv("GCE_METADATA_IP", google.machine_environment["GCE_METADATA_IP"])


def asked(google: Google, path: str, headers: dict[str, str] | None = None) -> Any:
    """What the token port answers."""
    request = urllib.request.Request(google.token_origin + path, headers=headers or {})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


@pytest.mark.parametrize("kind", [key, user, job, machine])
def test_each_kind_of_credentials_gets_a_token(google: Google, tmp_path: Path, kind: Callable[..., Any]) -> None:
    """Which the APIs take, lasts an hour, and tells whose it is."""
    google.allow(USER)
    credentials = kind(google, tmp_path)
    credentials.refresh(Request())
    assert Clients(google.api_port, credentials.token).projects.get_project(name=PROJECT, timeout=5)
    told = asked(google, f"/tokeninfo?access_token={credentials.token}")
    assert told["email"] == (USER if kind is user else google.account)
    assert int(told["expires_in"]) == pytest.approx(3600, abs=60)
    bearer = {"Authorization": f"Bearer {credentials.token}"}
    assert asked(google, "/v1/userinfo", bearer)["email"] == told["email"]


def test_a_service_account_may_sign_for_itself(google: Google) -> None:
    """For one API, or with scopes for all."""
    info = json.loads(google.key.read_text())
    signed = jwt.Credentials.from_service_account_info(info, audience="https://cloudresourcemanager.googleapis.com/")  # type: ignore[no-untyped-call]
    signed.refresh(Request())
    clients = Clients(google.api_port, signed.token.decode())
    assert clients.projects.get_project(name=PROJECT, timeout=5)
    with pytest.raises(Exception, match="invalid authentication credentials"):
        clients.services.list_services(request={"parent": PROJECT}, timeout=5)


def test_the_metadata_server_is_found(google: Google) -> None:
    """And knows project and account; whoever does not say that it asks for metadata is refused."""
    assert _metadata.ping(Request())  # type: ignore[no-untyped-call]
    assert _metadata.get_project_id(Request()) == google.project.id  # type: ignore[no-untyped-call]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        asked(google, "/computeMetadata/v1/project/project-id")


def test_a_machine_may_have_no_account(google: Google) -> None:
    """Then there is no token."""
    credentials = compute_engine.Credentials(scopes=SCOPES)  # type: ignore[no-untyped-call]
    with pytest.raises(auth_errors.RefreshError, match="404"):
        credentials.refresh(Request())  # type: ignore[no-untyped-call]


def _deleted(google: Google) -> None:
    del google.state.accounts[google.account]


def _key_deleted(google: Google) -> None:
    google.state.account(google.account).keys.clear()


def _revoked(google: Google) -> None:
    google.state.account(USER).refresh_tokens.clear()


def _reauthentication(google: Google) -> None:
    google.state.account(USER).reauthenticate = True


def _not_allowed(google: Google) -> None:
    google.deny(principal(google.project.number), "iam.serviceAccounts.getAccessToken")


def _not_trusted(google: Google) -> None:
    google.state.projects.clear()


def _broken(google: Google) -> None:
    google.faults.add("POST /token", Answer(400, b"broken"))


@pytest.mark.parametrize(
    ("kind", "spoil", "text"),
    [
        (key, _deleted, "invalid_grant: Invalid grant: account not found"),
        (key, _key_deleted, "invalid_grant: Invalid JWT Signature."),
        (key, _broken, "broken"),
        (user, _revoked, "invalid_grant: Token has been expired or revoked."),
        (user, _reauthentication, "Reauthentication is needed"),
        (job, _not_allowed, "iam.serviceAccounts.getAccessToken"),
        (job, _not_trusted, 'Invalid value for "audience"'),
    ],
)
def test_credentials_that_are_no_good_are_refused(
    google: Google, tmp_path: Path, kind: Callable[..., Any], spoil: Callable[[Google], None], text: str
) -> None:
    """In the words of Google's token endpoint."""
    credentials = kind(google, tmp_path)
    spoil(google)
    with pytest.raises(auth_errors.GoogleAuthError) as caught:
        credentials.refresh(Request())
    assert text in str(caught.value)


@pytest.mark.parametrize(("begun", "seconds"), [(-7200, 3600), (7200, 3600), (0, 7200)])
def test_a_claim_must_fit_the_clock(google: Google, begun: int, seconds: int) -> None:
    """Not be of the past or the future, nor hold for longer than an hour."""
    info = json.loads(google.key.read_text())
    signer = crypt.RSASigner.from_service_account_info(info)  # type: ignore[no-untyped-call]
    now = int(time.time()) + begun
    claims = {
        "iss": google.account,
        "aud": info["token_uri"],
        "scope": CLOUD_PLATFORM,
        "iat": now,
        "exp": now + seconds,
    }
    assertion = jwt.encode(signer, claims).decode()  # type: ignore[no-untyped-call]
    response = Request()(
        info["token_uri"],
        method="POST",
        body=f"grant_type={JWT_BEARER}&assertion={assertion}".encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert response.status == 400
    assert json.loads(response.data) == {
        "error": "invalid_grant",
        "error_description": "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
        "timeframe. Check your iat and exp values in the JWT claim.",
    }


def test_tokens_last_as_long_as_is_wished(google: Google, tmp_path: Path) -> None:
    """What is over is known by nobody any more."""
    google.state.token_seconds = 0.001
    credentials = key(google, tmp_path)
    credentials.refresh(Request())
    with pytest.raises(Exception, match="invalid authentication credentials") as caught:
        Clients(google.api_port, credentials.token).projects.get_project(name=PROJECT, timeout=5)
    assert getattr(caught.value, "reason", "") == "ACCESS_TOKEN_EXPIRED"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        asked(google, f"/tokeninfo?access_token={credentials.token}")
