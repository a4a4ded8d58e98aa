"""What caches keep in small files: JSON behind its own digest, so that what is damaged counts as not there."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bentoship.system.files import write_whole


def keep(file: Path, value: Any) -> None:
    """Write a value that JSON can hold to a file, whole or not at all; its folder is made."""
    content = json.dumps(value)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, f"{_digest(content)}\n{content}".encode())


def read(file: Path) -> Any:
    """Return the value that was kept in a file; None when there is none, or it is not as it was kept."""
    try:
        digest, _, content = file.read_text("utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return json.loads(content) if digest == _digest(content) else None


def key_of(*parts: str) -> str:
    """Return a key over texts, 64 hex digits."""
    return hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
