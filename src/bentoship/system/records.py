"""Small cache files: JSON preceded by its digest, so that a damaged file counts as missing."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bentoship.system.files import write_whole


def keep(file: Path, value: Any) -> None:
    """Write a JSON value to a file, completely or not at all; its folder is created."""
    content = json.dumps(value)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, f"{_digest(content)}\n{content}".encode())


def read(file: Path) -> Any:
    """Return the value kept in a file; None when the file is missing or damaged."""
    try:
        digest, _, content = file.read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return json.loads(content) if digest == _digest(content) else None


def key_of(*parts: str) -> str:
    """Return a hash of texts, 64 hex digits, to use as a key."""
    joined = "\0".join(f"{len(part)}:{part}" for part in parts)
    # A file name among them need not be UTF-8 (os.fsdecode).
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
