"""As whom Google is asked: the credentials that there are, in the order in which Google's own tools look for them."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.auth.transport.requests import Request

from bentoship import process
from bentoship.errors import CloudError, ProcessError
from bentoship.process import Network
from bentoship.providers.google.failures import LOGIN, Asked, explained

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_DOING = "Log in to Google Cloud"
_TIMEOUT = 10.0
_GCLOUD_LIFETIME = 60.0
"""Seconds for which a token of gcloud's is used; it says not how long one holds, and asks for a new one by itself."""


class Account:
    """Who we are to Google.

    Args:
        network: proxies and certificates.

    Raises: CloudError when there are no credentials at all, telling how to get some.
    """

    def __init__(self, network: Network) -> None:
        # What it warns of (no project in a key file) is no trouble here, where the settings name the project.
        logging.getLogger("google.auth").setLevel(logging.ERROR)
        session = requests.Session()
        if bundle := network.ca_file or network.ca_folder:
            session.verify = bundle
        self._session = session
        self._request = Request(session)
        self._gcloud_token, self._until = "", 0.0
        try:
            self._credentials: Any = google.auth.default(scopes=_SCOPES, request=self._request)[0]
        except DefaultCredentialsError as error:
            if "not found. To set up" not in str(error):  # it is there, and cannot be used
                raise CloudError(_DOING, str(error), LOGIN) from error
            self._credentials = None
            self.token()
        except GoogleAuthError as error:
            raise explained(_DOING, error, Asked("", "")) from error
        else:
            self._use_given_address()
        self.name = self._name()
        """Its email address, or what is known instead."""

    @property
    def source(self) -> str:
        """Where it was found, for people."""
        if self._credentials is None:
            return "gcloud auth print-access-token"
        kind = type(self._credentials).__module__
        named = process.environment(names=["GOOGLE_APPLICATION_CREDENTIALS"]).get("GOOGLE_APPLICATION_CREDENTIALS")
        if "compute_engine" in kind:
            return "the metadata server of this machine"
        where = f"GOOGLE_APPLICATION_CREDENTIALS, {named}" if named else "gcloud auth application-default login"
        federated = "external_account" in kind or "identity_pool" in kind
        return f"workload identity federation, {where}" if federated else where

    def token(self) -> str:
        """An access token that holds for some minutes at least. Raises CloudError."""
        if self._credentials is None:
            if time.monotonic() >= self._until:
                self._gcloud_token, self._until = _from_gcloud(), time.monotonic() + _GCLOUD_LIFETIME
            return self._gcloud_token
        try:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
        except GoogleAuthError as error:
            # Its name may take a token to learn.
            raise explained(_DOING, error, Asked("", getattr(self, "name", ""))) from error
        return str(self._credentials.token)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The headers of a call to an API. Raises CloudError."""
        headers = [("authorization", f"Bearer {self.token()}")]
        payer = getattr(self._credentials, "quota_project_id", None)
        return (*headers, ("x-goog-user-project", payer)) if payer else tuple(headers)

    def _use_given_address(self) -> None:
        """Ask where the file says, which google-auth does not do for people's own credentials."""
        file = getattr(self._credentials, "_credentials_file_path", None) or process.environment(
            names=["GOOGLE_APPLICATION_CREDENTIALS"]
        ).get("GOOGLE_APPLICATION_CREDENTIALS")
        if file and hasattr(self._credentials, "with_token_uri"):
            try:
                address = json.loads(Path(file).read_text("utf-8")).get("token_uri")
            except (OSError, ValueError, AttributeError):
                return
            if address:
                self._credentials = self._credentials.with_token_uri(address)

    def _name(self) -> str:
        email = getattr(self._credentials, "service_account_email", None)
        if email == "default":  # the metadata server names it along with a token
            self.token()
            email = self._credentials.service_account_email
        email = email or getattr(self._credentials, "account", "")
        if not email and self._credentials is None:
            email = _gcloud("config", "get-value", "account", quiet=True)
        if not email:
            email = self._told_by_google()
        if email:
            return str(email)
        audience = (getattr(self._credentials, "info", None) or {}).get("audience", "")
        return f"a member of {audience}" if audience else "an account whose name Google does not tell"

    def _told_by_google(self) -> str:
        """Whose a token is; empty when nobody says."""
        server = getattr(self._credentials, "token_uri", None) or "https://oauth2.googleapis.com/token"
        try:
            asked = {"access_token": self.token()}
            answer = self._session.get(urljoin(server, "/tokeninfo"), params=asked, timeout=_TIMEOUT)
            return str(answer.json().get("email", "")) if answer.ok else ""
        except (requests.RequestException, ValueError, AttributeError):
            return ""


def _from_gcloud() -> str:
    """The token of who is logged in to gcloud. Raises CloudError."""
    try:
        return _gcloud("auth", "print-access-token")
    except ProcessError as error:
        if "gcloud" in error.doing and "No such file" in error.why:
            why = "no credentials were found: no key file, no login, no metadata server, no gcloud"
            raise CloudError(_DOING, why, LOGIN) from error
        raise CloudError(_DOING, error.why, "Log in: gcloud auth login") from error


def _gcloud(*args: str, quiet: bool = False) -> str:
    env = process.environment(prefixes=("CLOUDSDK_", "GOOGLE_"))
    try:
        return process.run(["gcloud", *args], env=env).stdout.strip()
    except ProcessError:
        if quiet:
            return ""
        raise
