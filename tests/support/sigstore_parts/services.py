"""All of Sigstore's services behind one address, and the configuration by which clients find and trust them."""

from __future__ import annotations

import hashlib
import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.sigstore_parts.authority import Authority, RefusedError, public
from tests.support.sigstore_parts.clock import Clock
from tests.support.sigstore_parts.log import Log, encoded
from tests.support.threads import in_a_thread

CLIENT = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SIGNING = "application/vnd.dev.sigstore.signingconfig.v0.2+json"

WORKFLOW = "https://github.com/acme/planets/.github/workflows/publish.yaml@refs/heads/main"
"""Who signs with a token as `Authority.token` makes it."""


@dataclass
class Sigstore:
    """The services.

    Args:
        folder: for files.
        address: of all of them.
        clock: the timestamp authority; None for none.
        failing: the status and the body that a path is answered with instead.
        passing: the paths that fail only once.
        asked: the paths of requests.
    """

    folder: Path
    address: str = ""
    clock: Clock | None = None
    authority: Authority = field(default_factory=Authority)
    log: Log = field(default_factory=Log)
    failing: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def trust(self, *, version: int = 1) -> Path:
        """The file of a client's configuration. Args: version: that of the log to use."""
        since = {"start": (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def key(one: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            details = {"rawBytes": encoded(public(one)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
            service = {"baseUrl": self.address, "hashAlgorithm": "SHA2_256", "publicKey": details}
            return {**service, "logId": {"keyId": encoded(hashlib.sha256(public(one)).digest())}}

        def authority(*chain: x509.Certificate) -> dict[str, Any]:
            certificates = [{"rawBytes": encoded(one.public_bytes(Encoding.DER))} for one in chain]
            subject = {"organization": "test", "commonName": "test"}
            return {
                "subject": subject, "uri": self.address, "certChain": {"certificates": certificates}, "validFor": since
            }  # fmt: skip

        def service(path: str = "", version: int = 1) -> dict[str, Any]:
            url = f"{self.address}{path}"
            return {"url": url, "majorApiVersion": version, "validFor": since, "operator": "test"}

        root = {
            "mediaType": ROOT,
            "tlogs": [key(self.log.key)],
            "certificateAuthorities": [authority(self.authority.root)],
            "ctlogs": [key(self.authority.log)],
            "timestampAuthorities": [authority(*self.clock.chain)] if self.clock else [],
        }
        signing = {
            "mediaType": SIGNING,
            "caUrls": [service()],
            "oidcUrls": [],
            "rekorTlogUrls": [service(version=version)],
            "tsaUrls": [service("/api/v1/timestamp")] if self.clock else [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        file = self.folder / f"trust-{version}.json"
        file.write_text(json.dumps({"mediaType": CLIENT, "trustedRoot": root, "signingConfig": signing}))
        return file

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        self.asked.append(path)
        if path in self.failing:
            return self.failing.pop(path) if path in self.passing else self.failing[path]
        try:
            match path:
                case "/api/v2/signingCert":
                    return 200, json.dumps(self.authority.answer(authorization, body)).encode()
                case "/api/v1/log/entries":
                    return 201, json.dumps(self.log.answer(body)).encode()
                case "/api/v2/log/entries":
                    return 201, json.dumps(self.log.second_answer(body)).encode()
                case "/api/v1/timestamp" if self.clock:
                    return 201, self.clock.answer(body)
        except RefusedError as error:
            status, message = error.args
            return status, json.dumps({"code": status, "message": message, "details": []}).encode()
        return 404, b""


@contextmanager
def sigstore(folder: Path, *, clock: bool = False) -> Iterator[Sigstore]:
    """The services, for as long as the block lasts. Args: folder: for files; clock: whether there are timestamps."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = services.answer(self.path, self.headers.get("Authorization", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if self.path == "/api/v1/log/entries":
                # Go's client reads no entry but the one of this name.
                self.send_header("Content-Type", "application/json")
                self.send_header("ETag", services.log.name)
            self.end_headers()
            self.wfile.write(answer)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, in_a_thread(server):
        host = f"127.0.0.1:{server.server_address[1]}"
        services = Sigstore(folder, f"http://{host}", Clock(folder) if clock else None)
        yield services
