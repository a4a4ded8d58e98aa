"""Where a registry may send its clients: the rules for the Location of a redirect or an upload."""

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit, urlunsplit

from bentoship.errors import RegistryError
from bentoship.system.network import Place, origin, places, redacted

_MAY_NAME: dict[Place, frozenset[Place]] = {
    "public": frozenset({"public"}),
    "private": frozenset({"public", "private"}),
    "link-local": frozenset({"public", "link-local"}),
    "loopback": frozenset({"public", "private", "loopback"}),
}
"""The places to which a registry in a place may send its clients.

A registry elsewhere could make this machine send requests inside its own network. The machine's own registry may name
the machine's other addresses, too.
"""


def followed(doing: str, registry: str, asked: str, location: str, *, proxied: Callable[[str], bool]) -> str:
    """Return a URL that a registry sends its clients to, never out of TLS, nor into a network that is not its own.

    Args:
        doing: what is being done, for errors.
        registry: the registry's URL, "https://HOST".
        asked: the URL that was asked.
        location: where it sends them, relative to that.
        proxied: returns whether a URL is reached through a proxy, which then resolves its host.

    Raises: RegistryError when it must not be followed.
    """
    base = urlsplit(registry)
    try:
        url = urljoin(asked, location)
        parts, _ = urlsplit(url), origin(url)
    except ValueError as error:
        raise RegistryError(doing, f"{base.netloc} redirects to an invalid URL ({error})") from error
    parts = parts._replace(fragment="")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RegistryError(doing, f"{base.netloc} redirects to {redacted(url)}, which is not an HTTP URL")
    if parts.hostname == base.hostname:
        if parts.scheme == "http" and base.scheme == "https":
            # A registry behind a proxy that terminates TLS may not know that TLS is used.
            return urlunsplit(parts._replace(scheme="https", netloc=base.netloc))
        return urlunsplit(parts)
    if parts.scheme == "http" and base.scheme == "https":
        raise RegistryError(doing, f"{base.netloc} redirects to {redacted(url)}, which is not encrypted")
    named = places(parts.hostname, resolve=not proxied(url))
    allowed = frozenset().union(*(_MAY_NAME[p] for p in places(base.hostname or "", resolve=not proxied(registry))))
    if not named <= allowed:
        where = " and ".join(sorted(named - allowed))
        why = f"{base.netloc} redirects to {redacted(url)}, a {where} address, but is not itself at one"
        raise RegistryError(doing, why, "If that address is right, the registry has to name a public one for it.")
    return urlunsplit(parts)
