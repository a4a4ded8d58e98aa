"""Network settings, proxies and certificates, and the parts of URLs."""

import ipaddress
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from bentoship.system.process import environment

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


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of a URL: credentials for one origin are not for another."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def redacted(url: str) -> str:
    """Return a URL without its potentially secret parts: user, password and query."""
    parts = urlsplit(url)
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()
