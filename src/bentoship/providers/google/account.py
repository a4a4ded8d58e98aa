"""The Google account to use, from the credentials that Google's own tools would find, in the same order."""

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
from bentoship.settings.environment import names_a_file
from bentoship.stores.http import Http
from bentoship.system import process

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
_DOING = "Log in to Google Cloud"
_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_SAVE_KEY = f"Write the key to a file outside of the repository, and set {_FILE} to its path. It is not shown here."
TIMEOUT = 20.0
"""Seconds within which a token server has to respond."""

_GCLOUD_TIMEOUT = 30.0
_GCLOUD_LIFETIME = 60.0
"""Seconds for which a token from gcloud is reused; gcloud does not say when it expires, and renews it by itself."""


class Account:
    """The account used with Google.

    Args:
        http: connections to Google's token servers.
        project: the id of the project that is asked about; may be empty.

    Raises: CloudError, with how to get credentials, when none are found.
    """

    def __init__(self, http: Http, project: str) -> None:
        # Otherwise google-auth asks gcloud or Resource Manager for it at each start.
        process.preset("GOOGLE_CLOUD_PROJECT", project)
        # It warns of key files without a project, which do not matter here: the settings name the project.
        logging.getLogger("google.auth").setLevel(logging.ERROR)
        self._request = _Transport(http)
        self._gcloud_token, self._until = "", 0.0
        if (value := _file_setting()) and not names_a_file(value):
            raise CloudError(_DOING, f"{_FILE} holds a secret itself, but has to name a file that holds it", _SAVE_KEY)
        self.name = ""
        """The account's email address, or another description when that is unknown."""
        try:
            self._credentials: Any = google.auth.default(scopes=_SCOPES, request=self._request)[0]
        except DefaultCredentialsError as error:
            if "not found. To set up" not in str(error):  # there are credentials, but unusable ones
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
        """Return where the credentials were found, for display."""
        if self._credentials is None:
            return "gcloud auth print-access-token"
        if "compute_engine" in self._kind:
            return "the metadata server of this machine"
        file = _file_setting()
        place = f"{_FILE}, {file}" if file else "gcloud auth application-default login"
        return f"workload identity federation, {place}" if self._federated else place

    @property
    def login(self) -> str:
        """Return a sentence on how to log in again."""
        if self._credentials is None:
            return "Log in again: gcloud auth login"
        if "compute_engine" in self._kind:
            return "They come from this machine: give it a service account with the scope cloud-platform."
        if self._federated:
            return "Run the job again: its identity token is valid for only a few minutes."
        if "service_account" in self._kind:
            return f"Create a new key: gcloud iam service-accounts keys create key.json --iam-account={self.name}"
        return "Log in again: gcloud auth application-default login"

    @property
    def _kind(self) -> str:
        return type(self._credentials).__module__

    @property
    def _federated(self) -> bool:
        """Return whether another identity provider, such as GitHub, vouches for the account."""
        return any(kind in self._kind for kind in ("external_account", "identity_pool", "google.auth.aws", "pluggable"))

    def token(self) -> str:
        """Return an access token that is valid for at least a few minutes. Raises CloudError."""
        if self._credentials is None:
            if time.monotonic() >= self._until:
                self._gcloud_token, self._until = _from_gcloud(), time.monotonic() + _GCLOUD_LIFETIME
            return self._gcloud_token
        try:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)
        except GoogleAuthError as error:
            # Finding out the account's name may need a token itself.
            name = self.name or str(getattr(self._credentials, "service_account_email", None) or "")
            raise login_error(_DOING, error, Caller("", name, self.login)) from error
        return str(self._credentials.token)

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers for an API call. Raises CloudError."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return {**headers, "x-goog-user-project": self.payer} if self.payer else headers

    @property
    def payer(self) -> str:
        """Return the quota project that the credentials name; empty for none."""
        return str(getattr(self._credentials, "quota_project_id", None) or "")

    def _use_given_address(self) -> None:
        """Use the token server that the credentials file names, which google-auth ignores for user credentials."""
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
        if email == "default":  # the metadata server gives the name along with a token
            self.token()
            email = self._credentials.service_account_email
        email = email or getattr(self._credentials, "account", "")
        if not email and self._credentials is None:
            email = _gcloud("config", "get-value", "account").stdout.strip()
        if not email and not self._federated:  # a federated identity has no email address
            email = self._email_of_token()
        if email:
            return str(email)
        audience = (getattr(self._credentials, "info", None) or {}).get("audience", "")
        return f"a member of {audience}" if audience else "an account of unknown name"

    def _email_of_token(self) -> str:
        """Return the email address of the token's account; empty when Google does not say."""
        server = getattr(self._credentials, "token_uri", None) or "https://oauth2.googleapis.com/token"
        try:
            query = urlencode({"access_token": self.token()})
            answer = self._request(f"{urljoin(server, '/tokeninfo')}?{query}")
            return str(json.loads(answer.data).get("email", "")) if answer.status == HTTPStatus.OK else ""
        except (GoogleAuthError, ValueError, AttributeError):
            return ""


class _Transport(Request):
    """A transport for google-auth with the proxies and certificates used everywhere else here."""

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
        """Send a request and return the response. Raises TransportError."""
        try:
            return self._http.exchange(_DOING, method, url, headers or {}, body, timeout or TIMEOUT)
        except RegistryError as error:
            raise TransportError(error) from error  # type: ignore[no-untyped-call]  # google-auth has no types


def _file_setting() -> str:
    """Return the credentials file that the environment names; empty for none."""
    return process.environment(names=[_FILE]).get(_FILE, "")


def _from_gcloud() -> str:
    """Return the token of the account that is logged in to gcloud. Raises CloudError."""
    try:
        done = _gcloud("auth", "print-access-token")
    except ProcessError as error:
        if "No such file" in error.why:
            why = "no credentials were found: no key file, no login, no metadata server, no gcloud"
            raise CloudError(_DOING, why, LOGIN) from error
        raise CloudError(_DOING, f"gcloud auth print-access-token: {error.why}", LOGIN) from error
    if done.code:
        why = f"no credentials were found: no key file, no metadata server, and gcloud says: {_first_complaint(done)}"
        key = f"set {_FILE} to a service account's key file"
        raise CloudError(_DOING, why, f"Log in: gcloud auth login; or {key}.")
    return done.stdout.strip()


def _gcloud(*args: str) -> process.Completed:
    """Run gcloud. Raises ProcessError when it is missing or does not end in time."""
    return process.run(
        ["gcloud", *args],
        env=process.environment(prefixes=("CLOUDSDK_", "GOOGLE_")),
        check=False,
        timeout=_GCLOUD_TIMEOUT,
    )


def _first_complaint(done: process.Completed) -> str:
    """Return gcloud's error message; what follows its first line is advice for other cases, too."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    first = next((line for line in lines if line.startswith("ERROR:")), next(iter(lines), f"exit code {done.code}"))
    return re.sub(r"^ERROR: (\([\w.-]+\) )?", "", first)
