"""Requests to one repository of a registry: where it is, the account, redirects, and what failed in its own words."""

import copy
from collections.abc import Collection, Mapping
from functools import partial
from urllib.parse import urljoin

import urllib3

from bentoship.errors import RegistryError
from bentoship.image.reference import DOCKER_HUB, ImageReference
from bentoship.stores import Reader
from bentoship.stores.answers import TEMPORARY, refusal
from bentoship.stores.bodies import finish
from bentoship.stores.failures import no_answer
from bentoship.stores.http import BLOCK
from bentoship.stores.locations import followed
from bentoship.stores.token import Account, Session
from bentoship.system.network import is_loopback, origin

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5


class Client:
    """Sends requests to one repository, logged in; safe to share between threads.

    Args:
        repository: the registry's host and path; tag and digest are ignored.
        credentials: the account to log in with, or a function called at each login; None for anonymous.
        push: whether anything will be pushed; it decides which permissions are requested.
        plain_http: whether to use HTTP without TLS; None to do so for loopback only.
        session: the connections and logins to use; a new session when None.
    """

    def __init__(
        self,
        repository: ImageReference,
        credentials: Account,
        *,
        push: bool,
        plain_http: bool | None,
        session: Session | None,
    ) -> None:
        self.repository = repository.repository
        self.path = repository.path
        self.host = repository.host
        # Docker Hub's registry has another host name than its images.
        host = "registry-1.docker.io" if repository.host == DOCKER_HUB else repository.host
        self.plain_http = is_loopback(host) if plain_http is None else plain_http
        """Whether HTTP is used without TLS."""
        self.base = f"{'http' if self.plain_http else 'https'}://{host}"
        """The URL of the registry, without a path."""
        self.scope = scope(self.path, "pull,push" if push else "pull")
        """The permissions that are requested of a token server."""
        session = session or Session()
        self.http = session.http
        self._login = session.login(self.base, self.host, credentials)

    def with_scope(self, scope: str) -> "Client":
        """Return the same client, which requests other permissions."""
        other = copy.copy(self)
        other.scope = scope
        return other

    def reach(self) -> None:
        """Log in as far as possible without naming a repository, to find out early what would stop a push.

        Raises: RegistryError when the registry cannot be reached, or refuses the account.
        """
        header = self._login.header("")
        if header and header.startswith("Basic "):  # a token server has already checked the account
            doing = f"Log in to {self.host}"
            headers = {"Authorization": header}

            def attempt() -> urllib3.BaseHTTPResponse:
                response = self.http.request(doing, "GET", f"{self.base}/v2/", headers)
                if response.status == 401 or response.status in TEMPORARY:
                    raise refusal(doing, self.host, response, self._login.asking)
                return response

            finish(self.http.persist(attempt))

    def call(
        self,
        doing: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None = None,
        *,
        expect: Collection[int],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request to the registry, logged in, and follow redirects; again after temporary errors.

        Args:
            doing: what is being done, for errors.
            method: the HTTP method.
            path: a URL, or its part after the host.
            headers: the headers to send.
            body: the body to send; a stream is sent only once, and redirects are left to the caller.
            expect: the statuses that are not errors.

        Raises: RegistryError when there is no response, or one with another status.
        """
        send = partial(self._send, doing, method, path, headers, body, expect)
        return send() if is_stream(body) else self.http.persist(send)

    def _send(
        self,
        doing: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None,
        expect: Collection[int],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once. Args, returns, raises: as for `call`."""
        url = urljoin(self.base, path)
        authorization = self._login.header(self.scope)
        again = not is_stream(body)
        renewed = False
        for _ in range(MAX_REDIRECTS + 2):
            ours = url.startswith(f"{self.base}/") or origin(url) == origin(self.base)
            sent = {**headers, "Authorization": authorization} if authorization and ours else headers
            response = self.http.request(doing, method, url, sent, body)
            if response.status == 401 and ours and not renewed:
                refused, renewed = authorization, True
                authorization = self._login.renew(self.scope, refused, response.headers.get("WWW-Authenticate", ""))
                if not again:
                    # The token expired after the upload began; another attempt gets a new one.
                    error = refusal(doing, self.host, response, self._login.asking)
                    error.temporary = authorization != refused
                    raise error
            elif again and response.status in REDIRECTS and "Location" in response.headers:
                url = self.location(doing, response)
            elif response.status in expect:
                return response
            else:
                break
            finish(response)
        raise refusal(doing, self.host, response, self._login.asking)

    def location(self, doing: str, response: urllib3.BaseHTTPResponse) -> str:
        """Return the URL that a response leads to. Raises RegistryError when there is none, or it is not safe."""
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(doing, f"{self.host} named no location to upload to")
        # Relative to what was asked last, which may be another host than ours (RFC 9110, 10.2.2).
        asked = response.url or self.base
        return followed(doing, self.base, asked, location, proxied=lambda url: self.http.proxy(url) is not None)


class Body:
    """A response's body, which raises RegistryError when it cannot be read."""

    def __init__(self, response: urllib3.BaseHTTPResponse, doing: str, url: str) -> None:
        self._response = response
        self._doing = doing
        self._url = url

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size`; with -1 all that follow. Raises RegistryError."""
        try:
            return self._response.read(size if size >= 0 else None)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self._doing, self._url, error) from error

    def whole(self, most: int) -> bytes:
        """Return all bytes, or more than `most` of a longer body. Raises RegistryError, also when it breaks off."""
        pieces, count = [], 0
        # To the very end: only there urllib3 notices that something is missing.
        while count <= most and (piece := self.read(most + 1 - count)):
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Read some bytes and drop them."""
        while count > 0 and (piece := self.read(min(count, BLOCK))):
            count -= len(piece)

    def close(self) -> None:
        """End the connection unless the body was read to its end."""
        self._response.close()


def is_stream(body: bytes | Reader | None) -> bool:
    """Return whether a body can be read, and so sent, only once."""
    return body is not None and not isinstance(body, bytes)


def scope(path: str, actions: str) -> str:
    """Return the scope of a token server. Args: path: the repository's; actions: such as "pull,push"."""
    return f"repository:{path}:{actions}"
