"""The differences between two versions of an image."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from bentoship.image.metadata import is_number
from bentoship.system.values import dataclass
from bentoship.versions.metrics import is_lower
from bentoship.versions.version import Model, Part, Value, Version


@dataclass(frozen=True)
class Changed:
    """A difference of something that has a name.

    Args:
        name: its name.
        kind: whether it was added, removed or changed.
        old: its old value; None where it was added, or where the value itself is null.
        new: its new value, likewise.
    """

    name: str
    kind: Literal["added", "removed", "changed"]
    old: Value
    new: Value


@dataclass(frozen=True)
class Metric:
    """A metric of two versions.

    Args:
        name: its name.
        old: the old value; None where there is none.
        new: the new value, likewise.
        is_better: whether the new value is better; None where they are the same, or one is missing.
    """

    name: str
    old: float | None
    new: float | None
    is_better: bool | None

    @property
    def difference(self) -> float | None:
        """Return by how much the new value is higher; None where one is missing, or where no number is as large."""
        difference = None if self.old is None or self.new is None else self.new - self.old
        return difference if is_number(difference) else None


@dataclass(frozen=True)
class Comparison:
    """Two versions, and how they differ. Args: old, new: the versions; metrics: those that either has."""

    old: Version
    new: Version
    metrics: Sequence[Metric]

    @property
    def parameters(self) -> list[Changed]:
        """Return the hyperparameters that differ."""
        return changes(self.old.parameters, self.new.parameters)

    @property
    def models(self) -> list[Changed]:
        """Return the models that differ, by their names and versions."""
        return changes(*(_by_name(one.models) for one in (self.old, self.new)))

    @property
    def data(self) -> list[Changed]:
        """Return the training data that differs, by path and digest."""
        return changes(*({data.path: data.digest for data in one.data} for one in (self.old, self.new)))

    @property
    def shared(self) -> list[Part]:
        """Return the layers of the new version that the old one has, too."""
        return [part for part in self.new.layers if part.descriptor.digest in self._digests]

    @property
    def missing(self) -> list[Part]:
        """Return the layers that a host with the old version still needs for the new one."""
        return [part for part in self.new.layers if part.descriptor.digest not in self._digests]

    @property
    def needed(self) -> dict[str, int]:
        """Return the bytes that a host with the old version still needs, by its platform; none where none is known."""
        common = [platform for platform in self.new.platforms if platform in self.old.platforms]
        return {platform: self._needed(platform) for platform in common}

    def _needed(self, platform: str) -> int:
        old, new = (
            {part.descriptor for part in one.layers if not part.platforms or platform in part.platforms}
            for one in (self.old, self.new)
        )
        return sum(layer.size for layer in new - old)

    @property
    def _digests(self) -> frozenset[str]:
        return frozenset(part.descriptor.digest for part in self.old.layers)


def compare(old: Version, new: Version, lower: Collection[str]) -> Comparison:
    """Return the comparison of two versions. Args: lower: the metrics for which lower is better."""
    names = sorted({*old.metrics, *new.metrics})
    return Comparison(old, new, [_metric(name, old.metrics.get(name), new.metrics.get(name), lower) for name in names])


def changes(old: Mapping[str, Value], new: Mapping[str, Value]) -> list[Changed]:
    """Return the differences of two mappings, by name. A number and a text, or 1 and true, are not the same."""
    found = [Changed(name, "removed", old[name], None) for name in old.keys() - new.keys()]
    found += [Changed(name, "added", None, new[name]) for name in new.keys() - old.keys()]
    found += [
        Changed(name, "changed", old[name], new[name])
        for name in old.keys() & new.keys()
        if _differ(old[name], new[name])
    ]
    return sorted(found, key=lambda change: change.name)


def _differ(old: Value, new: Value) -> bool:
    return old != new or isinstance(old, bool) != isinstance(new, bool)


def _metric(name: str, old: float | None, new: float | None, lower: Collection[str]) -> Metric:
    if old is None or new is None or old == new:
        return Metric(name, old, new, None)
    return Metric(name, old, new, (new < old) == is_lower(name, lower))


def _by_name(models: Iterable[Model]) -> dict[str, Value]:
    return {name: version for name, _, version in (model.tag.partition(":") for model in models)}
