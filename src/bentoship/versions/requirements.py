"""The requirements of a promotion, as the options of `promote` give them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bentoship.errors import BentoshipError, RegistryError, StoreError
from bentoship.system.values import dataclass
from bentoship.versions.conditions import Condition, check_better
from bentoship.versions.promotion import Candidate, find
from bentoship.versions.reading import Reader
from bentoship.versions.verified import check_verified
from bentoship.versions.version import Version


@dataclass(frozen=True)
class Requirements:
    """What an image has to meet to be promoted.

    Args:
        conditions: comparisons of a metric with a number, such as "accuracy >= 0.97".
        better_than: the tag or digest of an image that it has to beat; empty for none.
        metric: the metric to compare the two by; empty for the only one.
        verified: whether it has to have worked when it was last verified.
    """

    conditions: Sequence[str] = ()
    better_than: str = ""
    metric: str = ""
    verified: bool = False

    def check(self) -> None:
        """Check that the options make sense, before the registry is read. Raises BentoshipError."""
        for text in self.conditions:
            Condition.parse(text)
        if self.metric and not self.better_than:
            raise BentoshipError("Read the options", "--metric has no effect without --if-better-than")

    def held(self, reader: Reader, image: Candidate, lower: Collection[str]) -> list[str]:
        """Return the conditions that hold, in words.

        Args:
            reader: reads the repository, as `versions` does, so that both go by the same values.
            image: the image to be promoted.
            lower: the metrics for which lower is better.

        Raises: BentoshipError when one does not.
        """
        if not (self.conditions or self.better_than or self.verified):
            return []
        version = _read(reader, image)
        held = [Condition.parse(text).check(version.metrics) for text in self.conditions]
        if self.better_than:
            held.append(self._better(reader, version, lower))
        if self.verified:
            held.append(check_verified(version))
        return held

    def _better(self, reader: Reader, version: Version, lower: Collection[str]) -> str:
        name = self.better_than
        try:
            other = _read(reader, find(reader.store, reader.meant(name)))
        except RegistryError as error:
            # A missing digest is a mistake; a missing name is the first promotion of a pipeline.
            if error.status != 404 or ":" in name:
                raise
            return f"better than {name}, which does not exist yet"
        return check_better(name, self.metric, version.metrics, other.metrics, lower)


def _read(reader: Reader, image: Candidate) -> Version:
    """Return what the registry says of an image. Raises StoreError when that cannot be read."""
    version = reader.find(image.descriptor.digest)
    if version.problem:
        raise StoreError(f"Read {version.digest} in {reader.store.repository}", version.problem)
    return version
