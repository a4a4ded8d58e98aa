"""Servers of Google's that are not reached: what gRPC says of it, in words, and what to do about it.

gRPC tells it by texts alone (its src/core: resolver, tcp, tls and http_connect handshaker).
"""

from __future__ import annotations

import re

from bentoship.stores.http import distrust_hint

_SPEAKS = re.compile(
    r"(?i)failed to connect|errors? resolving|DNS resolution failed|lookup failed|handshake|http proxy|tcp .*refused"
    r"|failed parsing http/2|socket closed|connection reset"
)
_NAME = re.compile(r"(?i)(?:errors? resolving|DNS resolution failed for|lookup failed for) ([^\s:]+)")
_PREFIX = re.compile(r"^(?:failed to connect to all addresses; last error: )?(?:[A-Z_]+: )?(?:ipv[46]:(\S+): )?")
_PERMANENT = re.compile(
    r"(?i)resol|lookup failed|Connection refused|Network is unreachable|CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER"
    r"|http proxy|failed parsing http/2"
)

_HERE = re.compile(r"ipv4:127\.|ipv6:(?:\[|%5B)::1")

_NETWORK = "Check that this machine is on the network, and whether a proxy or firewall lies between."
_ADDRESS = "Check GCP_API_ENDPOINT: https:// for TLS, http:// for none."


def is_grpcs_own(text: str) -> bool:
    """Whether it is gRPC that speaks, for want of a server."""
    return bool(_SPEAKS.search(text))


def is_lasting(text: str) -> bool:
    """Whether the next attempt would meet the same: a name that nobody knows, a port that nobody listens on."""
    return is_grpcs_own(text) and bool(_PERMANENT.search(text))


def words(text: str, proxy: str) -> str:
    """What happened, without gRPC's way there.

    Args:
        text: what gRPC said.
        proxy: the address of the proxy that was used; empty for none.
    """
    if name := _NAME.search(text):
        return f"no address is known for {name[1]}"
    address = _PREFIX.match(text)
    who = f"the proxy {proxy}" if proxy else (address and address[1]) or "the server"
    if certificate := re.search(r"CERTIFICATE_VERIFY_FAILED: ([^:]+)", text):
        return f"the server's certificate is not trusted: {certificate[1]}"
    if "WRONG_VERSION_NUMBER" in text:
        return f"{who} does not speak TLS"
    if status := re.search(r"HTTP proxy returned response code (\d+)", text):
        return f"{who} does not let us through (HTTP {status[1]})"
    if re.search(r"(?i)failed parsing http/2", text):
        return f"{who} does not speak gRPC"
    why = re.sub(r"(?i)^failed to connect to remote host: ", "", _PREFIX.sub("", text))
    return f"{who}: {why[:1].lower()}{why[1:]}"


def hint(text: str, proxy: str = "") -> str:
    """What to do next; empty when the text is of something else. Args: as of words()."""
    lower = text.lower()
    if "wrong_version_number" in lower or "failed parsing http/2" in lower:
        return _ADDRESS
    if "certificate" in lower or "sslerror" in lower:
        return distrust_hint(lower)
    if re.search(r"response code 407|proxy authentication required", lower):
        return "The proxy wants an account: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    if proxy and is_grpcs_own(text):
        return f"Check HTTPS_PROXY, which is {proxy}, and NO_PROXY."
    if "proxy" in lower:
        return "Check HTTPS_PROXY and NO_PROXY."
    if is_grpcs_own(text) and _HERE.search(text):
        return f"Nothing listens there. {_ADDRESS}"
    if is_grpcs_own(text) or "deadline" in lower or "timed out" in lower:
        return _NETWORK
    return ""
