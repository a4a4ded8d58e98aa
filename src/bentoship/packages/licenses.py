"""The licence of an installed package, as its metadata states it."""

from __future__ import annotations

from email.parser import HeaderParser
from pathlib import Path

from bentoship.packages.installed import Distribution

_MAX = 1 << 20
"""Bytes; the description after the fields may be long, and the fields are at the start."""

_LONGEST = 100
"""Characters; a field that is longer holds the text of a licence, not its name."""

_CLASSIFIER = "License :: "


def license_of(installed: Distribution) -> str:
    """Return a package's licence: an SPDX expression (PEP 639), else a name; empty when it states none."""
    for entry in installed.entries:
        if entry.path.endswith(".dist-info/METADATA") and isinstance(entry.content, Path):
            with entry.content.open("rb") as stream:
                return _stated(stream.read(_MAX).decode("utf-8", "replace"))
    return ""


def _stated(metadata: str) -> str:
    fields = HeaderParser().parsestr(metadata.partition("\n\n")[0])
    classified = [
        name.rpartition(" :: ")[2]
        for name in fields.get_all("Classifier", [])
        if name.startswith(_CLASSIFIER) and name != "License :: OSI Approved"
    ]
    found = [fields.get("License-Expression"), fields.get("License"), " AND ".join(classified)]
    lines = (" ".join(str(text or "").split()) for text in found)
    return next((line for line in lines if line not in ("", "UNKNOWN") and len(line) <= _LONGEST), "")
