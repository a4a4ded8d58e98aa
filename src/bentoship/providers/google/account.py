"""As whom Google is asked: by the credentials that Google's own tools would find, in their order."""

import json
import logging
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import google.auth
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport import Request

from bentoship.errors import CloudError, ProcessError, RegistryError
from bentoship.providers.google.failures import LOGIN, Caller, login_error
from bentoship.stores.http import Http
from bentoship.system import process

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_DOING = "Log in to Google Cloud"
TIMEOUT = 20.0
"""Seconds that a token server may take."""

_GCLOUD_TIMEOUT = 30.0
_GCLOUD_LIFETIME = 60.0
"""Seconds for which a token of gcloud's is used; it says not how long one holds, and asks for a new one by itself."""


class Account:
    """Who we are to Google.

    Args:
        http: connections to Google's token servers.
        project: the id of the project that is asked about; may be empty.

    Raises: CloudError when there are no credentials at all, telling how to get some.
    """

    def __init__(self, http: Http, project: str) -> None:
        # Else google-auth would ask gcloud or Resource Manager for it, at each start.
        process.preset("GOOGLE_CLOUD_PROJECT", project)
        # What it warns of (no project in a key file) is no trouble here, where the settings name the project.
        logging.getLogger("google.auth").setLevel(logging.ERROR)
        self._request = _Transport(http)
        self._gcloud_token, self._until = "", 0.0
        self.name = ""
        """Its email address, or what is known instead."""
        try:
            self._credentials: Any = google.auth.default(scopes=_SCOPES, request=self._request)[0]
        except DefaultCredentialsError as error:
            if "not found. To set up" not in str(error):  # it is there, and cannot be used
                raise CloudError(_DOING, str(error.args[0]), LOGIN) from error
            self._credentials = None
            self.token()
        except OSError as error:  # a file that cannot be read
            raise CloudError(_DOING, f"{error.filename}: {error.strerror}", LOGIN) from error
        except GoogleAuthError as error:
            raise login_error(_DOING, error, Caller("", "")) from error
        else:
            self._use_given_address()
        self.name = self._name()

    @property
    def source(self) -> str:
        """Where it was found, for people."""
        if self._credentials is None:
            return "gcloud auth print-access-token"
        if "compute_engine" in self._kind:
            return "the metadata server of this machine"
        file = _file_setting()
        place = f"GOOGLE_APPLICATION_CREDENTIALS, {file}" if file else "gcloud auth application-default login"
        return f"workload identity federation, {place}" if self._federated else place

    @property
    def login(self) -> str:
        """How it logs in again, as a sentence."""
        if self._credentials is None:
            return "Log in again: gcloud auth login"
        if "compute_engine" in self._kind:
            return "They are those of this machine: give it a service account with the scope cloud-platform."
        if self._federated:
            return "Run the job again: what says who it is holds for minutes only."
        if "service_account" in self._kind:
            return f"Make a new key: gcloud iam service-accounts keys create key.json --iam-account={self.name}"
        return "Log in again: gcloud auth application-default login"

    @property
    def _kind(self) -> str:
        return type(self._credentials).__module__

    @property
    def _federated(self) -> bool:
        """Whether another's word is taken for who we are, such as GitHub's."""
        return any(kind in self._kind for kind in ("external_account", "identity_pool", "google.auth.aws", "pluggable"))

    def token(self) -> str:
        """Return an access token that holds for some minutes at least. Raises CloudError."""
        if self._credentials is None:
            if time.monotonic() >= self._until:
                self._gcloud_token, self._until = _from_gcloud(), time.monotonic() + _GCLOUD_LIFETIME
            return self._gcloud_token
        try:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
        except GoogleAuthError as error:
            # Its name may take a token to learn.
            name = self.name or str(getattr(self._credentials, "service_account_email", None) or "")
            raise login_error(_DOING, error, Caller("", name, self.login)) from error
        return str(self._credentials.token)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a call to an API. Raises CloudError."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return {**headers, "x-goog-user-project": self.payer} if self.payer else headers

    @property
    def payer(self) -> str:
        """The project that calls are counted for, where the credentials name one."""
        return str(getattr(self._credentials, "quota_project_id", None) or "")

    def _use_given_address(self) -> None:
        """Ask for tokens where the file says, which google-auth does not do for people's own credentials."""
        file = getattr(self._credentials, "_credentials_file_path", None) or _file_setting()
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
            email = _gcloud("config", "get-value", "account").stdout.strip()
        if not email and not self._federated:  # who comes by another's word has no address
            email = self._email_of_token()
        if email:
            return str(email)
        audience = (getattr(self._credentials, "info", None) or {}).get("audience", "")
        return f"a member of {audience}" if audience else "an account whose name Google does not tell"

    def _email_of_token(self) -> str:
        """Return the address of the account that a token is of; empty when Google does not tell."""
        server = getattr(self._credentials, "token_uri", None) or "https://oauth2.googleapis.com/token"
        try:
            query = urlencode({"access_token": self.token()})
            answer = self._request(f"{urljoin(server, '/tokeninfo')}?{query}")
            return str(json.loads(answer.data).get("email", "")) if answer.status == HTTPStatus.OK else ""
        except (GoogleAuthError, ValueError, AttributeError):
            return ""


class _Transport(Request):
    """google-auth's requests, by the proxies and with the certificates that everything else here uses."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """Return the answer. Raises TransportError."""
        try:
            return self._http.exchange(_DOING, method, url, headers or {}, body, timeout or TIMEOUT)
        except RegistryError as error:
            raise TransportError(error) from error  # type: ignore[no-untyped-call]  # google-auth has no types


def _file_setting() -> str:
    """Return the file that is set to hold the credentials; empty when none is."""
    name = "GOOGLE_APPLICATION_CREDENTIALS"
    return process.environment(names=[name]).get(name, "")


def _from_gcloud() -> str:
    """Return the token of who is logged in to gcloud. Raises CloudError."""
    try:
        done = _gcloud("auth", "print-access-token")
    except ProcessError as error:
        if "No such file" in error.why:
            why = "no credentials were found: no key file, no login, no metadata server, no gcloud"
            raise CloudError(_DOING, why, LOGIN) from error
        raise CloudError(_DOING, f"gcloud auth print-access-token: {error.why}", LOGIN) from error
    if done.code:
        why = f"no credentials were found: no key file, no metadata server, and gcloud says: {_first_complaint(done)}"
        key = "set GOOGLE_APPLICATION_CREDENTIALS to the file with a service account's key"
        raise CloudError(_DOING, why, f"Log in: gcloud auth login; or {key}.")
    return done.stdout.strip()


def _gcloud(*args: str) -> process.Completed:
    """Run gcloud. Raises ProcessError when it is not there, or does not end."""
    return process.run(
        ["gcloud", *args],
        env=process.environment(prefixes=("CLOUDSDK_", "GOOGLE_")),
        check=False,
        timeout=_GCLOUD_TIMEOUT,
    )


def _first_complaint(done: process.Completed) -> str:
    """Return what gcloud has to say; what follows its first line is advice for other cases, too."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith("ERROR:")), next(iter(lines), f"exit code {done.code}"))
    return re.sub(r"^ERROR: (\([\w.-]+\) )?", "", first)
