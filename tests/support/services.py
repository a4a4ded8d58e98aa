"""Asking a service of BentoML's that runs."""

import httpx

_KEPT = 1.0
"""Seconds for which an idle connection is used again. The service closes one after 5 s, as httpx does by default: a
request that is sent in that moment gets no response."""


def client(host: str) -> httpx.Client:
    """A client of the service at HOST:PORT."""
    limits = httpx.Limits(keepalive_expiry=_KEPT)
    return httpx.Client(base_url=f"http://{host}", timeout=30, limits=limits, trust_env=False)
