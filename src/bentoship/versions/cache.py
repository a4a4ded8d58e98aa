"""What was read of a repository, kept on this machine: manifests never change, and tags seldom move."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bentoship.image.descriptor import Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.system.documents import read_bytes
from bentoship.system.files import write_whole

_LARGEST = 32_000_000
"""Bytes that are kept of a repository; a manifest with a dozen layers has four thousand."""

_MOST = 100_000_000
"""Bytes of the whole folder; the repositories that were read the longest ago go first."""


@dataclass
class Known:
    """What is known of a repository.

    Args:
        file: where it is kept.
        tags: the digests that its tags had; they may have moved since.
        documents: manifests and indexes by digest, each to be checked before it is used.
    """

    file: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, repository: str) -> Known:
        """Return what was kept of a repository; nothing where that cannot be read."""
        file = folder / f"{Descriptor.of('', repository.encode()).hex}.json"
        try:
            kept = parse_json(read_bytes(file, 2 * _LARGEST))
        except (OSError, ValueError):
            return cls(file)
        parts = [kept.get(name) if isinstance(kept, dict) else None for name in ("tags", "documents")]
        return cls(file, *(_texts(part) for part in parts))

    def get(self, digest: str) -> bytes | None:
        """Return a manifest; None when it is not known, or is damaged."""
        content = self.documents.get(digest, "").encode("utf-8", "replace")
        return content if Descriptor.of("", content).digest == digest else None

    def keep(self, tags: Mapping[str, str], documents: Mapping[str, bytes]) -> None:
        """Keep what the repository has now, and drop all else.

        A folder that cannot be written to is no error: keeping only saves time.

        Args:
            tags: the digests of its tags.
            documents: its manifests and indexes by digest; no more are kept than there is room for.
        """
        kept: dict[str, str] = {}
        room = _LARGEST
        for digest, content in documents.items():
            room -= len(content)
            with suppress(UnicodeDecodeError):
                if room >= 0:
                    kept[digest] = content.decode()
        if (kept, dict(tags)) != (self.documents, self.tags):
            self.tags, self.documents = dict(tags), kept
            with suppress(OSError):
                write_whole(self.file, to_json({"tags": self.tags, "documents": kept}), synced=False)
                _trim(self.file.parent)


def _trim(folder: Path) -> None:
    """Delete the oldest files of a folder where all together are too large. Raises OSError."""
    with os.scandir(folder) as entries:
        found = sorted((info.st_mtime_ns, info.st_size, one.path) for one in entries if (info := one.stat()))
    excess = sum(size for _, size, _ in found) - _MOST
    for _, size, path in found:
        if excess <= 0:
            return
        Path(path).unlink(missing_ok=True)
        excess -= size


def _texts(value: object) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in items if isinstance(text, str)}
