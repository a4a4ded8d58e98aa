"""Sizes as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{kind}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for kind, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")


def limit(text: str) -> int | None:
    """Return a limit in bytes: "500 MB", "20GB", "1.5 GiB", "1000000"; None for none at all: "off" or "0".

    Raises: ValueError with what is allowed.
    """
    found = _SIZE.fullmatch("0" if text.lower() == "off" else text)
    if not found or found[2].upper() not in _UNITS:
        raise ValueError("a size such as 500 MB or 20 GB, or off")
    return round(float(found[1]) * _UNITS[found[2].upper()]) or None
