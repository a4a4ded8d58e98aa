"""A server that stands before a real one and fails as networks and servers do, on demand."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bentoship.system.network import Network

_PIECE = 1 << 14


@dataclass
class Fault:
    """What goes wrong, and with which requests.

    Args:
        method: of the requests, a regular expression.
        path: that their path contains, another one.
        times: how many of them, from the first on.
        status: what to answer instead of the real answer; 0 for nothing.
        as_status: what to answer with instead of the real answer's status, once the request was handed on; 0 for that.
        relative: whether the real answer's Location is made relative to its host.
        headers: of that answer.
        body: of that answer.
        cut_sent: after so many bytes of the request's body the connection is cut.
        cut_received: after so many bytes of the answer's body it is cut.
        cut_head: after so many bytes of the answer's status line and headers it is cut.
        reset: whether to reset the connection instead of reading the request's body.
        delay: seconds before the request is handed on.
        lost: whether the request is handed on, but its answer is not.
        damage: whether the last byte of the request's body is changed on its way.
        stall: whether to answer nothing at all until the proxy ends.
        after_stalls: how many other requests have to be stalled before.
    """

    method: str = ".*"
    path: str = ""
    times: int = 1
    status: int = 0
    as_status: int = 0
    relative: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_sent: int | None = None
    cut_received: int | None = None
    cut_head: int | None = None
    reset: bool = False
    delay: float = 0.0
    lost: bool = False
    damage: bool = False
    stall: bool = False
    after_stalls: int = 0


@dataclass(frozen=True)
class Request:
    """What somebody asked."""

    method: str
    path: str
    headers: Mapping[str, str]


class Proxy:
    """The proxy: its address, the faults to come, and what was asked so far."""

    def __init__(self, host: str, upstream: str) -> None:
        self.host = host
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.ended = threading.Event()
        self.stalled = threading.Semaphore(0)
        self.chance: Callable[[Request], Fault | None] = lambda _: None
        """What is to go wrong with a request that none of the faults is meant for."""
        self.rate: float | None = None
        """Bytes that pass in a second, in both directions together; None for as many as can."""
        self.moved = 0
        """The bytes of bodies that have passed so far."""
        self._free = 0.0
        self._lock = threading.Lock()

    def pass_on(self, count: int) -> None:
        """Count bytes, and wait until as many may pass."""
        with self._lock:
            self.moved += count
            if self.rate is None:
                return
            self._free = max(self._free, time.monotonic()) + count / self.rate
            pause = self._free - time.monotonic()
        self.ended.wait(max(0.0, pause))

    def count(self, method: str, path: str = "") -> int:
        """How many such requests there were."""
        return sum(request.method == method and bool(re.search(path, request.path)) for request in self.requests)

    def fault(self, request: Request) -> Fault:
        """What is to go wrong with this request."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if (
                    fault.times > 0
                    and re.fullmatch(fault.method, request.method)
                    and re.search(fault.path, request.path)
                ):
                    fault.times -= 1
                    return fault
            return self.chance(request) or Fault()


@contextmanager
def before(upstream: str, *, port: int = 0) -> Iterator[Proxy]:
    """A proxy before a server, as long as the block lasts.

    Args:
        upstream: "HOST:PORT" of the server.
        port: where it listens; 0 for any that is free.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    server.proxy = Proxy(f"127.0.0.1:{server.server_port}", upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.proxy
    finally:
        server.proxy.ended.set()
        server.shutdown()
        server.server_close()


def network(proxy: Proxy) -> Network:
    """The settings of a network in which everything but this machine is reached through a proxy."""
    return Network(proxies={"http": f"http://{proxy.host}"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Cuts are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # What is no HTTP, such as TLS, is answered with a status line, too, by which clients see what they have met.
    default_request_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None: ...

    def _serve(self) -> None:
        proxy = self.server.proxy
        fault = proxy.fault(Request(self.command, self.path, dict(self.headers)))
        for _ in range(fault.after_stalls):
            proxy.stalled.acquire(timeout=30)
        if fault.stall:
            proxy.stalled.release()
            proxy.ended.wait()
            return self._cut()
        proxy.ended.wait(fault.delay)
        if fault.reset:
            # Lingering for no time makes closing a reset (socket(7)).
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return None
        if fault.cut_sent is not None:
            for _ in self._body(fault.cut_sent):
                pass
            return self._cut()
        if fault.status:
            for _ in self._body():
                pass
            return self._answer(fault.status, fault.headers, fault.body)
        return self._forward(fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the server looks for these names

    def _forward(self, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self.server.proxy.upstream, timeout=60)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            # The host stays: the registry names upload addresses after it, so they lead through here again.
            chunked = self._is_chunked
            body = self._body() if chunked or int(headers.get("Content-Length") or 0) else None
            if body is not None and fault.damage:
                body = _damaged(body)
            upstream.request(self.command, self.path, body, headers, encode_chunked=chunked)
            answer = upstream.getresponse()
            if fault.lost:
                return self._cut()
            self.send_response_only(fault.as_status or answer.status)
            for key, value in answer.getheaders():
                if key == "Location" and fault.relative:
                    value = re.sub("^http://[^/]+", "", value)
                if key.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(key, value)
            if answer.headers.get("Content-Length") is None:
                self.send_header("Content-Length", "0")
            if fault.cut_head is not None:
                head: list[bytes] = getattr(self, "_headers_buffer")  # noqa: B009 - its stub lacks it
                self.wfile.write(b"".join(head)[: fault.cut_head])
                return self._cut()
            self.end_headers()
            left = fault.cut_received
            while piece := answer.read(_PIECE):
                self.server.proxy.pass_on(len(piece))
                self.wfile.write(piece if left is None else piece[:left])
                if left is not None and (left := left - len(piece)) <= 0:
                    return self._cut()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _is_chunked(self) -> bool:
        """Whether the request's body comes in pieces that each tell their size, as Docker's engine sends layers."""
        return self.headers.get("Transfer-Encoding") == "chunked"

    def _body(self, most: int | None = None) -> Iterator[bytes]:
        """The request's body, or so many bytes of it."""
        pieces = self._chunks() if self._is_chunked else self._pieces(int(self.headers.get("Content-Length") or 0))
        for piece in pieces:
            if most is None:
                yield piece
            elif most > 0:
                yield piece[:most]
                most -= len(piece)
            else:
                return

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield from self._pieces(size)
            self.rfile.readline()
        self.rfile.readline()

    def _pieces(self, length: int) -> Iterator[bytes]:
        while length > 0 and (piece := self.rfile.read(min(_PIECE, length))):
            length -= len(piece)
            self.server.proxy.pass_on(len(piece))
            yield piece

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _damaged(body: Iterator[bytes]) -> Iterator[bytes]:
    """Change the last byte."""
    last = b""
    for piece in body:
        yield last
        last = piece
    yield last[:-1] + bytes([last[-1] ^ 1])
