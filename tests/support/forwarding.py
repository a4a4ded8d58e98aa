"""A port that hands on to a server whatever comes, TLS or not, and counts the connections."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bentoship.system.sandbox_forward import pump
from tests.support.threads import in_a_thread


class Forwarder:
    """Where it listens, and how many have come.

    Args:
        host: its "HOST:PORT".
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.connections = 0


@contextmanager
def forwarding(upstream: str) -> Iterator[Forwarder]:
    """A forwarder, as long as the block lasts.

    Args:
        upstream: "HOST:PORT" of the server.
    """
    host, _, port = upstream.rpartition(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            forwarder.connections += 1
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                back.start()
                pump(self.request, server)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        forwarder = Forwarder(f"127.0.0.1:{server.server_address[1]}")
        with in_a_thread(server):
            yield forwarder
