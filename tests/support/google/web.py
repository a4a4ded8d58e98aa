"""HTTP servers of a few lines: requests are recorded, faults come in, bodies are streams."""

from __future__ import annotations

import json
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.google.faults import Answer
from tests.support.google.state import State

PIECE = 1 << 16


class StopError(Exception):
    """Ends a request with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def document(status: int, content: Any, headers: dict[str, str] | None = None) -> Answer:
    """An answer in JSON, which Google ends with a line break."""
    body = json.dumps(content, separators=(",", ":")).encode() + b"\n"
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


class Handler(BaseHTTPRequestHandler):
    """One connection; what is asked on it, respond() answers."""

    protocol_version = "HTTP/1.1"
    server: Server

    def respond(self) -> Answer | None:
        """The answer to this request, which may also be raised as StopError; None when it has been sent."""
        raise NotImplementedError

    @property
    def state(self) -> State:
        """All that is known."""
        return self.server.state

    @property
    def place(self) -> str:
        """The path that is asked for, without its query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        """What stands behind the path."""
        return parse_qs(urlsplit(self.path).query)

    def form(self) -> dict[str, str]:
        """The body, when it is a form or a flat JSON document."""
        text = b"".join(self.body).decode()
        if "json" in self.headers.get("Content-Type", ""):
            return dict(json.loads(text))
        return {key: values[0] for key, values in parse_qs(text).items()}

    def send(self, answer: Answer) -> None:
        """Answer, after what is left of the request."""
        for _ in self.body:
            pass
        self.send_response_only(answer.status)
        for key, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """What is asked is told by the state instead."""

    def _serve(self) -> None:
        begun = time.monotonic()
        # Secrets are in queries.
        self.asked = self.state.record(self.command, self.place)
        self.status = 0
        self.note = ""
        self.body = self._pieces()
        try:
            self.state.settle()
            answer: Answer | None = None
            if fault := self.state.faults.take(f"{self.command} {self.path}"):
                self.state.ended.wait(fault.hang)
                answer = fault.error if isinstance(fault.error, Answer) else None
            answer = answer or self.respond()
            if answer:
                self.send(answer)
        except StopError as stop:
            self.send(stop.answer)
        except OSError:
            self.close_connection = True
        finally:
            spent = (time.monotonic() - begun) * 1000
            received = f"{self.asked.received} bytes, {spent:.0f} ms"
            self.state.report(f"{self.command} {self.place} {self.status}{self.note} ({received})")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the server looks for these names

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Remember what was answered, too."""
        self.status = code
        super().send_response_only(code, message)

    def _pieces(self) -> Iterator[bytes]:
        """The request's body."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield from self._exactly(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            yield from self._exactly(int(self.headers.get("Content-Length") or 0))

    def _exactly(self, left: int) -> Iterator[bytes]:
        while left > 0:
            piece = self.rfile.read(min(PIECE, left))
            if not piece:
                raise ConnectionResetError("the request broke off")
            left -= len(piece)
            self.asked.received += len(piece)
            yield piece


class Server(ThreadingHTTPServer):
    """A server that knows everything."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    state: State

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go when they like; errors of our own are told."""
        self.state.report(traceback.format_exc())


@contextmanager
def serving(state: State, handler: type[Handler], port: int, tls: Path | None = None) -> Iterator[int]:
    """A server on loopback, as long as the block lasts; gives its port.

    Args:
        state: of everything.
        handler: answers.
        port: to listen on; 0 for any.
        tls: a folder with key.pem and certificate.pem, for a server that speaks TLS.
    """
    with Server(("127.0.0.1", port), handler) as server:
        server.state = state
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server.server_port
        finally:
            with suppress(OSError):
                server.shutdown()
