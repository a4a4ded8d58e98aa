"""How this machine reaches others: proxies, certificates, and what an address names."""

import ipaddress
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bentoship.system.process import environment

# Where systems keep the certificates that they believe, for a Python that was built for another system.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """How this machine reaches others.

    Args:
        proxies: the address of the proxy for each scheme, or for "all".
        no_proxy: hosts that are reached without it, as NO_PROXY lists them.
        ca_file: a file of certificates that are believed; the system's own when it is None.
        ca_folder: a folder of such certificates.
    """

    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: str = ""
    ca_file: str | None = None
    ca_folder: str | None = None

    def proxy(self, scheme: str, host: str) -> str | None:
        """Return the address of the proxy to a host, with its port if it has one; None when it is reached directly."""
        # What urllib itself asks, though its types do not name it.
        if urllib.request.proxy_bypass_environment(host, {"no": self.no_proxy}):  # type: ignore[attr-defined]
            return None
        proxy = self.proxies.get(scheme) or self.proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def network_settings() -> Network:
    """Return what the environment says about proxies and certificates, in the names that curl, Go and requests know."""
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
    """Return whether a host, with or without a port, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port that a URL reaches: credentials for one origin are not for another."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def redacted(url: str) -> str:
    """Return a URL without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()
