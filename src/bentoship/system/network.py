"""Network settings, proxies and certificates, and the parts of URLs."""

import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from bentoship.system.process import environment
from bentoship.system.values import dataclass

# Where systems keep their trusted certificates, for a Python that was built for another system.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """The network settings of this machine.

    Args:
        proxies: the URL of the proxy for each scheme, or for "all".
        no_proxy: the hosts to reach directly, in the form of NO_PROXY.
        ca_file: a file of trusted certificates; the system's own when None.
        ca_folder: a folder of trusted certificates.
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: str = ""
    ca_file: str | None = None
    ca_folder: str | None = None

    def proxy(self, scheme: str, host: str) -> str | None:
        """Return the URL of the proxy for a host (with its port, if any); None when it is reached directly."""
        # The function that urllib itself uses, though its type stubs lack it.
        if urllib.request.proxy_bypass_environment(host, {"no": self.no_proxy}):  # type: ignore[attr-defined]
            return None
        proxy = self.proxies.get(scheme) or self.proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def network_settings() -> Network:
    """Return the proxies and certificates that the environment sets, by the variables of curl, Go and requests."""
    proxies = urllib.request.getproxies_environment()
    no_proxy = proxies.pop("no", "")
    env = environment()
    named = env.get("SSL_CERT_FILE") or env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE") or None
    folder = env.get("SSL_CERT_DIR")
    usual = ssl.get_default_verify_paths()
    if not named and not folder and not usual.cafile and not usual.capath:
        named = next((path for path in _BUNDLES if Path(path).is_file()), None)
    return Network(proxies, no_proxy, named, folder)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is on loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


Place = Literal["public", "private", "link-local", "loopback"]
"""Where an address is, seen from this machine; "private" is every address that is not reachable from the internet."""


def places(host: str, *, resolve: bool = True) -> frozenset[Place]:
    """Return where a host's addresses are; "public" when they are unknown.

    Args:
        host: a name or an address, without a port.
        resolve: whether to look a name up; a proxy resolves the names of what is reached through it.
    """
    if is_loopback(f"[{host}]" if ":" in host else host):
        return frozenset({"loopback"})
    try:
        return frozenset({_place(host)})
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if resolve else []
    except (OSError, UnicodeError):
        found = []
    return frozenset(_place(str(entry[4][0])) for entry in found) or frozenset({"public"})


def _place(address: str) -> Place:
    """Return where an IP address is. Raises ValueError when it is none."""
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified:  # 0.0.0.0 leads to this machine, too
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    return "public" if ip.is_global else "private"


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of a URL: credentials for one origin are not for another."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def redacted(url: str) -> str:
    """Return a URL without its potentially secret parts: user, password and query."""
    parts = urlsplit(url)
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()
