"""HTTP to registries: connections, proxies, certificates, and clear errors when a request gets no response."""

import http.client
import math
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bentoship.errors import RegistryError
from bentoship.stores import Reader, failures
from bentoship.stores.bodies import Exchange, read_whole
from bentoship.stores.failures import no_answer
from bentoship.system.network import Network, is_loopback, origin, redacted
from bentoship.system.retry import persist
from bentoship.system.urls import without_secrets

SEND_TIMEOUT = 40.0
"""Seconds within which the server has to take the next block of a body."""

READ_TIMEOUT = 40.0
"""Seconds within which the server has to respond, and to send the next block of its response."""

STORE_SPEED = 10_000_000.0
"""Bytes per second at which a registry checks and moves what was sent, at least: it responds only afterwards."""

IDLE_TIMEOUT = 60.0
"""Seconds without a request after which new connections are opened: firewalls drop idle ones silently."""

BLOCK = 1 << 16
"""The number of bytes written to a connection at a time."""

TOLD_EVERY = 15.0
"""Seconds between two sentences on what is waited for."""

_UNSENT = 1 << 17
"""Bytes that may wait in this machine's send buffer, beside those under way.

Without a limit a buffer holds megabytes, which count as sent: on a slow link the response then seems to be late.
"""

_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), _UNSENT) for name in ["TCP_NOTSENT_LOWAT"] if hasattr(socket, name)),
]

T = TypeVar("T")


class Http:
    """A pool of connections to registries; safe to share between threads.

    Args:
        network: the proxies and certificates to use.
        patience: the seconds in which nothing may move before a failure is final; 0 to try everything once.
        tell: receives a sentence when something has to be waited for.
    """

    def __init__(self, network: Network, patience: float = 0.0, tell: Callable[[str], None] = lambda _: None) -> None:
        self.patience = patience
        self._tell = tell
        self._told = -math.inf
        self._network = network
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}
        self._pools: dict[tuple[str, str], urllib3.HTTPConnectionPool | urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._used = time.monotonic()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._interrupts = 0
        self._interrupted = threading.Condition()

    def persist(self, action: Callable[[], T]) -> T:
        """Call a function, and again after temporary errors, as patience allows.

        Raises: whatever the last attempt raises; CancelledError when `interrupt` ends a pause.
        """
        return persist(action, patience=self.patience, wait=self._wait, tell=self._notice)

    def request(
        self,
        doing: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None = None,
        timeout: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return its response with the body unread; redirects are not followed.

        Args:
            doing: what is being done, for errors.
            method: the HTTP method.
            url: the URL; the response's `url` is the same.
            headers: the headers to send.
            body: the body; a stream needs a Content-Length among the headers.
            timeout: seconds within which the server has to respond, READ_TIMEOUT when None; more for a long body.

        Raises: RegistryError when there is no response.
        """
        _check(doing, url)
        timeout = READ_TIMEOUT if timeout is None else timeout
        length = len(body) if isinstance(body, bytes) else int(headers.get("Content-Length", 0))
        limits = urllib3.Timeout(connect=min(failures.CONNECT_TIMEOUT, timeout), read=timeout + length / STORE_SPEED)
        try:
            opened, target = self._pool(url)
            answer = opened.urlopen(
                method,
                target,
                body=body,  # type: ignore[arg-type]  # a Reader has `read`, which is all that urllib3 uses
                headers={"User-Agent": "bentoship", "Accept-Encoding": "identity", **headers},
                timeout=limits,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise no_answer(doing, url, error) from error
        answer.url = url  # urllib3 knows only its path
        return answer

    def exchange(
        self,
        doing: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> Exchange:
        """Send a request and return its response with the body. Args: as for `request`.

        Raises: RegistryError when there is no response, or a long one.
        """
        answer = self.request(doing, method, url, headers, body, timeout)
        try:
            return read_whole(doing, answer)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(doing, url, error) from error

    def proxy(self, url: str) -> str | None:
        """Return the URL of the proxy for a URL; None when it is reached directly, as loopback is."""
        parts = urlsplit(url)
        return None if is_loopback(parts.netloc) else self._network.proxy(parts.scheme, parts.netloc)

    def interrupt(self) -> None:
        """Abort the requests and pauses of all other threads with an error. Later requests work as before."""
        with self._interrupted:
            self._interrupts += 1
            self._interrupted.notify_all()
        with self._lock:
            for sock in list(self._sockets):
                # Not SSLSocket's own shutdown, which drops the TLS session while another thread reads from it.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _notice(self, error: RegistryError, left: float) -> None:
        """Report what is waited for, once for all threads that wait."""
        with self._lock:
            if time.monotonic() - self._told < TOLD_EVERY:
                return
            self._told = time.monotonic()
        self._tell(f"{error.doing}: {error.why}; trying again for up to {left:.0f} s")

    def _wait(self, seconds: float) -> bool:
        """Wait for some seconds. Returns: whether `interrupt` ended that."""
        with self._interrupted:
            before = self._interrupts
            return self._interrupted.wait_for(lambda: self._interrupts != before, seconds)

    def _pool(self, url: str) -> tuple[urllib3.HTTPConnectionPool | urllib3.PoolManager, str]:
        """Return what sends a request to a URL, and how it wants the URL.

        What needs no proxy is sent by the pool of its host, which spares urllib3 to find that out each time: a seventh
        of the time of a small request. A proxy may want whole URLs, and headers of its own.
        """
        parts = urlsplit(url)
        with self._lock:
            if time.monotonic() - self._used > IDLE_TIMEOUT:
                for manager in self._managers.values():
                    manager.clear()
                self._pools.clear()
            self._used = time.monotonic()
            place = parts.scheme, parts.netloc
            if place not in self._pools:
                proxy = self.proxy(url)
                if (parts.scheme, proxy) not in self._managers:
                    self._managers[parts.scheme, proxy] = self._new_manager(parts.scheme, proxy)
                manager = self._managers[parts.scheme, proxy]
                self._pools[place] = manager if proxy else manager.connection_from_url(url)
            pool = self._pools[place]
        if isinstance(pool, urllib3.PoolManager):
            return pool, url
        target = url.partition(parts.netloc)[2]
        return pool, target if target.startswith("/") else f"/{target}"

    def _new_manager(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        # None of the pools is closed for the sake of others: they are used again by `_pool`.
        options: dict[str, Any] = {
            "num_pools": sys.maxsize,
            "maxsize": 16,
            "blocksize": BLOCK,
            "socket_options": _SOCKET_OPTIONS,
        }
        if scheme == "https":
            options["ssl_context"] = self._tls()
        manager = urllib3.PoolManager(**options) if proxy is None else _proxy_manager(proxy, options)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._network.ca_file, capath=self._network.ca_folder)
        except OSError as error:
            doing = f"Read the certificates in {self._network.ca_file or self._network.ca_folder}"
            hint = "Correct what names it: SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE."
            raise RegistryError(doing, error.strerror or str(error), hint) from error

    def _pool_classes(self) -> dict[str, Any]:
        """Return urllib3's pools, with our connections."""
        opened = self._opened

        class Plain(_Timed, HTTPConnection):
            response_class = _Response

            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class Secure(_Timed, HTTPSConnection):
            response_class = _Response

            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}

    def _opened(self, sock: socket.socket | None) -> None:
        if sock is not None:
            with self._lock:
                self._sockets.add(sock)


class _Timed(http.client.HTTPConnection):
    """A connection with a time limit of its own for sending, and that notices when the head of a response is cut."""

    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()
        self._allow_sending()

    def putrequest(self, *args: Any, **options: Any) -> None:
        # urllib3 sends with the limit that is meant for connecting.
        self._allow_sending()
        super().putrequest(*args, **options)

    def _allow_sending(self) -> None:
        if self.sock is not None:
            self.sock.settimeout(SEND_TIMEOUT)


class _Response(http.client.HTTPResponse):
    """A response whose head has to arrive whole: Python takes one that breaks off for one with fewer headers."""

    def begin(self) -> None:
        stream: Any = self.fp
        self.fp = _Head(stream)  # type: ignore[assignment]  # what is read of a head is lines
        try:
            super().begin()
        finally:
            if self.fp is not None:  # a response without a body closes it
                self.fp = stream


class _Head:
    """The lines of a response's head. Args: stream: the connection."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        # What is no HTTP at all is for http.client to name.
        ours = self._begun or line.startswith(_STATUS_LINE) or (line and _STATUS_LINE.startswith(line))
        if ours and not line.endswith(b"\n") and len(line) < limit:
            raise http.client.IncompleteRead(line)
        self._begun = True
        return line

    def close(self) -> None:
        self._stream.close()


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    user = unquote(urlsplit(proxy).netloc.rpartition("@")[0])
    try:
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except urllib3.exceptions.LocationValueError as error:
        why = "only http:// and https:// proxies are supported"
        hint = "Correct what names it: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY."
        raise RegistryError(f"Use the proxy {redacted(proxy)}", why, hint) from error


def _check(doing: str, url: str) -> None:
    """Raise RegistryError for a URL, which a server may have named, that is none."""
    try:
        origin(url)
    except ValueError as error:
        raise RegistryError(doing, f"{without_secrets(url)} is not a valid URL ({error})") from error


_STATUS_LINE = b"HTTP/"
