"""What earlier pushes have shown: how fast a registry takes bytes, and what a repository got last."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bentoship.errors import InvalidReferenceError
from bentoship.image.reference import ImageReference
from bentoship.system import records
from bentoship.system.records import key_of

_WORTH_MEASURING = 1_000_000
"""Bytes; of less, it is the questions and answers that take the time."""

_REPOSITORIES = 100
"""Of a registry, so many are remembered."""


@dataclass(frozen=True)
class History:
    """A small file for each registry and each repository; one that is damaged is none.

    Args:
        folder: made when something is first kept there.
    """

    folder: Path

    def speed(self, host: str) -> float | None:
        """Return the bytes per second of the last push to a registry that was worth measuring; None before any."""
        speed = records.read(self._file("speeds", host))
        return float(speed) if isinstance(speed, int | float) and speed > 0 else None

    def last_push(self, repository: ImageReference) -> ImageReference | None:
        """Return what was last pushed from here to a repository; None before any."""
        digest = records.read(self._file("published", repository.repository))
        try:
            return repository.with_digest(digest) if isinstance(digest, str) else None
        except InvalidReferenceError:
            return None

    def all_published(self) -> frozenset[str]:
        """Return the digests of what was last pushed from here, to whatever repositories."""
        found = map(records.read, self.folder.glob("published/*.json"))
        return frozenset(digest for digest in found if isinstance(digest, str))

    def paths_by_blob(self, repository: ImageReference) -> dict[str, str]:
        """Return where blobs lie that were pushed from here: paths of other repositories of the registry, by digest."""
        return {
            digest: path
            for path, digests in self._blobs(repository.host).items()
            if path != repository.path
            for digest in digests
        }

    def keep_push(
        self, repository: ImageReference, digest: str, blobs: Collection[str], sent: int, seconds: float
    ) -> None:
        """Remember a push.

        Args:
            repository: where it went.
            digest: of what is there now.
            blobs: the digests of its layers.
            sent: the bytes that went over.
            seconds: how long that took.
        """
        records.keep(self._file("published", repository.repository), digest)
        others = {path: kept for path, kept in self._blobs(repository.host).items() if path != repository.path}
        latest = list({**others, repository.path: sorted(blobs)}.items())[-_REPOSITORIES:]
        records.keep(self._file("blobs", repository.host), dict(latest))
        if sent >= _WORTH_MEASURING and seconds > 0:
            records.keep(self._file("speeds", repository.host), sent / seconds)

    def _blobs(self, host: str) -> dict[str, list[str]]:
        digests = records.read(self._file("blobs", host))
        return digests if isinstance(digests, dict) and all(isinstance(d, list) for d in digests.values()) else {}

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{key_of(name)}.json"
