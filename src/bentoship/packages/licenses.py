"""What the metadata of an installed package states, above all its licence."""

from __future__ import annotations

from email.message import Message
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
            return stated_in(entry.content)[2]
    return ""


def stated_in(metadata: Path) -> tuple[str, str, str]:
    """Return the name, the version and the licence that the metadata of a package states. Raises OSError."""
    with metadata.open("rb") as stream:
        fields = HeaderParser().parsestr(stream.read(_MAX).decode("utf-8", "replace").partition("\n\n")[0])
    name, version = (" ".join(str(fields.get(key, "")).split()) for key in ("Name", "Version"))
    return name, version, _license(fields)


def _license(fields: Message) -> str:
    classified = [
        name.rpartition(" :: ")[2]
        for name in fields.get_all("Classifier", [])
        if name.startswith(_CLASSIFIER) and name != "License :: OSI Approved"
    ]
    expression, named = (" ".join(str(fields.get(key) or "").split()) for key in ("License-Expression", "License"))
    # Classifiers do not say whether all of them hold, or any.
    found = [expression, named if len(named) <= _LONGEST else "", ", ".join(classified)]
    return next((text for text in found if text not in ("", "UNKNOWN")), "")
