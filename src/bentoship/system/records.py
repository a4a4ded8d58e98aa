"""Small cache files: JSON preceded by its digest, so that a damaged file counts as missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bentoship.system.files import private_folder, write_whole

Value = TypeVar("Value")


def keep(file: Path, value: Any) -> None:
    """Write a JSON value to a file, completely or not at all; its folder is created."""
    content = json.dumps(value)
    private_folder(file.parent)
    # There are a hundred of them in a first publish; one that a loss of power has torn counts as missing.
    write_whole(file, f"{_digest(content)}\n{content}".encode(), synced=False)


def read(file: Path) -> Any:
    """Return the value kept in a file; None when the file is missing or damaged."""
    try:
        digest, _, content = file.read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return json.loads(content) if digest == _digest(content) else None


def read_as(file: Path, make: Callable[[Any], Value]) -> Value | None:
    """Return what a function makes of the value kept in a file; None when it is missing, damaged or of another kind.

    Args:
        file: the file.
        make: called with the value; what it raises for one of another shape counts as missing.
    """
    try:
        return make(read(file))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def key_of(*parts: str) -> str:
    """Return a hash of texts, 64 hex digits, to use as a key."""
    joined = "\0".join(f"{len(part)}:{part}" for part in parts)
    # A file name among them need not be UTF-8 (os.fsdecode).
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
