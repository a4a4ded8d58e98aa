"""A repository in a registry, over HTTP (OCI distribution spec)."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from urllib.parse import quote, urlsplit, urlunsplit

from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, short
from bentoship.image.reference import ImageReference
from bentoship.stores import Advance, Reader
from bentoship.stores.answers import DOUBTS, refusal
from bentoship.stores.bodies import finish
from bentoship.stores.client import MAX_REDIRECTS, REDIRECTS, Body, Client, scope
from bentoship.stores.download import Download, Small
from bentoship.stores.graph import MAX_MANIFEST, is_manifest, media_type, read_manifest
from bentoship.stores.token import Account, Session
from bentoship.stores.verified import Verified
from bentoship.system.text import cut

_MANIFESTS = MANIFEST_TYPES | INDEX_TYPES
_ACCEPT = ", ".join(sorted(_MANIFESTS))
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SIZE = re.compile(r"[1-9][0-9]{0,17}")
_NO_HEAD = frozenset({400, 401, 403, 405, 500, 501})
"""Statuses after which GET may find what HEAD does not, or at least has a body with an explanation."""

_MAX_KIND = 128
"""Characters of a media type that are shown; by RFC 6838, one has at most 255."""

_INTERNAL = 500
"""The status for an error of the registry itself."""

_TAKEN = frozenset({200, 201, 202, 204})
"""Statuses with which registries take a blob or manifest; the spec has 201, and containerd takes all of these."""


class RegistryStore:
    """The blobs, manifests and tags of one repository; safe to share between threads.

    Args:
        repository, credentials, push, plain_http, session: as of `stores.client.Client`.
        deletes_untagged: whether the registry may delete by itself what has no tag.
    """

    def __init__(
        self,
        repository: ImageReference,
        credentials: Account = None,
        *,
        push: bool = False,
        plain_http: bool | None = None,
        session: Session | None = None,
        deletes_untagged: bool = False,
    ) -> None:
        self.client = Client(repository, credentials, push=push, plain_http=plain_http, session=session)
        """Sends the requests."""
        self.deletes_untagged = deletes_untagged
        """Whether what has no tag may go by itself."""
        self.has_referrers: bool | None = None
        """Whether the registry lists by itself what refers to an image; None until it was asked."""
        self._moved: dict[str, str] = {}  # where an upload was redirected to, by the blob's digest

    @property
    def repository(self) -> str:
        """Return the registry's host and the repository's path."""
        return self.client.repository

    @property
    def plain_http(self) -> bool:
        """Return whether HTTP is used without TLS."""
        return self.client.plain_http

    @property
    def patience(self) -> float:
        """Return the seconds in which nothing may move before a failure is final."""
        return self.client.http.patience

    def reach(self) -> None:
        """Log in as far as possible without naming a repository, to find out early what would stop a push.

        Raises: RegistryError when the registry cannot be reached, or refuses the account.
        """
        self.client.reach()

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
            return Download(partial(self._body, doing, descriptor), descriptor.size, self.client.http.persist)

        def check(content: Reader) -> Reader:
            return Verified(content, descriptor, doing, damaged)

        if descriptor.size <= MAX_MANIFEST:
            with closing(Small(start, check, self.client.http.persist)) as small:
                yield small
        else:
            with closing(start()) as download:
                yield check(download)

    def _body(self, doing: str, descriptor: Descriptor, offset: int) -> Body:
        """Return a response's body with the content from an offset on."""
        headers = {"Accept": _ACCEPT} if is_manifest(descriptor) else {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        expect = {200, 206} if offset else {200}
        response = self.client.call(doing, "GET", self._content(descriptor), headers, expect=expect)
        body = Body(response, doing, self.client.base)
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
        response = self.client.call(doing, "PUT", url, headers, body, expect=_TAKEN | REDIRECTS)
        finish(response)
        if response.status in REDIRECTS:
            # The content can be read only once: the next attempt sends it to where this one was led.
            self._moved[descriptor.digest] = self.client.location(doing, response)
            why = f"{self.client.host} redirects the upload"
            raise RegistryError(doing, why, status=response.status, temporary=True, retries=MAX_REDIRECTS)

    def write_bytes(self, descriptor: Descriptor, content: bytes) -> None:
        """Push a blob that is in memory unless it is there, again after temporary errors. Raises StoreError."""

        def attempt() -> None:
            if not self.exists(descriptor):
                self.write(descriptor, io.BytesIO(content), lambda _: None)

        self.client.http.persist(attempt)

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Mount a blob from another repository of the same registry, instead of sending it.

        Args:
            descriptor: the blob.
            from_path: the other repository's path.

        Returns: whether it was mounted; a registry may ignore the request, or deny reading the other repository.

        Raises: RegistryError when there is no response, or a temporary failure.
        """
        doing = f"Mount {_short(descriptor)} from {from_path} in {self.repository}"
        url = f"/v2/{self.client.path}/blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(from_path)}"
        both = self.client.with_scope(f"{self.client.scope} {scope(from_path, 'pull')}")
        try:
            response = both.call(doing, "POST", url, {}, expect=_TAKEN)
        except RegistryError as error:
            if error.status is None or error.temporary:
                raise
            return False
        finish(response)
        return response.status == 201

    def resolve(self, name: str) -> Descriptor:
        """Return the descriptor of a tag or digest. Raises StoreError when there is none."""
        doing = f"Find {name} in {self.repository}"
        path = self._named(name)
        headers = self._head(doing, path) or {}
        kind, digest, size = (
            headers.get(key, "") for key in ("Content-Type", "Docker-Content-Digest", "Content-Length")
        )
        if kind in _MANIFESTS and _DIGEST.fullmatch(digest) and _SIZE.fullmatch(size):
            found = Descriptor(kind, digest, int(size))
        else:
            found, _ = self._read(doing, path)
        if name.startswith("sha256:") and found.digest != name:
            raise StoreError(doing, f"the registry returned {found.digest}")
        return found

    def digest_of(self, name: str) -> str | None:
        """Return the digest of a tag or digest; None where there is none. Raises StoreError as `resolve` does."""
        try:
            return self.resolve(name).digest
        except RegistryError as error:
            if error.status == 404:
                return None
            raise

    def read(self, name: str, *, patient: bool = True) -> tuple[Descriptor, bytes]:
        """Return the manifest or index of a tag or digest, with its descriptor, in one request.

        Args:
            name: the tag or digest.
            patient: whether to try again after internal errors (500) for as long as patience allows, and not only a
                few times: a registry has them each time for what it has damaged.

        Raises: StoreError when there is none, or it is something else.
        """
        doing = f"Read {name} in {self.repository}"
        found, content = self._read(doing, self._named(name), patient=patient)
        if name.startswith("sha256:") and found.digest != name:
            raise StoreError(doing, f"the registry returned {found.digest}")
        return found, content

    def find(self, name: str) -> tuple[Descriptor, bytes] | None:
        """Return what `read` does; None when there is no such tag or digest. Raises StoreError as it does."""
        try:
            return self.read(name)
        except RegistryError as error:
            if error.status == 404:
                return None
            raise

    def read_changed(self, tag: str, known: str, *, patient: bool = True) -> tuple[Descriptor, bytes] | None:
        """Return what `read` does; or None, without reading it, where the registry says that a tag has not moved.

        Args:
            tag: the tag.
            known: the digest that it had before; registries send that as its entity tag, or ignore the condition.
            patient: as of `read`.

        Raises: StoreError as `read` does.
        """
        path, doing = self._named(tag), f"Read {tag} in {self.repository}"
        content = self._body_of(doing, path, {"If-None-Match": f'"{known}"'}, patient=patient)
        return None if content is None else _described(doing, content)

    def _read(self, doing: str, path: str, *, patient: bool = True) -> tuple[Descriptor, bytes]:
        return _described(doing, self._body_of(doing, path, {}, patient=patient) or b"")

    def _body_of(self, doing: str, path: str, condition: Mapping[str, str], *, patient: bool = True) -> bytes | None:
        """Return a manifest; None when a condition says that it is the known one."""
        headers, expect = {"Accept": _ACCEPT, **condition}, {200, *([304] if condition else [])}
        if not patient:
            expect.add(_INTERNAL)

        def attempt() -> bytes | None:
            with self.client.call(doing, "GET", path, headers, expect=expect) as response:
                if response.status == _INTERNAL:
                    error = refusal(doing, self.client.host, response, None)
                    error.retries = DOUBTS
                    raise error
                content = Body(response, doing, self.client.base).whole(MAX_MANIFEST)
                return None if response.status == 304 else content

        return self.client.http.persist(attempt)

    def delete(self, name: str) -> bool:
        """Delete a tag, or a manifest by its digest, with which all its tags go. Returns: whether there was one.

        Raises: RegistryError when the registry does not delete, or only by digest.
        """
        doing = f"Delete {name} in {self.repository}"
        client = self.client.with_scope(scope(self.client.path, "pull,push,delete"))
        response = client.call(doing, "DELETE", self._named(name), {}, expect={404, *_TAKEN})
        finish(response)
        if response.status != 404:
            return True
        if self.digest_of(name) is not None:
            # As a web server answers to what it has no path for.
            raise RegistryError(doing, f"{self.client.host} has it, but responded with HTTP 404 Not Found", status=405)
        return False

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Point a tag at a manifest or index that the registry has. Raises RegistryError or StoreError."""
        doing = f"Tag {_short(descriptor)} as {self.repository}:{tag}"
        self._put_manifest(doing, descriptor, read_manifest(self, descriptor), tag)

    def write_tagged(self, descriptor: Descriptor, content: bytes, tag: str) -> None:
        """Push a manifest or index and point a tag at it, in one request. Raises RegistryError or StoreError."""
        self._put_manifest(f"Tag {_short(descriptor)} as {self.repository}:{tag}", descriptor, content, tag)

    def interrupt(self) -> None:
        """Abort the requests of all other threads of this session with an error. It can be used again."""
        self.client.http.interrupt()

    def _content(self, descriptor: Descriptor) -> str:
        return f"/v2/{self.client.path}/{'manifests' if is_manifest(descriptor) else 'blobs'}/{descriptor.digest}"

    def _named(self, name: str) -> str:
        """Return the path of a tag or digest. Raises InvalidReferenceError for what is neither."""
        repository = ImageReference(self.client.host, self.client.path)
        checked = repository.with_digest(name) if name.startswith("sha256:") else repository.with_tag(name)
        return f"/v2/{self.client.path}/manifests/{checked.digest or checked.tag}"

    def _put_manifest(self, doing: str, descriptor: Descriptor, content: bytes, name: str) -> None:
        if Descriptor.of(descriptor.media_type, content) != descriptor:
            raise StoreError(doing, "its content does not match its digest and size")
        url, headers = self._named(name), {"Content-Type": descriptor.media_type}
        finish(self.client.call(doing, "PUT", url, headers, content, expect=_TAKEN))

    def _head(self, doing: str, path: str) -> Mapping[str, str] | None:
        """Return the headers of a HEAD request; None when there is no such content."""
        headers = {"Accept": _ACCEPT}
        response = self.client.call(doing, "HEAD", path, headers, expect={200, 404} | _NO_HEAD)
        finish(response)
        if response.status in _NO_HEAD:
            response = self.client.call(doing, "GET", path, headers, expect={200, 404})
            response.close()
        return response.headers if response.status == 200 else None

    def _begin_upload(self, doing: str, descriptor: Descriptor) -> str:
        """Begin to upload a blob. Returns: where to send it, the registry's Location with the digest added."""
        started = self.client.call(doing, "POST", f"/v2/{self.client.path}/blobs/uploads/", {}, expect=_TAKEN)
        finish(started)
        parts = urlsplit(self.client.location(doing, started))
        query = [part for part in parts.query.split("&") if part and not part.startswith("digest=")]
        return urlunsplit(parts._replace(query="&".join([*query, f"digest={quote(descriptor.digest)}"])))


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


def _described(doing: str, content: bytes) -> tuple[Descriptor, bytes]:
    """Return a manifest or index with its descriptor. Raises StoreError when it is something else."""
    kind = media_type(content) if len(content) <= MAX_MANIFEST else None
    if kind not in _MANIFESTS:
        raise StoreError(doing, f"it is not an OCI image but {cut(kind or 'something else', _MAX_KIND)}")
    return Descriptor.of(kind, content), content


def _short(descriptor: Descriptor) -> str:
    """Return a descriptor's kind and enough of its digest to identify it."""
    return f"{'manifest' if is_manifest(descriptor) else 'blob'} {short(descriptor.digest)}…"
