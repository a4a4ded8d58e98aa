"""A repository in a registry, over HTTP (OCI distribution spec)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import urllib3

from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor
from bentoship.image.reference import DOCKER_HUB, ImageReference
from bentoship.stores import Advance, Reader
from bentoship.stores.answers import refusal
from bentoship.stores.graph import MAX_MANIFEST, is_manifest, media_type, read_manifest
from bentoship.stores.http import no_answer
from bentoship.stores.token import Account, Session
from bentoship.stores.verified import Verified
from bentoship.system.network import is_loopback, origin, redacted

_MANIFESTS = MANIFEST_TYPES | INDEX_TYPES
_ACCEPT = ", ".join(sorted(_MANIFESTS))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5


class RegistryStore:
    """The blobs, manifests and tags of one repository; safe to share between threads.

    Args:
        repository: the registry's host and the path there; tag and digest play no part.
        credentials: the account to log in as; None for nobody; or a function that is asked at each login.
        push: whether something will be put there; it decides which rights are asked for.
        plain_http: whether to speak HTTP without TLS; None for only with this machine itself.
        session: the connections and logins to use; its own when it is None.
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
        # Docker Hub's registry answers by another name than its images have.
        host = "registry-1.docker.io" if repository.host == DOCKER_HUB else repository.host
        self.plain_http = is_loopback(host) if plain_http is None else plain_http
        """Whether it is spoken to by HTTP without TLS."""
        self._base = f"{'http' if self.plain_http else 'https'}://{host}"
        self._scope = _scope(self._path, "pull,push" if push else "pull")
        session = session or Session()
        self._http = session.http
        self._login = session.login(self._base, self._host, credentials)

    def reach(self) -> None:
        """Log in as far as that goes without naming a repository, to learn early what would stop a push.

        Raises: RegistryError when the registry cannot be reached, or refuses the account.
        """
        header = self._login.header("")
        if header and header.startswith("Basic "):  # a token server has checked the account already
            doing = f"Log in to {self._host}"
            response = self._http.request(doing, "GET", f"{self._base}/v2/", {"Authorization": header})
            if response.status == 401:
                raise refusal(doing, self._host, response, self._login.asking)
            response.drain_conn()

    def exists(self, descriptor: Descriptor) -> bool:
        """Whether the content is there. Raises RegistryError when the registry does not tell."""
        doing = f"Look for {_short(descriptor)} in {self.repository}"
        return self._head(doing, self._content(descriptor)) is not None

    @contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[Reader]:
        """The content as a stream, checked against digest and size by its end. Raises RegistryError or StoreError."""
        doing = f"Pull {_short(descriptor)} from {self.repository}"
        headers = {"Accept": _ACCEPT} if is_manifest(descriptor) else {}
        response = self._call(doing, "GET", self._content(descriptor), headers, expect=200)
        try:
            yield Verified(_Body(response, doing, self._base), descriptor, doing)
        finally:
            # What was not read to its end leaves a connection that nothing can be asked on any more.
            response.close()

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        """Put a blob or manifest there, wholly or not at all. Raises RegistryError, also when digest or size differ."""
        doing = f"Push {_short(descriptor)} to {self.repository}"
        if is_manifest(descriptor):
            self._put_manifest(doing, descriptor, content.read(MAX_MANIFEST + 1), descriptor.digest)
            advance(descriptor.size)
            return
        started = self._call(doing, "POST", f"/v2/{self._path}/blobs/uploads/", {}, expect=202)
        started.drain_conn()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)}
        url = self._upload_url(doing, started, descriptor)
        self._call(doing, "PUT", url, headers, _Counted(content, descriptor, doing, advance), expect=201).drain_conn()

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Take a blob from another repository of the same registry, without sending it.

        Args:
            descriptor: the blob.
            from_path: the other repository's path.

        Returns: whether it is there now; a registry may leave a mount undone, or not allow to read there.
        """
        doing = f"Mount {_short(descriptor)} from {from_path} in {self.repository}"
        url = f"/v2/{self._path}/blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(from_path)}"
        scope = f"{self._scope} {_scope(from_path, 'pull')}"
        try:
            response = self._call(doing, "POST", url, {}, scope=scope, expect=(201, 202))
        except RegistryError as error:
            if error.status is None or error.temporary:
                raise
            return False
        response.drain_conn()
        return response.status == 201

    def resolve(self, name: str) -> Descriptor:
        """The descriptor that a tag or a digest stands for. Raises RegistryError when there is none."""
        doing = f"Find {name} in {self.repository}"
        path = f"/v2/{self._path}/manifests/{name}"
        headers = self._head(doing, path) or {}
        kind, digest, size = (
            headers.get(key, "") for key in ("Content-Type", "Docker-Content-Digest", "Content-Length")
        )
        if kind in _MANIFESTS and digest and size.isdecimal():
            found = Descriptor(kind, digest, int(size))
        else:
            found = self._read_to_resolve(doing, path)
        if name.startswith("sha256:") and found.digest != name:
            raise StoreError(doing, f"the registry gave {found.digest}")
        return found

    def _read_to_resolve(self, doing: str, path: str) -> Descriptor:
        """What a registry tells of a manifest only by its content, or why there is none."""
        with self._call(doing, "GET", path, {"Accept": _ACCEPT}, expect=200) as response:
            content = _Body(response, doing, self._base).read(MAX_MANIFEST + 1)
        kind = media_type(content) if len(content) <= MAX_MANIFEST else None
        if kind not in _MANIFESTS:
            raise StoreError(doing, f"it is not an OCI image but {kind or 'something else'}")
        return Descriptor.of(kind, content)

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Let the tag stand for a manifest or index that is there. Raises RegistryError."""
        doing = f"Tag {_short(descriptor)} as {self.repository}:{tag}"
        self._put_manifest(doing, descriptor, read_manifest(self, descriptor), tag)

    def interrupt(self) -> None:
        """End what other threads ask of this session's registries, with an error there. It can be used again."""
        self._http.interrupt()

    def _content(self, descriptor: Descriptor) -> str:
        return f"/v2/{self._path}/{'manifests' if is_manifest(descriptor) else 'blobs'}/{descriptor.digest}"

    def _put_manifest(self, doing: str, descriptor: Descriptor, content: bytes, name: str) -> None:
        if Descriptor.of(descriptor.media_type, content) != descriptor:
            raise StoreError(doing, "its content does not fit its digest and size")
        url, headers = f"/v2/{self._path}/manifests/{name}", {"Content-Type": descriptor.media_type}
        self._call(doing, "PUT", url, headers, content, expect=(200, 201)).drain_conn()

    def _head(self, doing: str, path: str) -> Mapping[str, str] | None:
        """The headers of what is there; None when nothing is."""
        response = self._call(doing, "HEAD", path, {"Accept": _ACCEPT}, expect=(200, 401, 403, 404))
        response.drain_conn()
        if response.status in (401, 403):
            # Only an answer to GET has words in it.
            response = self._call(doing, "GET", path, {"Accept": _ACCEPT}, expect=(200, 404))
            response.close()
        return response.headers if response.status == 200 else None

    def _upload_url(self, doing: str, started: urllib3.BaseHTTPResponse, descriptor: Descriptor) -> str:
        """Where to put a blob: the address that the registry named, whole or in part, and the digest."""
        location = started.headers.get("Location")
        if not location:
            raise RegistryError(doing, f"{self._host} named no place to upload to")
        parts = urlsplit(self._safe(doing, urljoin(f"{self._base}/v2/{self._path}/blobs/uploads/", location)))
        query = f"{parts.query}&" if parts.query else ""
        return urlunsplit(parts._replace(query=f"{query}digest={quote(descriptor.digest)}"))

    def _safe(self, doing: str, url: str) -> str:
        """An address that a registry sends us to, never from TLS to HTTP."""
        try:
            parts, _ = urlsplit(url), origin(url)
        except ValueError as error:
            raise RegistryError(doing, f"{self._host} sends us to something that is no address ({error})") from error
        if parts.scheme == "http" and self._base.startswith("https:"):
            # A registry behind a proxy that ends TLS may not know that it is spoken to by TLS.
            if parts.hostname == urlsplit(self._base).hostname:
                return urlunsplit(parts._replace(scheme="https", netloc=urlsplit(self._base).netloc))
            raise RegistryError(doing, f"{self._host} sends us to {redacted(url)}, which is not encrypted")
        return url

    def _call(
        self,
        doing: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None = None,
        *,
        expect: int | tuple[int, ...],
        scope: str = "",
    ) -> urllib3.BaseHTTPResponse:
        """Ask the registry, logged in, and follow where it sends us.

        Args:
            doing: what is being done, for errors.
            method: of HTTP.
            path: an address, or its part behind the host.
            headers: to send.
            body: to send; a stream is sent once only.
            expect: the statuses that are no error.
            scope: the rights to ask for; this store's when empty.

        Raises: RegistryError when there is no answer, or another one.
        """
        url = urljoin(self._base, path)
        scope = scope or self._scope
        authorization = self._login.header(scope)
        again = body is None or isinstance(body, bytes)
        renewed = False
        for _ in range(_MAX_REDIRECTS + 2):
            ours = origin(url) == origin(self._base)
            sent = {**headers, "Authorization": authorization} if authorization and ours else headers
            response = self._http.request(doing, method, url, sent, body)
            if response.status == 401 and ours and not renewed:
                refused, renewed = authorization, True
                authorization = self._login.renew(scope, refused, response.headers.get("WWW-Authenticate", ""))
                if not again:
                    # The token ended after the upload was begun; another attempt has a new one.
                    error = refusal(doing, self._host, response, self._login.asking)
                    error.temporary = authorization != refused
                    raise error
            elif again and response.status in _REDIRECTS and "Location" in response.headers:
                url = self._safe(doing, urljoin(url, response.headers["Location"]))
            elif response.status in ((expect,) if isinstance(expect, int) else expect):
                return response
            else:
                break
            response.drain_conn()
        raise refusal(doing, self._host, response, self._login.asking)


class _Body:
    """An answer's body, whose reading fails as the project's errors do."""

    def __init__(self, response: urllib3.BaseHTTPResponse, doing: str, url: str) -> None:
        self._response = response
        self._doing = doing
        self._url = url

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._response.read(size if size >= 0 else None)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(self._doing, self._url, error) from error


class _Counted:
    """A stream that is as long as was announced, and has nothing else that urllib3 would look for."""

    def __init__(self, content: Reader, descriptor: Descriptor, doing: str, advance: Advance) -> None:
        self._content = content
        self._left = descriptor.size
        self._doing = doing
        self._advance = advance

    def read(self, size: int = -1, /) -> bytes:
        piece = self._content.read(size)
        self._left -= len(piece)
        # The digest is for the registry to check; another length it would wait for, or take for the next request.
        if self._left < 0 or (self._left > 0 and not piece):
            raise StoreError(
                self._doing, f"the content is {'longer' if self._left < 0 else 'shorter'} than it should be"
            )
        self._advance(len(piece))
        return piece


def _scope(path: str, actions: str) -> str:
    return f"repository:{path}:{actions}"


def _short(descriptor: Descriptor) -> str:
    """Enough of a digest to find it."""
    return f"{'manifest' if is_manifest(descriptor) else 'blob'} {descriptor.digest[:19]}…"
