"""From samples to medians, from medians to what was promised and whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bentoship.system.text import size

OURS, THEIRS = "bentoship", "docker"

Summary = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Values by case, by who was measured, by what of it."""

TITLES = {
    "cold": "first time",
    "cold-base": "first time, base there",
    "unchanged": "nothing changed",
    "source": "one line of source changed",
    "package": "one small package updated",
    "second": "a second service",
    "model": "a new large model",
}
"""What the cases of both sides are called in tables and plots."""


@dataclass(frozen=True)
class Sample:
    """What was measured once.

    Args:
        case: its name.
        who: which side, or what they are compared with.
        values: seconds and bytes, by what they are of.
    """

    case: str
    who: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Promise:
    """What publishing is to reach.

    Args:
        name: by which programs find it.
        text: in words.
        value: what it is judged by.
        bound: what that value may be at most, or at least.
        at_least: which of the two.
        unit: "times", "bytes" or "seconds".
    """

    name: str
    text: str
    value: Callable[[Summary], float]
    bound: float
    at_least: bool = False
    unit: str = "times"


@dataclass(frozen=True)
class Verdict:
    """A promise and what was measured of it."""

    promise: Promise
    value: float

    @property
    def kept(self) -> bool:
        """Whether it is kept."""
        bound = self.promise.bound
        return self.value >= bound if self.promise.at_least else self.value <= bound


def _faster(case: str) -> Callable[[Summary], float]:
    """How many times as long the other side takes."""
    return lambda summary: summary[case][THEIRS]["seconds"] / summary[case][OURS]["seconds"]


def _ours(case: str, value: str) -> Callable[[Summary], float]:
    return lambda summary: summary[case][OURS][value]


def _against(case: str, who: str) -> Callable[[Summary], float]:
    """How many times as long it takes as something else."""
    return lambda summary: summary[case][OURS]["seconds"] / summary[case][who]["seconds"]


def _growth(summary: Summary) -> float:
    return summary["larger-model"][OURS]["memory"] / summary["model"][OURS]["memory"]


PROMISES = (
    Promise("cold", "first time: faster", _faster("cold"), 4, at_least=True),
    Promise("cold-base", "first time, base there: faster", _faster("cold-base"), 4, at_least=True),
    Promise("unchanged", "nothing changed: faster", _faster("unchanged"), 10, at_least=True),
    Promise("unchanged-digest", "nothing changed: the same digest", _ours("unchanged", "same"), 1, at_least=True),
    Promise("unchanged-layers", "nothing changed: sent of layers", _ours("unchanged", "layers"), 0, unit="bytes"),
    Promise("source", "one line of source changed: faster", _faster("source"), 5, at_least=True),
    Promise("source-sent", "one line of source changed: sent", _ours("source", "sent"), 64 << 10, unit="bytes"),
    Promise("package", "one small package updated: faster", _faster("package"), 4, at_least=True),
    Promise("package-sent", "one small package updated: sent", _ours("package", "sent"), 15e6, unit="bytes"),
    Promise("second-again", "a second service: sent again of layers", _ours("second", "again"), 0, unit="bytes"),
    Promise("size", "the image in the registry", _ours("cold", "size"), 110e6, unit="bytes"),
    Promise("model", "a new large model: as long as SHA-256 and curl", _against("model", "sha256 and curl"), 1.5),
    Promise("model-memory", "a new large model: memory", _ours("model", "memory"), 150e6, unit="bytes"),
    Promise("larger-model-memory", "a model of 4 times the size: memory", _growth, 1.1),
    Promise("list", "invoke --list: as long as without tasks", _against("list", "empty tasks.py"), 1.2),
    Promise("versions", "500 versions: listed", _ours("versions", "seconds"), 3, unit="seconds"),
    Promise("versions-again", "500 versions: listed again", _ours("versions-again", "seconds"), 1, unit="seconds"),
    Promise("versions-curl", "500 versions: as long as curl", _against("versions", "curl"), 3),
)


def summarize(samples: Iterable[Sample]) -> dict[str, dict[str, dict[str, float]]]:
    """The median of seconds; of all else the worst of the runs."""
    gathered: dict[str, dict[str, dict[str, list[float]]]] = {}
    for sample in samples:
        of_side = gathered.setdefault(sample.case, {}).setdefault(sample.who, {})
        for name, value in sample.values.items():
            of_side.setdefault(name, []).append(value)
    rules: dict[str, Callable[[Sequence[float]], float]] = {"seconds": median, "sha256": median, "curl": median}
    rules["same"] = min
    summary = {
        case: {
            who: {name: rules.get(name, max)(measured) for name, measured in values.items()}
            for who, values in sides.items()
        }
        for case, sides in gathered.items()
    }
    # There the base is something that the other side has had from the start.
    if "cold-base" in summary and THEIRS in summary["cold"]:
        summary["cold-base"][THEIRS] = summary["cold"][THEIRS]
    return summary


def judge(summary: Summary) -> list[Verdict]:
    """What was promised of the cases that were measured."""
    verdicts = []
    for promise in PROMISES:
        try:
            verdicts.append(Verdict(promise, promise.value(summary)))
        except KeyError:  # a case or a side was not measured
            continue
    return verdicts


def document(samples: Sequence[Sample], machine: Mapping[str, str], unmeasured: Mapping[str, str]) -> dict[str, object]:
    """All that was measured, for programs."""
    summary = summarize(samples)
    return {
        "machine": dict(machine),
        "ratios": {
            verdict.promise.name: {
                "value": verdict.value,
                "at_least" if verdict.promise.at_least else "at_most": verdict.promise.bound,
                "unit": verdict.promise.unit,
                "kept": verdict.kept,
            }
            for verdict in judge(summary)
        },
        "unmeasured": dict(unmeasured),
        "summary": summary,
        "samples": [{"case": one.case, "who": one.who, **one.values} for one in samples],
    }


def markdown(samples: Sequence[Sample], machine: Mapping[str, str], unmeasured: Mapping[str, str]) -> str:
    """All that was measured, for people."""
    summary = summarize(samples)
    parts = [_cases(summary), _promises(judge(summary))]
    parts += ["\n".join(f"- not measured: {name}: {why}" for name, why in unmeasured.items())]
    parts += ["\n".join(f"- {name}: {value}" for name, value in machine.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cases(summary: Summary) -> str:
    rows = [
        [title, *(cell for kind in (_seconds, _sent) for who in (OURS, THEIRS) for cell in [kind(summary[case], who)])]
        for case, title in TITLES.items()
        if case in summary
    ]
    return _table(["", "bentoship", "BentoML and Docker", "bentoship sends", "BentoML and Docker send"], rows)


def _seconds(of_case: Mapping[str, Mapping[str, float]], who: str) -> str:
    return f"{of_case[who]['seconds']:.1f} s" if who in of_case else "–"


def _sent(of_case: Mapping[str, Mapping[str, float]], who: str) -> str:
    return size(of_case[who]["sent"]) if who in of_case else "–"


def _promises(verdicts: Iterable[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        promise = verdict.promise
        limit = f"{'at least' if promise.at_least else 'at most'} {_amount(promise.bound, promise.unit)}"
        rows.append([promise.text, _amount(verdict.value, promise.unit), limit, "yes" if verdict.kept else "**no**"])
    return _table(["promised", "measured", "promise", "kept"], rows)


def _amount(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{value:.2f} s"
    return size(value) if unit == "bytes" else f"{value:.2f}" if value < 2 else f"{value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if at == 0 else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    return "\n".join([line(head), line(rule), *map(line, rows)])
