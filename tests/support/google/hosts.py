"""Google's own host names, led to the stand-in by a proxy: for clients whose addresses cannot be changed.

google-auth asks oauth2.googleapis.com for a user's tokens whatever the credentials file says, for one.
"""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.google import keys, rpc, web
from tests.support.google.apis import SERVICES
from tests.support.google.docker import DockerHandler
from tests.support.google.state import State
from tests.support.google.tokens import TokenHandler

ORIGIN = "https://oauth2.googleapis.com"
"""Where credential files for this say that tokens are given out."""

_HELLO = 1 << 12


@contextmanager
def led_here(state: State, folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which Google's host names lead here, and all others nowhere.

    Args:
        state: of everything.
        folder: gets certificate.pem, which is to be trusted, and key.pem.
    """
    folder.mkdir(parents=True, exist_ok=True)
    private, certificate = keys.certificate()
    (folder / "key.pem").write_text(private)
    (folder / "certificate.pem").write_text(certificate)
    with ExitStack() as stack:
        apis = stack.enter_context(rpc.serving(state, SERVICES, 0, folder))
        tokens = stack.enter_context(web.serving(state, TokenHandler, 0, folder))
        images = stack.enter_context(web.serving(state, DockerHandler, 0, folder))
        proxy = stack.enter_context(_Proxy(apis, tokens, images))
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(proxy.shutdown)
        address = f"http://127.0.0.1:{proxy.server_port}"
        trusted = str(folder / "certificate.pem")
        yield {
            "HTTPS_PROXY": address,
            "https_proxy": address,
            "REQUESTS_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": trusted,
        }


class _Proxy(ThreadingHTTPServer):
    """A proxy that knows three servers: of APIs, of tokens, of images; all speak TLS."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, apis: int, tokens: int, images: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.apis, self.tokens, self.images = apis, tokens, images

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go when they like."""


class _Connection(BaseHTTPRequestHandler):
    server: _Proxy

    def log_message(self, format: str, *args: object) -> None: ...

    def do_CONNECT(self) -> None:
        """Join the client with whom it means."""
        self.close_connection = True
        host = self.path.rpartition(":")[0]
        if not re.fullmatch(r".*\.(googleapis\.com|pkg\.dev)", host):
            self.send_error(403, "Only Google is reached through here")
            return
        self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        # gRPC offers HTTP/2 when it says hello (RFC 7301).
        hello = self.connection.recv(_HELLO, socket.MSG_PEEK)
        port = self.server.apis if b"\x02h2" in hello else self.server.tokens
        port = self.server.images if host.endswith("-docker.pkg.dev") else port
        with socket.create_connection(("127.0.0.1", port)) as other, suppress(OSError):
            both = (self.connection, other)
            while True:
                for side in select.select(both, (), ())[0]:
                    piece = side.recv(web.PIECE)
                    if not piece:
                        return
                    both[side is self.connection].sendall(piece)
