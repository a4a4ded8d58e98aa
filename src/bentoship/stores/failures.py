"""Requests that get no response: why, in clear words, and what to do."""

import http.client
import socket
import ssl
from urllib.parse import urlsplit

import urllib3

from bentoship.errors import RegistryError, causes
from bentoship.system.network import redacted

CONNECT_TIMEOUT = 10.0
"""Seconds within which a connection has to be made, TLS included."""


def no_answer(doing: str, url: str, error: BaseException) -> RegistryError:
    """Return the error for a request that got no response, or only part of one.

    Args:
        doing: what was being done.
        url: the requested URL.
        error: what urllib3, ssl or socket raised.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    chain = causes(error)
    cause = chain[-1]
    text = str(cause)
    if isinstance(error, urllib3.exceptions.ProxyError):
        refused = "Tunnel connection failed: 4" in text
        return RegistryError(doing, f"the proxy connection failed ({text})", _PROXY, temporary=not refused)
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
            f"Check the port. To send everything unencrypted, use http://{host}/… as the registry.",
        )
    if isinstance(error, urllib3.exceptions.NameResolutionError) or isinstance(cause, socket.gaierror):
        return RegistryError(
            doing,
            f"the host name {host} cannot be resolved",
            "Check the name and this machine's network connection.",
            # No name server answered, or not one that knows.
            temporary=isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_AGAIN,
        )
    # A status line that is a TLS alert (RFC 8446, 5.1: type 21, version 3.x).
    if "\x15\x03" in text or "\\x15\\x03" in text:
        return RegistryError(doing, f"{host} speaks TLS, not HTTP", f"Use https://{host}/… as the registry.")
    # urllib3 treats a refused connection as a timeout, too. A server that restarts refuses for a while.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        reason = (cause.strerror if isinstance(cause, OSError) and cause.strerror else text).lower()
        return RegistryError(doing, reason if host in doing else f"{host}: {reason}", _REACH, temporary=True)
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return RegistryError(doing, f"{host} did not respond within {CONNECT_TIMEOUT:g} s", _REACH, temporary=True)
    if isinstance(error, urllib3.exceptions.TimeoutError) or isinstance(cause, TimeoutError):
        return RegistryError(doing, f"{host} stopped responding", _AGAIN, temporary=True)
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return RegistryError(doing, f"{redacted(url)} is not a valid URL")
    if any(type(link) is http.client.BadStatusLine for link in chain):  # not its subclass RemoteDisconnected
        return RegistryError(doing, f"{host} does not speak HTTP", "Check the port.")
    return RegistryError(
        doing, f"the connection to {host} was interrupted ({text or type(cause).__name__})", _AGAIN, temporary=True
    )


def distrust_hint(why: str) -> str:
    """Return what to do about an untrusted certificate. Args: why: OpenSSL's reason."""
    if "expired" in why or "not yet valid" in why:
        return "Check this machine's clock; if it is right, the server needs a new certificate."
    return "If your own authority or proxy issued it, set SSL_CERT_FILE to a file with that authority's certificate."


_PROXY = "Check what names it (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), and NO_PROXY."
_REACH = "Check the host and port, and whether a firewall or proxy blocks the connection."
_AGAIN = "Run the same command again: what has already arrived is not sent again."
