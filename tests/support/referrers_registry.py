"""A registry with the referrers API (OCI distribution spec 1.1): a thin layer before a real distribution registry.

Distribution has no such API, so clients fall back to tags with it. Here they do not.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from bentoship.image.descriptor import INDEX, INDEX_TYPES
from tests.support import registry as registries
from tests.support.threads import in_a_thread

_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]*)")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PIECE = 1 << 16

Entry = dict[str, Any]
"""A descriptor, as an index lists it."""


@dataclass
class ReferrersRegistry:
    """A registry with the referrers API.

    Args:
        host: "127.0.0.1:PORT".
        upstream: the registry behind it, which has no such API.
        page: how many descriptors a response lists at most.
        requests: the methods and paths that were asked for so far.
    """

    host: str
    upstream: registries.Registry
    page: int
    requests: list[tuple[str, str]] = field(default_factory=list)
    _by_subject: dict[tuple[str, str], dict[str, Entry]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, manifest: bytes, media_type: str) -> str:
        """Keep what a manifest refers to. Returns: the digest of its subject; empty when it has none."""
        document = json.loads(manifest)
        subject = str((document.get("subject") or {}).get("digest") or "")
        if subject:
            entry = _entry(manifest, document, document.get("mediaType") or media_type)
            with self._lock:
                self._by_subject.setdefault((name, subject), {})[entry["digest"]] = entry
        return subject

    def forget(self, name: str, digest: str) -> None:
        """Drop a manifest that was deleted."""
        with self._lock:
            for (owner, _), entries in self._by_subject.items():
                if owner == name:
                    entries.pop(digest, None)

    def listed(self, name: str, subject: str, artifact_type: str, after: str) -> tuple[list[Entry], str]:
        """Return a page of what refers to a subject, and after which digest the next one begins; empty for none.

        Args: name: the repository; artifact_type: a filter; after: the last digest of the page before.
        """
        with self._lock:
            entries = sorted(self._by_subject.get((name, subject), {}).items())
        found = [one for digest, one in entries if digest > after and artifact_type in ("", one.get("artifactType"))]
        page = found[: self.page]
        return page, page[-1]["digest"] if len(found) > len(page) else ""


def _entry(manifest: bytes, document: Mapping[str, Any], media_type: str) -> Entry:
    """Return the descriptor of a referrer (distribution spec, "Listing Referrers")."""
    kind = document.get("artifactType") or ""
    if not kind and media_type not in INDEX_TYPES:
        kind = (document.get("config") or {}).get("mediaType") or ""
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
        "size": len(manifest),
        **({"artifactType": kind} if kind else {}),
        **({"annotations": document["annotations"]} if document.get("annotations") else {}),
    }


@contextmanager
def running(folder: Path, *, page: int = 100) -> Iterator[ReferrersRegistry]:
    """A registry with the referrers API, as long as the block lasts.

    Args:
        folder: an empty one for its files.
        page: how many referrers a response lists at most.
    """
    with registries.running(folder) as upstream, before(upstream, page=page) as registry:
        yield registry


@contextmanager
def before(upstream: registries.Registry, *, page: int = 100) -> Iterator[ReferrersRegistry]:
    """The API before a registry that runs already. Args: as of `running`."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.registry = ReferrersRegistry(f"127.0.0.1:{server.server_port}", upstream, page)
        with in_a_thread(server):
            yield server.registry


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    registry: ReferrersRegistry

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave early are no concern here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None: ...

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(self.server.registry.upstream.host, timeout=60)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _serve(self) -> None:
        registry = self.server.registry
        registry.requests.append((self.command, self.path))
        path = urlsplit(self.path).path
        manifest = _MANIFEST.fullmatch(path)
        if self.command == "GET" and (match := _REFERRERS.fullmatch(path)):
            self._list(match["name"], match["digest"])
        elif self.command == "PUT" and manifest:
            content = b"".join(self._body())
            answer = self._ask(content, self._headers)
            subject = ""
            if answer.status == 201:
                subject = registry.note(manifest["name"], content, self.headers.get("Content-Type", ""))
            self._hand_back(answer, {"OCI-Subject": subject} if subject else {})
        else:
            has_body = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            answer = self._ask(self._body() if has_body else None, self._headers)
            if self.command == "DELETE" and manifest and answer.status == 202:
                registry.forget(manifest["name"], manifest["reference"])
            self._hand_back(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the server looks for these names

    def _list(self, name: str, digest: str) -> None:
        if not _DIGEST.fullmatch(digest):
            error = {"code": "DIGEST_INVALID", "message": "the digest is not valid"}
            return self._answer(400, "application/json", {"errors": [error]})
        self._take_fallback(name, digest)
        query = parse_qs(urlsplit(self.path).query)
        kind, after = (query.get(key, [""])[0] for key in ("artifactType", "after"))
        entries, following = self.server.registry.listed(name, digest, kind, after)
        headers = {"OCI-Filters-Applied": "artifactType"} if kind else {}
        if following:
            rest = urlencode({**({"artifactType": kind} if kind else {}), "after": following})
            headers["Link"] = f'</v2/{quote(name)}/referrers/{digest}?{rest}>; rel="next"'
        return self._answer(200, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, headers)

    def _take_fallback(self, name: str, digest: str) -> None:
        """Keep what clients listed under a tag before there was an API (spec, "Enabling the Referrers API")."""
        accept = {"Accept": ", ".join(INDEX_TYPES)}
        index = self._read(f"/v2/{name}/manifests/{digest.replace(':', '-')}", accept)
        for entry in json.loads(index or b"{}").get("manifests") or []:
            kind = str(entry.get("mediaType"))
            if manifest := self._read(f"/v2/{name}/manifests/{entry.get('digest')}", {"Accept": kind}):
                self.server.registry.note(name, manifest, kind)

    def _read(self, path: str, headers: Mapping[str, str]) -> bytes:
        """Return what the registry behind has under a path; empty when there is nothing."""
        self._upstream.request("GET", path, headers=dict(headers))
        answer = self._upstream.getresponse()
        content = answer.read()
        return content if answer.status == 200 else b""

    @property
    def _headers(self) -> dict[str, str]:
        """What the client sent. The host stays: the registry names upload addresses after it, which lead here again."""
        return {key: value for key, value in self.headers.items() if key.lower() != "connection"}

    def _ask(self, body: bytes | Iterator[bytes] | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        chunked = headers.get("Transfer-Encoding") == "chunked" and not isinstance(body, bytes)
        if isinstance(body, bytes):
            headers = {key: value for key, value in headers.items() if key != "Transfer-Encoding"}
            headers["Content-Length"] = str(len(body))
        self._upstream.request(self.command, self.path, body, headers, encode_chunked=chunked)
        return self._upstream.getresponse()

    def _hand_back(self, answer: http.client.HTTPResponse, more: Mapping[str, str] | None = None) -> None:
        self.send_response_only(answer.status)
        for key, value in [*answer.getheaders(), *(more or {}).items()]:
            if key.lower() not in ("connection", "transfer-encoding"):
                self.send_header(key, value)
        length = answer.headers.get("Content-Length")
        # A body of unknown length ends with the connection.
        self.close_connection = length is None and self.command != "HEAD" and answer.status not in (204, 304)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        while piece := answer.read(_PIECE):
            self.wfile.write(piece)

    def _answer(self, status: int, kind: str, value: object, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send_response_only(status)
        for key, text in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(content)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._pieces(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self._pieces(int(self.headers.get("Content-Length") or 0))

    def _pieces(self, length: int) -> Iterator[bytes]:
        with suppress(OSError):
            while length > 0 and (piece := self.rfile.read(min(_PIECE, length))):
                length -= len(piece)
                yield piece
