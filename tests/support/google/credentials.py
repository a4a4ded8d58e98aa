"""Credential files as Google's tools write them, with the addresses of this stand-in in them."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from tests.support.google import keys
from tests.support.google.state import CLOUD_PLATFORM, EMAIL_SCOPE, State
from tests.support.google.tokens import OIDC_REQUEST_TOKEN, POOL, principal

USER_SCOPES = ("openid", EMAIL_SCOPE, CLOUD_PLATFORM)
"""What `gcloud auth application-default login` asks for."""


def service_account_key(state: State, path: Path, email: str, origin: str) -> Path:
    """A new key of a service account (`gcloud iam service-accounts keys create`).

    Args:
        state: learns of the key.
        path: to write.
        email: the account.
        origin: where tokens are given out.
    """
    private, public = keys.pair()
    number = uuid.uuid4().hex
    state.account(email).keys[number] = public
    key = {
        "type": "service_account",
        "project_id": email.partition("@")[2].partition(".")[0],
        "private_key_id": number,
        "private_key": private,
        "client_email": email,
        "client_id": "101234567890123456789",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": f"{origin}/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{email}",
        "universe_domain": "googleapis.com",
    }
    return _written(path, key)


def authorized_user(state: State, path: Path, email: str, origin: str, quota_project: str) -> Path:
    """What `gcloud auth application-default login` leaves.

    google-auth ignores token_uri here and asks oauth2.googleapis.com, unless told with Credentials.with_token_uri.
    """
    refresh = f"1//0{uuid.uuid4().hex}"
    state.account(email).refresh_tokens[refresh] = USER_SCOPES
    user = {
        "account": "",
        "client_id": "123456789012-client.apps.googleusercontent.com",
        "client_secret": "d-client-secret",
        "quota_project_id": quota_project,
        "refresh_token": refresh,
        "token_uri": f"{origin}/token",
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
    }
    return _written(path, user)


def external_account(state: State, path: Path, email: str, origin: str, number: int) -> Path:
    """What google-github-actions/auth writes: who the job is tells GitHub, and it becomes a service account.

    Args:
        state: learns that it may.
        path: to write.
        email: the service account; empty for none, then the job stays who it is.
        origin: where tokens are given out.
        number: of the project that knows GitHub.
    """
    audience = f"//iam.googleapis.com/projects/{number}/{POOL}"
    account = {
        "type": "external_account",
        "audience": audience,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{origin}/v1/token",
        "credential_source": {
            "url": f"{origin}/oidc?audience=https:{audience}",
            "headers": {"Authorization": f"bearer {OIDC_REQUEST_TOKEN}"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        },
        "universe_domain": "googleapis.com",
    }
    job = state.account(principal(number))
    if email:
        state.account(email)
        target = f"projects/-/serviceAccounts/{email}"
        job.allowed.add(("iam.serviceAccounts.getAccessToken", target))
        account["service_account_impersonation_url"] = f"{origin}/v1/{target}:generateAccessToken"
    return _written(path, account)


def _written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    path.chmod(0o600)
    return path
