"""Conditions for promoting an image: comparing a metric with a number, or with the same metric of another image."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Mapping

from bentoship.errors import BentoshipError
from bentoship.system.values import dataclass
from bentoship.versions.metrics import is_lower

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_FORM = re.compile(
    r"\s*(?P<name>[^\s<>=!](?:[^<>=!]*[^\s<>=!])?)\s*(?P<operator><=|>=|==|!=|<|>)"
    r"\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*",
    re.ASCII,
)
_MAX_TEXT = 300
_SHOWN = 20


@dataclass(frozen=True)
class Condition:
    """A comparison of a metric. Args: name: of the metric; operator: such as ">="; number: what it is compared with."""

    name: str
    operator: str
    number: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Parse a condition such as "accuracy >= 0.97". Raises BentoshipError when it has another form."""
        found = _FORM.fullmatch(text) if len(text) <= _MAX_TEXT else None
        if not found:
            hint = "Write NAME OPERATOR NUMBER with <, <=, ==, !=, >= or >, such as --if 'accuracy >= 0.97'."
            raise BentoshipError(f'Read the condition "{text[:_MAX_TEXT]}"', "it is not a comparison", hint)
        return cls(found["name"], found["operator"], float(found["number"]))

    def check(self, metrics: Mapping[str, float]) -> str:
        """Return the condition with the metric's value, for the record. Raises BentoshipError when it does not hold."""
        value = metric(metrics, self.name, f"Check the condition {self}")
        if not _OPERATORS[self.operator](value, self.number):
            raise BentoshipError(f"Check the condition {self}", f"{self.name} is {value:.12g}")
        return f"{self} ({value:.12g})"

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.number:.12g}"


def check_better(
    name: str, wanted: str, new: Mapping[str, float], old: Mapping[str, float], lower: Collection[str]
) -> str:
    """Check that a metric of an image is better than the same one of another.

    Args:
        name: what the other image is called.
        wanted: the metric; empty for the only one that the image has.
        new: the image's metrics.
        old: the metrics of the other image.
        lower: the metrics for which lower is better.

    Returns: the condition with both values, for the record.

    Raises: BentoshipError when it is not better, or one of them lacks the metric.
    """
    doing = f"Compare with {name}"
    if not wanted and len(new) != 1:
        raise BentoshipError(doing, "--metric is missing", f"The image has {_names(new)}.")
    chosen = wanted or next(iter(new))
    value, other = metric(new, chosen, doing), metric(old, chosen, doing, of=name)
    lower_is_better = is_lower(chosen, lower)
    if not (value < other if lower_is_better else value > other):
        better = "lower" if lower_is_better else "higher"
        raise BentoshipError(doing, f"{chosen} is {value:.12g}, but has to be {better} than {other:.12g}")
    return f"{chosen} better than {name}'s ({value:.12g} {'<' if lower_is_better else '>'} {other:.12g})"


def metric(metrics: Mapping[str, float], name: str, doing: str, of: str = "the image") -> float:
    """Return a metric of an image.

    Args:
        metrics: all that it has.
        name: of the metric.
        doing: what needs it.
        of: what the image is called.

    Raises: BentoshipError, which lists the metrics that the image has.
    """
    if name not in metrics:
        raise BentoshipError(doing, f"{of} has no metric {name}", f"It has {_names(metrics)}.")
    return metrics[name]


def _names(metrics: Mapping[str, float]) -> str:
    shown = sorted(metrics)[:_SHOWN]
    more = f" and {len(metrics) - len(shown)} more" if len(metrics) > len(shown) else ""
    return f"{', '.join(shown)}{more}" if shown else "no metrics"
