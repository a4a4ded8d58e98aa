"""HTTP to registries: connections, proxies and certificates, and what goes wrong there, in words."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bentoship.errors import RegistryError, causes
from bentoship.stores import Reader
from bentoship.system.network import Network, is_loopback, redacted

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0
STORE_TIMEOUT = 300.0
"""Seconds; after a large body a registry moves and checks it before it answers."""

IDLE_TIMEOUT = 60.0
"""Seconds without a request, after which new connections are opened: firewalls drop idle ones without telling."""

BLOCK = 1 << 16
"""Bytes that are handed to a connection at a time."""


class Http:
    """Connections to registries, kept open for further requests; safe to share between threads.

    Args:
        network: the proxies and certificates to use.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._used = time.monotonic()
        self._sockets: WeakSet[socket.socket] = WeakSet()

    def request(
        self,
        doing: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Reader | None = None,
        timeout: float = READ_TIMEOUT,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and give its answer, whose body is yet to be read; no redirect is followed.

        Args: timeout: the seconds that a server may take to answer; one that is sent a stream has longer.

        Raises: RegistryError when there is no answer.
        """
        # The first of the two also limits how long the other side may leave sent bytes unread.
        sending = body is not None and not isinstance(body, bytes)
        limits = (READ_TIMEOUT, STORE_TIMEOUT) if sending else (min(CONNECT_TIMEOUT, timeout), timeout)
        try:
            return self._manager(url).request(
                method,
                url,
                body=body,  # type: ignore[arg-type]  # a Reader reads as files do, which is all that is asked
                headers={"User-Agent": "bentoship", "Accept-Encoding": "identity", **headers},
                timeout=urllib3.Timeout(*limits),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise no_answer(doing, url, error) from error

    def exchange(
        self,
        doing: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float = READ_TIMEOUT,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and give its answer, whose body is in its `data`. Args, raises: as those of `request`."""
        answer = self.request(doing, method, url, headers, body, timeout)
        try:
            answer.data  # noqa: B018 - reads and keeps it
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise no_answer(doing, url, error) from error
        return answer

    def proxy(self, url: str) -> str | None:
        """The address of the proxy to a URL; None when it is reached directly, as this machine itself is."""
        parts = urlsplit(url)
        return None if is_loopback(parts.netloc) else self._network.proxy(parts.scheme, parts.netloc)

    def interrupt(self) -> None:
        """End all requests of other threads now, with an error there. Later requests work as before."""
        with self._lock:
            for sock in list(self._sockets):
                # Not SSLSocket's own shutdown: it takes the TLS session away under the thread that reads from it.
                with suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = self.proxy(url)
        with self._lock:
            if time.monotonic() - self._used > IDLE_TIMEOUT:
                for manager in self._managers.values():
                    manager.clear()
            self._used = time.monotonic()
            if (parts.scheme, proxy) not in self._managers:
                self._managers[parts.scheme, proxy] = self._new_manager(parts.scheme, proxy)
            return self._managers[parts.scheme, proxy]

    def _new_manager(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": 16, "blocksize": BLOCK}
        if scheme == "https":
            options["ssl_context"] = self._tls()
        manager = urllib3.PoolManager(**options) if proxy is None else _proxy_manager(proxy, options)
        manager.pool_classes_by_scheme = self._pools()
        return manager

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._network.ca_file, capath=self._network.ca_folder)
        except OSError as error:
            file = self._network.ca_file or self._network.ca_folder
            raise RegistryError(
                f"Read the certificates in {file}", error.strerror or str(error), "Correct SSL_CERT_FILE."
            ) from error

    def _pools(self) -> dict[str, Any]:
        """urllib3's own pools, whose connections tell us their sockets."""
        opened = self._opened

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                opened(self.sock)

        class Secure(HTTPSConnection):
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


def _proxy_manager(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    user = unquote(urlsplit(proxy).netloc.rpartition("@")[0])
    try:
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except urllib3.exceptions.LocationValueError as error:
        why = "only proxies that are reached by http:// or https:// can be used"
        raise RegistryError(f"Use the proxy {redacted(proxy)}", why, "Correct HTTPS_PROXY.") from error


def no_answer(doing: str, url: str, error: BaseException) -> RegistryError:
    """The error for a request that got no answer, or only a part of one.

    Args:
        doing: what was being done.
        url: where.
        error: what urllib3, ssl or socket raised.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    chain = causes(error)
    cause = chain[-1]
    text = str(cause)
    if isinstance(error, urllib3.exceptions.ProxyError):
        return RegistryError(doing, f"the proxy does not let us through ({text})", "Check HTTPS_PROXY and NO_PROXY.")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return RegistryError(
            doing,
            f"the certificate of {host} is not trusted: {cause.verify_message}",
            distrust_hint(cause.verify_message),
        )
    if isinstance(cause, ssl.SSLError) and ("WRONG_VERSION_NUMBER" in text or "RECORD_LAYER" in text):
        return RegistryError(
            doing,
            f"{host} speaks HTTP, not TLS",
            f"Is the port right? To send everything to it in the clear, write http://{host}/… as the registry.",
        )
    if isinstance(error, urllib3.exceptions.NameResolutionError) or isinstance(cause, socket.gaierror):
        return RegistryError(
            doing, f"no address is known for {host}", "Check the name, and that this machine is on the network."
        )
    # A status line that is a TLS alert (RFC 8446, 5.1: type 21, version 3.x).
    if "\x15\x03" in text or "\\x15\\x03" in text:
        return RegistryError(doing, f"{host} speaks TLS, not HTTP", f"Write https://{host}/… as the registry.")
    # To urllib3 a refused connection is a time-out, too.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        reason = (cause.strerror if isinstance(cause, OSError) and cause.strerror else text).lower()
        return RegistryError(doing, reason if host in doing else f"{host}: {reason}", _REACH)
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return RegistryError(doing, f"{host} did not answer within {CONNECT_TIMEOUT:.0f} s", _REACH, temporary=True)
    if isinstance(error, urllib3.exceptions.TimeoutError) or isinstance(cause, TimeoutError):
        return RegistryError(doing, f"{host} stopped answering", _AGAIN, temporary=True)
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return RegistryError(doing, f"{redacted(url)} is not an address")
    if any(type(link) is http.client.BadStatusLine for link in chain):  # not RemoteDisconnected, which is one, too
        return RegistryError(doing, f"{host} does not speak HTTP", "Is the port right?")
    return RegistryError(
        doing, f"the connection to {host} was cut ({text or type(cause).__name__})", _AGAIN, temporary=True
    )


def distrust_hint(why: str) -> str:
    """What to do about a certificate that is not trusted. Args: why: in OpenSSL's words."""
    if "expired" in why or "not yet valid" in why:
        return "Is the clock of this machine right? Else it is the server's to have a new one."
    return "If it is your own authority's, or your proxy's, name a file with its certificate in SSL_CERT_FILE."


_REACH = "Check the host and port, and whether a firewall or proxy lies between."
_AGAIN = "Run the same command again: what has arrived is not sent again."
