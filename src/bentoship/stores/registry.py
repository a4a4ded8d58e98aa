"""A repository in a registry, over HTTP (OCI distribution spec)."""

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import urllib3

from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from bentoship.image.reference import DOCKER_HUB, ImageReference
from bentoship.stores import Advance, Reader
from bentoship.stores.answers import DOUBTS, TEMPORARY, refusal
from bentoship.stores.bodies import finish
from bentoship.stores.download import Download, Small
from bentoship.stores.graph import MAX_MANIFEST, is_manifest, media_type, read_manifest
from bentoship.stores.http import BLOCK, no_answer
from bentoship.stores.locations import followed
from bentoship.stores.token import Account, Session
from bentoship.stores.verified import Verified
from bentoship.system.network import is_loopback, origin

_MANIFESTS = MANIFEST_TYPES | INDEX_TYPES
_ACCEPT = ", ".join(sorted(_MANIFESTS))
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SIZE = re.compile(r"[1-9][0-9]{0,17}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_NO_HEAD = frozenset({400, 401, 403, 405, 500, 501})
"""Statuses after which GET may find what HEAD does not, or at least has a body with an explanation."""

_TAKEN = frozenset({200, 201, 202, 204})
"""Statuses with which registries take a blob or manifest; the spec has 201, and containerd takes all of these."""


class RegistryStore:
    """The blobs, manifests and tags of one repository; safe to share between threads.

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
        credentials: Account = None,
        *,
        push: bool = False,
        plain_http: bool | None = None,
        session: Session | None = None,
    ) -> None:
        self.repository = repository.repository
        self._path = repository.path
        self._host = repository.host
        # Docker Hub's registry has another host name than its images.
        host = "registry-1.docker.io" if repository.host == DOCKER_HUB else repository.host
        self.plain_http = is_loopback(host) if plain_http is None else plain_http
        """Whether HTTP is used without TLS."""
        self._base = f"{'http' if self.plain_http else 'https'}://{host}"
        self._scope = _scope(self._path, "pull,push" if push else "pull")
        session = session or Session()
        self._http = session.http
        self._login = session.login(self._base, self._host, credentials)
        self._moved: dict[str, str] = {}  # where an upload was redirected to, by the blob's digest

    @property
    def patience(self) -> float:
        """Return the seconds in which nothing may move before a failure is final."""
        return self._http.patience

    def reach(self) -> None:
        """Log in as far as possible without naming a repository, to find out early what would stop a push.

        Raises: RegistryError when the registry cannot be reached, or refuses the account.
        """
        header = self._login.header("")
        if header and header.startswith("Basic "):  # a token server has already checked the account
            doing = f"Log in to {self._host}"
            headers = {"Authorization": header}

            def attempt() -> urllib3.BaseHTTPResponse:
                response = self._http.request(doing, "GET", f"{self._base}/v2/", headers)
                if response.status == 401 or response.status in TEMPORARY:
                    raise refusal(doing, self._host, response, self._login.asking)
                return response

            finish(self._http.persist(attempt))

    def exists(self, descriptor: Descriptor) -> bool:
        """Return whether the registry has the content, by its length at least.

        Raises: RegistryError when it does not say.
        """
        headers = self._head(f"Look for {_short(descriptor)} in {self.repository}", self._content(descriptor))
        # A registry that has lost a blob may still answer for it, with the length of what is left.
        length = (headers or {}).get("Content-Length", "")
        return headers is not None and length in ("", str(descriptor.size))

    @contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[Reader]:
        """Open the content as a stream that checks digest and size at its end. Raises RegistryError or StoreError."""
        doing = f"Pull {_short(descriptor)} from {self.repository}"
        damaged = partial(RegistryError, temporary=True, retries=DOUBTS)

        def start() -> Download:
            return Download(partial(self._body, doing, descriptor), descriptor.size, self._http.persist)

        def check(content: Reader) -> Reader:
            return Verified(content, descriptor, doing, damaged)

        if descriptor.size <= MAX_MANIFEST:
            with closing(Small(start, check, self._http.persist)) as small:
                yield small
        else:
            with closing(start()) as download:
                yield check(download)

    def _body(self, doing: str, descriptor: Descriptor, offset: int) -> "_Body":
        """Return a response's body with the content from an offset on."""
        headers = {"Accept": _ACCEPT} if is_manifest(descriptor) else {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        expect = {200, 206} if offset else {200}
        response = self._call(doing, "GET", self._content(descriptor), headers, expect=expect)
        body = _Body(response, doing, self._base)
        if response.status == 200:  # a server need not support ranges
            body.skip(offset)
        return body

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        """Push a blob or manifest, completely or not at all. Raises StoreError, also when digest or size differ."""
        doing = f"Push {_short(descriptor)} to {self.repository}"
        if is_manifest(descriptor):
            self._put_manifest(doing, descriptor, content.read(MAX_MANIFEST + 1), descriptor.digest)
            advance(descriptor.size)
            return
        url = self._moved.pop(descriptor.digest, None) or self._begin_upload(doing, descriptor)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        body = _Counted(content, descriptor, doing, advance)
        response = self._call(doing, "PUT", url, headers, body, expect=_TAKEN | _REDIRECTS)
        finish(response)
        if response.status in _REDIRECTS:
            # The content can be read only once: the next attempt sends it to where this one was led.
            self._moved[descriptor.digest] = self._location(doing, response)
            why = f"{self._host} redirects the upload"
            raise RegistryError(doing, why, status=response.status, temporary=True, retries=_MAX_REDIRECTS)

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Mount a blob from another repository of the same registry, instead of sending it.

        Args:
            descriptor: the blob.
            from_path: the other repository's path.

        Returns: whether it was mounted; a registry may ignore the request, or deny reading the other repository.

        Raises: RegistryError when there is no response, or a temporary failure.
        """
        doing = f"Mount {_short(descriptor)} from {from_path} in {self.repository}"
        url = f"/v2/{self._path}/blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(from_path)}"
        both = copy.copy(self)
        both._scope = f"{self._scope} {_scope(from_path, 'pull')}"
        try:
            response = both._call(doing, "POST", url, {}, expect=_TAKEN)
        except RegistryError as error:
            if error.status is None or error.temporary:
                raise
            return False
        finish(response)
        return response.status == 201

    def resolve(self, name: str) -> Descriptor:
        """Return the descriptor of a tag or digest. Raises StoreError when there is none."""
        doing = f"Find {name} in {self.repository}"
        path = f"/v2/{self._path}/manifests/{name}"
        headers = self._head(doing, path) or {}
        kind, digest, size = (
            headers.get(key, "") for key in ("Content-Type", "Docker-Content-Digest", "Content-Length")
        )
        if kind in _MANIFESTS and _DIGEST.fullmatch(digest) and _SIZE.fullmatch(size):
            found = Descriptor(kind, digest, int(size))
        else:
            found = self._http.persist(lambda: self._read_to_resolve(doing, path))
        if name.startswith("sha256:") and found.digest != name:
            raise StoreError(doing, f"the registry returned {found.digest}")
        return found

    def _read_to_resolve(self, doing: str, path: str) -> Descriptor:
        """Return the descriptor of a manifest by reading it, for registries whose headers are incomplete."""
        with self._call(doing, "GET", path, {"Accept": _ACCEPT}, expect={200}) as response:
            content = _Body(response, doing, self._base).read(MAX_MANIFEST + 1)
        kind = media_type(content) if len(content) <= MAX_MANIFEST else None
        if kind not in _MANIFESTS:
            raise StoreError(doing, f"it is not an OCI image but {kind or 'something else'}")
        return Descriptor.of(kind, content)

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Point a tag at a manifest or index that the registry has. Raises RegistryError or StoreError."""
        doing = f"Tag {_short(descriptor)} as {self.repository}:{tag}"
        self._put_manifest(doing, descriptor, read_manifest(self, descriptor), tag)

    def interrupt(self) -> None:
        """Abort the requests of all other threads of this session with an error. It can be used again."""
        self._http.interrupt()

    def _content(self, descriptor: Descriptor) -> str:
        return f"/v2/{self._path}/{'manifests' if is_manifest(descriptor) else 'blobs'}/{descriptor.digest}"

    def _put_manifest(self, doing: str, descriptor: Descriptor, content: bytes, name: str) -> None:
        if Descriptor.of(descriptor.media_type, content) != descriptor:
            raise StoreError(doing, "its content does not match its digest and size")
        url, headers = f"/v2/{self._path}/manifests/{name}", {"Content-Type": descriptor.media_type}
        finish(self._call(doing, "PUT", url, headers, content, expect=_TAKEN))

    def _head(self, doing: str, path: str) -> Mapping[str, str] | None:
        """Return the headers of a HEAD request; None when there is no such content."""
        headers = {"Accept": _ACCEPT}
        response = self._call(doing, "HEAD", path, headers, expect={200, 404} | _NO_HEAD)
        finish(response)
        if response.status in _NO_HEAD:
            response = self._call(doing, "GET", path, headers, expect={200, 404})
            response.close()
        return response.headers if response.status == 200 else None

    def _begin_upload(self, doing: str, descriptor: Descriptor) -> str:
        """Begin to upload a blob. Returns: where to send it, the registry's Location with the digest added."""
        started = self._call(doing, "POST", f"/v2/{self._path}/blobs/uploads/", {}, expect=_TAKEN)
        finish(started)
        parts = urlsplit(self._location(doing, started))
        query = [part for part in parts.query.split("&") if part and not part.startswith("digest=")]
        return urlunsplit(parts._replace(query="&".join([*query, f"digest={quote(descriptor.digest)}"])))

    def _location(self, doing: str, response: urllib3.BaseHTTPResponse) -> str:
        """Return the URL that a response leads to. Raises RegistryError when there is none, or it is not safe."""
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(doing, f"{self._host} named no location to upload to")
        # Relative to what was asked last, which may be another host than ours (RFC 9110, 10.2.2).
        asked = response.url or self._base
        return followed(doing, self._base, asked, location, proxied=lambda url: self._http.proxy(url) is not None)

    def _call(
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
        return send() if _is_stream(body) else self._http.persist(send)

    def _send(
        self,
        doing: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None,
        expect: Collection[int],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request once. Args, returns, raises: as for `_call`."""
        url = urljoin(self._base, path)
        authorization = self._login.header(self._scope)
        again = not _is_stream(body)
        renewed = False
        for _ in range(_MAX_REDIRECTS + 2):
            ours = origin(url) == origin(self._base)
            sent = {**headers, "Authorization": authorization} if authorization and ours else headers
            response = self._http.request(doing, method, url, sent, body)
            if response.status == 401 and ours and not renewed:
                refused, renewed = authorization, True
                authorization = self._login.renew(self._scope, refused, response.headers.get("WWW-Authenticate", ""))
                if not again:
                    # The token expired after the upload began; another attempt gets a new one.
                    error = refusal(doing, self._host, response, self._login.asking)
                    error.temporary = authorization != refused
                    raise error
            elif again and response.status in _REDIRECTS and "Location" in response.headers:
                url = self._location(doing, response)
            elif response.status in expect:
                return response
            else:
                break
            finish(response)
        raise refusal(doing, self._host, response, self._login.asking)


class _Body:
    """A response's body, which raises RegistryError when it cannot be read."""

    def __init__(self, response: urllib3.BaseHTTPResponse, doing: str, url: str) -> None:
        self._response = response
        self._doing = doing
        self._url = url

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._response.read(size if size >= 0 else None)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self._doing, self._url, error) from error

    def skip(self, count: int) -> None:
        """Read some bytes and drop them."""
        while count > 0 and (piece := self.read(min(count, BLOCK))):
            count -= len(piece)

    def close(self) -> None:
        """End the connection unless the body was read to its end."""
        self._response.close()


class _Counted:
    """A stream that raises StoreError unless it is as long as announced; urllib3 finds nothing but `read` on it."""

    def __init__(self, content: Reader, descriptor: Descriptor, doing: str, advance: Advance) -> None:
        self._content = content
        self._left = descriptor.size
        self._doing = doing
        self._advance = advance

    def read(self, size: int = -1, /) -> bytes:
        piece = self._content.read(size)
        self._left -= len(piece)
        # The registry checks the digest; with a wrong length it would wait, or take the rest for the next request.
        if self._left < 0 or (self._left > 0 and not piece):
            raise StoreError(
                self._doing, f"the content is {'longer' if self._left < 0 else 'shorter'} than it should be"
            )
        self._advance(len(piece))
        return piece


def _is_stream(body: bytes | Reader | None) -> bool:
    return body is not None and not isinstance(body, bytes)


def _scope(path: str, actions: str) -> str:
    return f"repository:{path}:{actions}"


def _short(descriptor: Descriptor) -> str:
    """Return a descriptor's kind and enough of its digest to identify it."""
    return f"{'manifest' if is_manifest(descriptor) else 'blob'} {descriptor.digest[:19]}…"
