"""What the annotations of an image in a registry say of it. They may be anyone's."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from bentoship.image.metadata import Metadata
from bentoship.versions.version import Version

_LONGEST = 4096
"""Characters of a text that are kept."""


def parts(annotations: object, document: bytes = b"") -> dict[str, Any]:
    """Return the fields of a Version that annotations hold.

    Args:
        annotations: of a manifest or an index.
        document: what the annotation METADATA names: the values that are too large for annotations.
    """
    found = Metadata.parse(annotations, document)
    shared = {one.name for one in fields(Version)} & {one.name for one in fields(Metadata)}
    return {"is_ours": bool(found.bento), **{name: getattr(found, name) for name in shared}}


def text(value: object) -> str:
    """Return a value that is a text, up to a length; else an empty one."""
    return value[:_LONGEST] if isinstance(value, str) else ""
