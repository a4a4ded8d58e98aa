"""Servers of a few lines, and token servers."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support import proxy as proxies
from tests.support.proxy import Fault
from tests.support.registry import PASSWORD, USER
from tests.support.threads import in_a_thread
from tests.support.wheels import make_wheel


@dataclass(frozen=True)
class Answering:
    """A server that answers all requests alike.

    Args:
        host: its "HOST:PORT".
        asked: the headers of what it was asked.
    """

    host: str
    asked: list[Message]


@contextmanager
def answering(
    status: int, headers: dict[str, str] | None = None, body: bytes = b"", *, tls: Path | None = None
) -> Iterator[Answering]:
    """A server that answers all requests alike.

    Args:
        status: of its answers.
        headers: of them.
        body: of them.
        tls: a folder with key.pem and certificate.pem, for a server that speaks TLS.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            told.asked.append(self.headers)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_CONNECT = do_GET  # noqa: N815 - the server looks for these names

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        told = Answering(f"127.0.0.1:{server.server_port}", [])
        with in_a_thread(server):
            yield told


@dataclass
class Endless:
    """A server whose answers do not end. Args: host: its "HOST:PORT"; sent: how many bytes it got rid of."""

    host: str
    sent: int = 0


@contextmanager
def endless(status: int, headers: dict[str, str], *, of: bytes = b"a", ping: bool = True) -> Iterator[Endless]:
    """A server that answers all requests with bytes until the connection ends.

    Args:
        status: of its answers.
        headers: of them.
        of: what they consist of.
        ping: whether GET /v2/ is answered like that, too; with 200 and nothing otherwise.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            is_ping = self.path == "/v2/" and not ping
            self.send_response(200 if is_ping else status)
            for key, value in ({"Content-Length": "0"} if is_ping else headers).items():
                self.send_header(key, value)
            self.end_headers()
            if not is_ping and self.command != "HEAD":
                with suppress(OSError):
                    while True:
                        self.wfile.write(of * (65536 // len(of)))
                        told.sent += 65536

        do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the server looks for these names

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        told = Endless(f"127.0.0.1:{server.server_port}")
        with in_a_thread(server):
            yield told


class TokenServer:
    """A token server: where it is, and what it was asked."""

    def __init__(self) -> None:
        self.host = ""
        self.queries: list[dict[str, list[str]]] = []

    def settings(self, folder: Path, *, query: str = "") -> dict[str, str]:
        """What a registry has to be told of it. Args: folder: with certificate.pem; query: of its address."""
        return {
            "realm": f"http://{self.host}/token{query}",
            "service": "tests",
            "issuer": "tests",
            "rootcertbundle": str(folder / "certificate.pem"),
        }


@contextmanager
def token_server(folder: Path | None = None, *, lifetime: float = 300) -> Iterator[TokenServer]:
    """A token server that gives nobody and alice all rights, signed with key.pem and certificate.pem of a folder."""
    tokens = TokenServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            self.answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            self.answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def answer(self, query: dict[str, list[str]]) -> None:
            tokens.queries.append(query)
            said = self.headers.get("Authorization")
            right = said in (None, "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
            scopes = [part for scope in query.get("scope", []) for part in scope.split()]
            document: dict[str, Any] = {"details": "incorrect username or password"}
            if right:
                token = signed(folder, scopes) if folder else "a token"
                key = "access_token" if self.command == "POST" else "token"
                document = {key: token, "expires_in": lifetime}
            body = json.dumps(document).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tokens.host = f"127.0.0.1:{server.server_port}"
        with in_a_thread(server):
            yield tokens


def signed(folder: Path, scopes: list[str]) -> str:
    """A token as the distribution registry checks it (its spec, "Token Authentication Implementation")."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    pem = (folder / "certificate.pem").read_text()
    der = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", pem, re.MULTILINE))
    access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
    now = int(time.time())
    claims = {
        "iss": "tests",
        "sub": "",
        "aud": "tests",
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now,
        "jti": "1",
        "access": [{**right, "actions": str(right["actions"]).split(",")} for right in access],
    }
    header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    content = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", str(folder / "key.pem")]
    signature = subprocess.run(command, input=content.encode(), capture_output=True, check=True).stdout
    return f"{content}.{encoded(signature)}"


@contextmanager
def registry_answering_bearer(server: TokenServer) -> Iterator[str]:
    """A registry that wants a token, and holds nothing."""
    with proxies.before("127.0.0.1:9") as registry:
        challenge = f'Bearer realm="http://{server.host}/token",service="x"'
        registry.faults += [
            Fault("GET", "/v2/$", times=100, status=401, headers={"WWW-Authenticate": challenge}),
            Fault("POST", times=100, status=202),
            Fault(".*", times=100, status=404),
        ]
        yield registry.host


@contextmanager
def private_index(folder: Path, password: str) -> Iterator[str]:
    """A package index with the package toolx, for ann and for who has the password as `token` in a query alone.

    Beside it is signed/tooly-1.0-py3-none-any.whl. Yields: its "HOST:PORT/simple".
    """
    wheel = make_wheel(folder / "simple" / "toolx", "toolx")
    wheel.with_name("index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    make_wheel(folder / "signed", "tooly")
    wanted = f"Basic {base64.b64encode(f'ann:{password}'.encode()).decode()}"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query).get("token")
            if self.headers["Authorization"] == wanted or asked == [password]:
                super().do_GET()
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Length", "0")
                self.end_headers()

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, in_a_thread(server):
        yield f"127.0.0.1:{server.server_port}/simple"
