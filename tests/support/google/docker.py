"""The Docker endpoint (LOCATION-docker.pkg.dev): what is Google's own, before a registry that keeps the data."""

from __future__ import annotations

import hashlib
import http.client
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from tests.support.google import images
from tests.support.google.docker_access import Caller, Place, caller, challenge, check, error, find_place, issue
from tests.support.google.faults import Answer
from tests.support.google.web import PIECE, Handler, document

_INDEX = "application/vnd.oci.image.index.v1+json"
_MAX_MANIFEST = 4 << 20
_HOP = {"connection", "transfer-encoding", "date"}
_CHUNKED = "chunked uploads are not supported: send the blob in one PATCH or PUT"
_TWO_WAYS = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>InvalidArgument</Code><Message>Invalid argument.</Message>"
    b"<Details>The address is signed; an Authorization header is not allowed with it.</Details></Error>"
)


@dataclass
class Upload:
    """A blob on its way: where to, where the registry wants it, and whether it has been sent."""

    target: Place
    path: str
    sent: bool = False


class TokenEndedError(Exception):
    """The token ended while a body was being sent."""


class DockerHandler(Handler):
    """One connection to the Docker endpoint."""

    def respond(self) -> Answer | None:
        """The answer, or nothing when it was streamed."""
        if self.place in ("/v2", "/v2/"):
            return document(200, {}) if self.headers.get("Authorization") and caller(self) else challenge(self)
        if self.place == "/v2/token":
            return issue(self)
        if match := re.fullmatch(r"/artifacts-uploads/.*/uploads/([^/]+)", self.place):
            return self._upload(match[1])
        if match := re.fullmatch(r"/artifacts-downloads/.*/downloads/([^/]+)", self.place):
            return self._download(match[1])
        if match := re.fullmatch(r"/v2/(.+)/(manifests|blobs|tags|referrers)/(.+)", self.place):
            target = find_place(self, match[1].removesuffix("/blobs"))
            handlers = {
                "manifests": self._manifest,
                "blobs": self._blob,
                "tags": self._tags,
                "referrers": self._referrers,
            }
            return handlers[match[2]](target, match[3])
        return Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})

    def _manifest(self, target: Place, reference: str) -> Answer | None:
        state = self.state
        action = {"PUT": "push", "DELETE": "delete"}.get(self.command, "pull")
        check(self, target, action)
        if self.command == "PUT":
            return self._put_manifest(target, reference)
        if not images.has(state, target.repository, target.image, reference):
            message = f'Failed to fetch "{reference}" from request "{self.place}".'
            return error(404, "MANIFEST_UNKNOWN", message)
        if self.command == "DELETE":
            return self._delete_manifest(target, reference)
        return self._pass_on(self._ask(self.command, f"{self._inside(target)}/manifests/{reference}"))

    def _delete_manifest(self, target: Place, reference: str) -> Answer:
        """A tag goes alone; a manifest only when it has none, no index lists it, and nothing refers to it."""
        state = self.state
        if ":" in reference:
            place = (state, target.repository, target.image, reference)
            if tags := images.tags_of(*place):
                message = f"Manifest is still referenced by tag: {tags[0]}"
                return error(400, "GOOGLE_MANIFEST_DANGLING_TAG", message)
            if parents := images.parents(*place):
                message = f"Manifest is still referenced by one or more parent images: {parents[0]}"
                return error(400, "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE", message)
        images.deleted(state, target.repository, target.image, reference)
        return Answer(202, b"")

    def _referrers(self, target: Place, digest: str) -> Answer:
        check(self, target, "pull")
        found = images.referrers(self.state, target.repository, target.image, digest)
        answer = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        return document(200, answer, {"Content-Type": _INDEX})

    def _put_manifest(self, target: Place, reference: str) -> Answer | None:
        state = self.state
        content = b"".join(self.body)
        if len(content) > _MAX_MANIFEST:
            return error(413, "MANIFEST_INVALID", "manifest is too large")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        immutable = state.repositories[target.repository].docker_config.immutable_tags
        # Two pushes at once must not both find the tag free.
        with state.lock:
            if immutable and images.tagged(state, target.repository, target.image, reference) not in ("", digest):
                message = f"cannot update tag {reference}. The repository has enabled tag immutability"
                return error(400, "MANIFEST_INVALID", message)
            kind = self.headers.get("Content-Type", "")
            path = f"{self._inside(target)}/manifests/{reference}"
            response = self._ask("PUT", path, [content], {"Content-Type": kind, "Content-Length": str(len(content))})
            if response.status == 201:
                images.pushed(state, target.repository, target.image, reference, kind, content)
        return self._pass_on(response, location=f"/v2/{target.name}/manifests/{digest}")

    def _blob(self, target: Place, rest: str) -> Answer | None:
        if rest.startswith("uploads"):
            return self._start_upload(target)
        check(self, target, "pull")
        path = f"{self._inside(target)}/blobs/{rest}"
        response = self._ask("HEAD", path)
        if self.command == "HEAD" or response.status != 200:
            return self._pass_on(response)
        token = secrets.token_urlsafe(24)
        self.state.downloads[token] = path
        return Answer(302, b"", {"Location": f"{self._elsewhere()}{_folder('downloads', target)}/{token}"})

    def _start_upload(self, target: Place) -> Answer | None:
        check(self, target, "push")
        path = f"{self._inside(target)}/blobs/uploads/"
        digest, source = (self.query.get(key, [""])[0] for key in ("mount", "from"))
        if digest and source:
            origin = find_place(self, source)
            check(self, origin, "pull")
            inside = self._inside(origin).removeprefix("/v2/")
            response = self._ask("POST", f"{path}?mount={digest}&from={inside}")
            if response.status == 201:
                return self._pass_on(response, location=f"/v2/{target.name}/blobs/{digest}")
        else:
            response = self._ask("POST", path)
        token = secrets.token_urlsafe(24)
        self.state.uploads[token] = Upload(target, response.headers["Location"])
        return self._pass_on(response, location=f"{_folder('uploads', target)}/{token}")

    def _upload(self, token: str) -> Answer | None:
        upload = self.state.uploads.get(token)
        if not isinstance(upload, Upload):
            return error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        # The address is enough: outside /v2/ Docker's engine sends no credentials (distribution's endpointAuthorizer).
        asking = check(self, upload.target, "push") if "Authorization" in self.headers else Caller("")
        if self.command not in ("PATCH", "PUT", "GET", "DELETE"):
            return error(405, "UNSUPPORTED", "The operation is unsupported.")
        has_body = "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0") != "0"
        begins = re.match(r"(?:bytes )?(\d+)-", self.headers.get("Content-Range", "0-"))
        if self.command in ("PATCH", "PUT") and has_body:
            if upload.sent or (begins and int(begins[1])):
                return error(400, "BLOB_UPLOAD_INVALID", _CHUNKED)
            upload.sent = True
        inside = urlsplit(upload.path)
        query = "&".join(part for part in (inside.query, urlsplit(self.path).query) if part)
        headers = {key: self.headers[key] for key in ("Content-Length", "Content-Type") if key in self.headers}
        try:
            body = self._metered(asking) if has_body else None
            response = self._ask(self.command, f"{inside.path}?{query}", body, headers)
        except TokenEndedError:
            return challenge(self)
        if response.status == 202:
            upload.path = response.headers["Location"]
            return self._pass_on(response, location=self.place)
        digest = parse_qs(query).get("digest", [""])[0]
        return self._pass_on(response, location=f"/v2/{upload.target.name}/blobs/{digest}")

    def _download(self, token: str) -> Answer | None:
        path = self.state.downloads.get(token)
        if not path:
            return Answer(403, b"", {"Content-Type": "application/xml"})
        if "Authorization" in self.headers and self._elsewhere():
            return Answer(400, _TWO_WAYS, {"Content-Type": "application/xml"})
        headers = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
        return self._pass_on(self._ask(self.command, path, None, headers))

    def _tags(self, target: Place, rest: str) -> Answer:
        check(self, target, "pull")
        names = images.tags(self.state, target.repository, target.image)
        if names is None:
            return error(404, "NAME_UNKNOWN", f'Failed to compute tags: image "{target.image}" not found')
        last, count = self.query.get("last", [""])[0], int(self.query.get("n", ["0"])[0])
        left = [name for name in names if name > last]
        page = left[:count] if count else left
        more = f'</v2/{target.name}/tags/list?n={count}&last={page[-1]}>; rel="next"' if len(page) < len(left) else ""
        found = {"child": [], "manifest": {}, "name": target.name, "tags": page}
        return document(200, found, {"Link": more} if more else {})

    def _inside(self, target: Place) -> str:
        """Where the registry keeps it: apart from what was in a repository of that name before."""
        return f"/v2/{self.state.generations[target.repository]}/{target.name}"

    def _elsewhere(self) -> str:
        """This server by its other name on loopback, to which nobody takes credentials; Google's has one name only."""
        name, _, port = self.headers.get("Host", "").rpartition(":")
        scheme = "https" if hasattr(self.connection, "context") else "http"
        other = {"localhost": "127.0.0.1", "127.0.0.1": "localhost"}.get(name)
        return f"{scheme}://{other}:{port}" if other else ""

    def _metered(self, asking: Caller) -> Iterator[bytes]:
        """The body, as long as the token lasts."""
        for piece in self.body:
            if token := asking.token:
                if token.bytes_left is not None:
                    token.bytes_left -= len(piece)
                if token.ended:
                    raise TokenEndedError
            yield piece

    def _ask(
        self, method: str, path: str, body: Iterable[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Ask the registry."""
        upstream = http.client.HTTPConnection(self.state.registry, timeout=60)
        accept = {"Accept": ", ".join(self.headers.get_all("Accept", []))} if "Accept" in self.headers else {}
        sent = {**accept, **(headers or {})}
        if body is not None and "Content-Length" not in sent:
            sent["Transfer-Encoding"] = "chunked"
        try:
            upstream.request(method, path, body, sent, encode_chunked="Transfer-Encoding" in sent)
            return upstream.getresponse()
        except BaseException:
            upstream.close()
            raise

    def _pass_on(self, response: http.client.HTTPResponse, *, location: str = "") -> Answer | None:
        """Give the registry's answer."""
        for _ in self.body:
            pass
        with response:
            headers = {key: value for key, value in response.getheaders() if key.lower() not in _HOP}
            if location and "Location" in headers:
                headers["Location"] = location
            if "Content-Length" not in headers:
                return Answer(response.status, response.read(), headers)
            self.send_response_only(response.status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            while piece := response.read(PIECE):
                self.wfile.write(piece)
        return None


def _folder(kind: str, target: Place) -> str:
    _, project, _, _, _, repository = target.repository.split("/")
    return f"/artifacts-{kind}/namespaces/{project}/repositories/{repository}/{kind}"
