"""Google's own host names, led to the stand-in by a proxy: for clients whose addresses cannot be changed.

google-auth asks oauth2.googleapis.com for a user's tokens whatever the credentials file says, for one.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.google import apis, keys, web
from tests.support.google.docker import DockerHandler
from tests.support.google.state import State
from tests.support.google.tokens import TokenHandler

ORIGIN = "https://oauth2.googleapis.com"
"""Where credential files for this say that tokens are given out."""

_OF_TOKENS = {"oauth2", "sts", "iamcredentials", "openidconnect"}


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
        handlers = {"docker": DockerHandler, "tokens": TokenHandler, "apis": apis.Handler}
        ports = {
            name: stack.enter_context(web.serving(state, handler, 0, folder)) for name, handler in handlers.items()
        }
        proxy = stack.enter_context(_Proxy(ports))
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(proxy.shutdown)
        address = f"http://127.0.0.1:{proxy.server_port}"
        trusted = str(folder / "certificate.pem")
        yield {
            "HTTPS_PROXY": address,
            "https_proxy": address,
            "REQUESTS_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
        }


class _Proxy(ThreadingHTTPServer):
    """A proxy that knows three servers: of APIs, of tokens, of images; all speak TLS."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, ports: Mapping[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.ports = ports

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
        kind = "tokens" if host.partition(".")[0] in _OF_TOKENS else "apis"
        kind = "docker" if host.endswith("-docker.pkg.dev") else kind
        address = ("127.0.0.1", self.server.ports[kind])
        # Not select.select, which takes no descriptor above 1023: a long run of tests has as many.
        with socket.create_connection(address) as other, selectors.DefaultSelector() as waiting, suppress(OSError):
            waiting.register(self.connection, selectors.EVENT_READ, other)
            waiting.register(other, selectors.EVENT_READ, self.connection)
            while True:
                for side, _ in waiting.select():
                    piece = side.fileobj.recv(web.PIECE)  # type: ignore[union-attr]  # a socket
                    if not piece:
                        return
                    side.data.sendall(piece)
