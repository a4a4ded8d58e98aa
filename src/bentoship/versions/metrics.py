"""Which of two values of a metric is better."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bentoship.versions.version import Version


def is_lower(name: str, lower: Collection[str]) -> bool:
    """Return whether a lower value of a metric is better.

    Args:
        name: of the metric; names of nested ones have dots between.
        lower: the metrics for which lower is better, by their whole names, or by parts of nested ones.
    """
    # Some write test.loss, others loss.test.
    return name in lower or any(part in lower for part in name.split("."))


def best(versions: Iterable[Version], lower: Collection[str]) -> Mapping[str, float]:
    """Return the best value of each metric that differs between versions. Args: lower: as of is_lower."""
    values: dict[str, set[float]] = {}
    for version in versions:
        for name, value in version.metrics.items():
            values.setdefault(name, set()).add(value)
    return {
        name: min(found) if is_lower(name, lower) else max(found) for name, found in values.items() if len(found) > 1
    }
