"""A record of earlier pushes: how fast a registry is, and what was last pushed to a repository."""

from collections.abc import Collection
from pathlib import Path

from bentoship.errors import InvalidReferenceError
from bentoship.image.reference import ImageReference
from bentoship.system import records
from bentoship.system.records import key_of
from bentoship.system.values import dataclass

_WORTH_MEASURING = 1_000_000
"""Bytes; for less, the time is spent on round trips."""

_REPOSITORIES = 100
"""The number of repositories remembered per registry."""


@dataclass(frozen=True)
class History:
    """A small file for each registry and each repository; damaged ones are ignored.

    Args:
        folder: created when something is first recorded.
    """

    folder: Path

    def speed(self, host: str) -> float | None:
        """Return the speed, in bytes per second, of the last large enough push to a registry; None before any."""
        speed = records.read_as(self._file("speeds", host), float)
        return speed if speed and speed > 0 else None

    def last_push(self, repository: ImageReference) -> ImageReference | None:
        """Return the image last pushed from this machine to a repository; None before any."""
        digest = records.read(self._file("published", repository.repository))
        try:
            return repository.with_digest(digest) if isinstance(digest, str) else None
        except InvalidReferenceError:
            return None

    def all_published(self) -> frozenset[str]:
        """Return the digests of the images last pushed from this machine, to any repository."""
        return frozenset(digest for _, digest in self.pushes())

    def pushes(self) -> frozenset[tuple[str, str]]:
        """Return what `push_of` returns of each image last pushed from this machine to its repository."""
        found = ((file.stem, records.read(file)) for file in self.folder.glob("published/*.json"))
        return frozenset((key, digest) for key, digest in found if isinstance(digest, str))

    @staticmethod
    def push_of(image: ImageReference) -> tuple[str, str]:
        """Return what stands for a push: the key of its repository, and the digest."""
        return key_of(image.repository), image.digest or ""

    def paths_by_blob(self, repository: ImageReference) -> dict[str, str]:
        """Return, by digest, the paths of other repositories of the registry to which blobs were pushed from here."""
        return {
            digest: path
            for path, digests in self._blobs(repository.host).items()
            if path != repository.path
            for digest in digests
        }

    def keep_push(
        self, repository: ImageReference, digest: str, blobs: Collection[str], sent: int, seconds: float
    ) -> None:
        """Record a push.

        Args:
            repository: the repository pushed to.
            digest: the digest of the pushed manifest or index.
            blobs: the digests of its layers.
            sent: the number of bytes sent.
            seconds: how long sending took.
        """
        records.keep(self._file("published", repository.repository), digest)
        others = {path: kept for path, kept in self._blobs(repository.host).items() if path != repository.path}
        latest = list({**others, repository.path: sorted(blobs)}.items())[-_REPOSITORIES:]
        records.keep(self._file("blobs", repository.host), dict(latest))
        if sent >= _WORTH_MEASURING and seconds > 0:
            records.keep(self._file("speeds", repository.host), sent / seconds)

    def attested(self, image: ImageReference) -> str:
        """Return what `keep_attested` has last kept for a repository, if that was for this digest; else ""."""
        kept = records.read_as(self._file("attested", image.repository), dict)
        return str(kept["mark"]) if kept and kept.get("digest") == image.digest else ""

    def keep_attested(self, image: ImageReference, mark: str) -> None:
        """Record that an image, by its digest, has got its attestations. Args: mark: differs when they would."""
        records.keep(self._file("attested", image.repository), {"digest": image.digest, "mark": mark})

    def forget_attested(self, repository: ImageReference) -> None:
        """Remove what `keep_attested` has kept for a repository: something is missing there."""
        self._file("attested", repository.repository).unlink(missing_ok=True)

    def _blobs(self, host: str) -> dict[str, list[str]]:
        found = records.read_as(
            self._file("blobs", host),
            lambda data: {path: [*map(str.__str__, digests)] for path, digests in data.items()},
        )
        return found or {}

    def _file(self, kind: str, name: str) -> Path:
        return self.folder / kind / f"{key_of(name)}.json"
