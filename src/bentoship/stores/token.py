"""Logging in to a registry: Basic, or tokens from its token server (distribution spec, "Token Authentication")."""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3

from bentoship.errors import RegistryError
from bentoship.image.document import parse_json
from bentoship.stores.answers import TEMPORARY, refusal
from bentoship.stores.bodies import finish
from bentoship.stores.credentials import Credentials, is_sendable
from bentoship.stores.failures import no_answer
from bentoship.stores.http import Http
from bentoship.system.network import Network, is_loopback, origin, redacted
from bentoship.system.values import dataclass

_LIFETIME = 60.0
"""Seconds for which a token is valid when its server does not say (distribution spec, "Token Response Fields")."""

_SPENT = 0.8
"""The fraction of its lifetime after which a token is renewed, so that none expires during a request."""

_NO_OAUTH = frozenset({400, 401, 404, 405})
"""Statuses of token servers without OAuth2, such as older ones of Azure, Google and JFrog; they take Basic instead."""

_PARAMETER = r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))'


@dataclass(frozen=True)
class Challenge:
    """The kind of authentication that a registry requires.

    Args:
        scheme: "basic", "bearer", or empty for none.
        realm: the token server's URL.
        service: the registry's name at the token server.
        scope: the rights that the request needs, in the registry's words; empty when it names none.
    """

    scheme: str = ""
    realm: str = ""
    service: str = ""
    scope: str = ""

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Parse a WWW-Authenticate header, which may list several challenges (RFC 9110, 11.6.1); prefer bearer."""
        for scheme in ("bearer", "basic"):
            found = re.search(rf"(?i)(?:^|[\s,]){scheme}\s+((?:{_PARAMETER}[\s,]*)+)", header)
            if found:
                pairs = re.finditer(_PARAMETER, found[1])
                values = {m[1].lower(): m[3] or re.sub(r"\\(.)", r"\1", m[2] or "") for m in pairs}
                return cls(scheme, values.get("realm", ""), values.get("service", ""), values.get("scope", ""))
        return cls("basic") if re.search(r"(?i)\bbasic\b", header) else cls()


Account = Credentials | Callable[[], Credentials | None] | None


class Login:
    """The source of Authorization headers for requests to one registry; safe to share between threads.

    Args:
        http: the connections to use.
        base: the registry's URL, "https://HOST".
        host: the registry's host, for display.
        credentials: returns the account to log in with; called at each login, since some are valid for only an hour.
    """

    def __init__(self, http: Http, base: str, host: str, credentials: Callable[[], Credentials | None]) -> None:
        self._http = http
        self._base = base
        self._host = host
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._headers: dict[str, tuple[str | None, float]] = {}
        self._named: dict[str, str] = {}
        self._lock = threading.Lock()
        self.asking: Credentials | None = None
        """The account of the last login; None when anonymous."""

    def header(self, scope: str) -> str | None:
        """Return the header for a scope ("repository:NAME:pull,push"); None when no login is required.

        Raises: RegistryError when the registry cannot be reached, is not a registry, or denies the login.
        """
        with self._lock:
            if self._challenge is None:
                self._challenge = self._http.persist(self._ping)
            header, until = self._headers.get(scope, (None, 0.0))
            if time.monotonic() >= until:
                header, until = self._new_header(self._challenge, scope)
                self._headers[scope] = header, until
            return header

    def renew(self, scope: str, refused: str | None, challenge: str) -> str | None:
        """Return a new header after a request was refused with 401.

        Args:
            scope: the scope of the refused header.
            refused: the refused header; another thread may have renewed it meanwhile.
            challenge: the WWW-Authenticate header of the response.
        """
        with self._lock:
            asked = Challenge.parse(challenge)
            if asked.scheme:
                self._challenge = asked
                # A registry may call a repository otherwise than its clients do, by its tenant for example.
                self._named[scope] = _wider(self._named.get(scope, ""), asked.scope)
            if self._headers.get(scope, (None, 0.0))[0] == refused:
                self._headers.pop(scope, None)
        return self.header(scope)

    def _ping(self) -> Challenge:
        """Return the challenge of GET /v2/, which also shows whether this is a registry. Raises RegistryError."""
        doing = f"Reach the registry {self._host}"
        response = self._http.request(doing, "GET", f"{self._base}/v2/", {})
        # For others, the request to the repository will give a better reason.
        if response.status in TEMPORARY:
            raise refusal(doing, self._host, response, None)
        finish(response)
        if response.status == 404:
            # Without the status, which says of anything in a registry that it is not there.
            raise RegistryError(doing, f"{self._host} is not a registry (HTTP 404 at /v2/)", "Check the host name.")
        return Challenge.parse(response.headers.get("WWW-Authenticate", "") if response.status == 401 else "")

    def _new_header(self, challenge: Challenge, scope: str) -> tuple[str | None, float]:
        """Return a header and the monotonic time until which to use it."""
        credentials = self._credentials() if challenge.scheme else None
        self.asking = credentials
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}", math.inf
        if challenge.scheme == "bearer":
            asked = _wider(scope, self._named.get(scope, ""))
            return self._http.persist(lambda: self._token(challenge, asked, credentials))
        return _basic(credentials), math.inf

    def _token(self, challenge: Challenge, scope: str, credentials: Credentials | None) -> tuple[str, float]:
        doing = f"Log in to {self._host}"
        if not challenge.realm:
            why = f"{self._host} asks for a token but names no token server"
            raise RegistryError(doing, why, "Tell the registry's administrator.")
        try:
            realm = urljoin(f"{self._base}/v2/", challenge.realm)
            origin(realm)
        except ValueError as error:
            raise RegistryError(doing, f"{self._host} names a token server by an invalid URL ({error})") from error
        if credentials:
            self._check_realm(doing, realm)
        service = {"service": challenge.service} if challenge.service else {}
        if credentials and credentials.identity_token:
            # "Docker Registry v2 authentication using OAuth2" in the same spec.
            grant = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "scope": scope}
            body = urlencode({**grant, **service, "client_id": "bentoship"}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = self._http.request(doing, "POST", realm, headers, body)
            if response.status not in _NO_OAUTH:
                return self._parsed(doing, realm, response)
            finish(response)
            credentials = replace(credentials, password=credentials.identity_token)
        query = urlencode([*service.items(), *(("scope", part) for part in scope.split())])
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        basic = _basic(credentials)
        response = self._http.request(doing, "GET", url, {"Authorization": basic} if basic else {})
        return self._parsed(doing, realm, response)

    def _parsed(self, doing: str, realm: str, response: urllib3.BaseHTTPResponse) -> tuple[str, float]:
        """Return the header and its end from a token server's response. Raises RegistryError."""
        if response.status != 200:
            raise refusal(doing, self._host, response, self.asking)
        try:
            document = parse_json(response.read(1 << 20))
            token = document.get("token") or document["access_token"]
            if not is_sendable(token):
                raise ValueError("not a text that a header may have")
        except urllib3.exceptions.HTTPError as error:
            raise no_answer(doing, realm, error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError(doing, "the token server's response holds no token") from error
        finally:
            finish(response)
        return f"Bearer {token}", time.monotonic() + _lifetime(document.get("expires_in")) * _SPENT

    def _check_realm(self, doing: str, realm: str) -> None:
        """Raise RegistryError if a password would be sent unencrypted, unless the registry itself is unencrypted."""
        parts = urlsplit(realm)
        if parts.scheme != "https" and not is_loopback(parts.netloc) and origin(realm) != origin(self._base):
            raise RegistryError(
                doing,
                f"its token server {redacted(realm)} is not encrypted",
                "The registry has to name a token server with an https:// URL.",
            )


class Session:
    """The connections of a run, and one login for each registry and account.

    Args:
        network: the proxies and certificates to use.
        patience: the seconds in which nothing may move before a failure is final; 0 to try everything once.
        tell: receives a sentence when something has to be waited for.
    """

    def __init__(
        self, network: Network | None = None, *, patience: float = 0.0, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.http = Http(network or Network(), patience, tell)
        self._logins: dict[tuple[str, Account], Login] = {}

    def login(self, base: str, host: str, account: Account) -> Login:
        """Return the login to a registry, the same one each time.

        Args:
            base: the registry's URL, "https://HOST".
            host: the registry's host, for display.
            account: the account to log in with, or a function called at each login; None for anonymous.
        """
        find = account if callable(account) else lambda: account
        return self._logins.setdefault((base, account), Login(self.http, base, host, find))


def _basic(credentials: Credentials | None) -> str | None:
    if not credentials:
        return None
    return "Basic " + base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()


def _lifetime(expires_in: Any) -> float:
    """Return the seconds for which a token is valid, by the `expires_in` of its server, which may be of any form."""
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return _LIFETIME
    return seconds if 0 < seconds < math.inf else _LIFETIME


def _wider(scope: str, named: str) -> str:
    """Return a scope with what another one names beyond it (distribution spec, "Token Scope Documentation")."""
    has = {
        resource: set(actions.split(",")) for resource, _, actions in (part.rpartition(":") for part in scope.split())
    }
    more = (
        part
        for part in named.split()
        if not set(part.rpartition(":")[2].split(",")) <= has.get(part.rpartition(":")[0], set())
    )
    return " ".join(filter(None, [scope, *more]))
