"""Versions and promotions as a table or, if the terminal is too narrow for it, as a block of lines each."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from bentoship.commands import terminal as console
from bentoship.image.descriptor import short
from bentoship.system import text
from bentoship.versions.comparing import Metric
from bentoship.versions.history import Promotion
from bentoship.versions.metrics import best
from bentoship.versions.version import Version

_TAGS = 3
"""How many tags of a version are shown, and models, and platforms."""

_METRICS = 4
"""How many metrics are shown."""

_LARGE = 1e15
"""Numbers from here on have an exponent."""

_NAME = 128
"""Characters of a name that are shown; a tag has no more."""

_NOTE = 80
"""Characters of a problem that are shown; the JSON has all."""

_HEX = re.compile("[0-9a-f]{7,}")
"""What commits and the versions of Bentos look like."""

_INDENT = "  "


def print_versions(versions: Sequence[Version], lower: Collection[str], now: datetime) -> None:
    """Print versions on stdout.

    Args:
        versions: at least one.
        lower: the metrics for which lower is better.
        now: the current time.
    """
    marked = best(versions, lower)
    every = list(dict.fromkeys(name for version in versions for name in version.metrics))
    names = sorted(every, key=lambda name: name.count("."))[:_METRICS]  # nested ones last
    is_one = len({model.tag.partition(":")[0] for version in versions for model in version.models}) == 1
    rows = [_cells(version, names, marked, now, is_one=is_one) for version in versions]
    if not any(len(version.platforms) > 1 for version in versions):
        rows = [{**row, "platforms": ""} for row in rows]  # all are for one, which goes without saying
    _print(rows)
    if marked:
        console.say("", "* the best of all; higher is better unless METRICS_LOWER names the metric")
    if more := len(every) - len(names):
        console.say("", f"--json prints {text.counted(more, 'more metric')}")


def print_promotions(promotions: Sequence[Promotion]) -> None:
    """Print promotions on stdout."""
    _print(
        [
            {
                "when": one.when,
                "by": one.by,
                "digest": short(one.digest),
                "tags": some_tags(one.tags),
                "from": short(one.origin or ""),
                "why": one.why,
                "conditions": ", ".join(one.conditions),
            }
            for one in promotions
        ]
    )


def number(value: float, digits: int = 5) -> str:
    """Return a metric as a person reads it: to some digits, and a large one as a whole number, not with an exponent."""
    return f"{value:.0f}" if 10**digits <= abs(value) < _LARGE else f"{value:.{digits}g}"


def metric_cells(metric: Metric) -> tuple[str, str, str, str]:
    """Return a metric of two versions as cells of a table: its old value, its new one, the difference, a judgement."""
    old, new = ("" if value is None else number(value) for value in (metric.old, metric.new))
    grown = metric.difference
    judged = {True: "better", False: "worse", None: ""}[metric.is_better]
    return old, new, "" if grown is None else f"{'+' if grown > 0 else ''}{number(grown or 0.0)}", judged


def verdict(verified: bool | None) -> str:
    """Return how a version was verified, as a cell of a table."""
    return {True: "yes", False: "failed", None: ""}[verified]


def some_tags(tags: Sequence[str]) -> str:
    """Return tags as a cell of a table: of more than are shown those first that people have chosen, such as latest.

    Where the content is the same, an image gets a tag of each commit.
    """
    return _few(tags if len(tags) <= _TAGS else sorted(tags, key=lambda tag: bool(_HEX.fullmatch(tag))))


def age(created: datetime, now: datetime) -> str:
    """Return how long ago something was: 40 s, 12 min, 20 h, 3 days."""
    seconds = max(0.0, (now - created).total_seconds())
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 86400:.0f} days"


def _cells(
    version: Version, metrics: Sequence[str], marked: Mapping[str, float], now: datetime, *, is_one: bool
) -> dict[str, str]:
    """Return what is shown of a version. Args: is_one: whether all models have one name, which goes without saying."""
    models = (model.tag.partition(":")[2] if is_one else model.tag for model in version.models)
    values = {
        name: f"{number(version.metrics[name])}{'*' if marked.get(name) == version.metrics[name] else ''}"
        for name in metrics
        if name in version.metrics
    }
    problem = textwrap.shorten(version.problem, _NOTE, placeholder=" …")
    note = problem or ("" if version.is_ours else "not published by bentoship")
    return {
        "tags": some_tags([tag for tag in version.tags if tag not in version.promoted]),
        "digest": short(version.digest),
        "age": age(version.created, now) if version.created else "",
        "size": text.size(version.size) if version.size is not None else "",
        "platforms": _few(version.platforms),
        "commit": version.commit[:12],
        "models": _few([*models]),
        **{name: values.get(name, "") for name in metrics},
        "promoted": ", ".join(version.promoted),
        "verified": verdict(version.verified),
        "note": note,
    }


def _few(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are. Anyone may have written them."""
    more = [f"+{len(names) - _TAGS}"] if len(names) > _TAGS else []
    return ", ".join([*(text.cut(name, _NAME) for name in names[:_TAGS]), *more])


def _print(rows: Sequence[Mapping[str, str]]) -> None:
    for line in lines(rows, _width()):
        console.result(line)


def lines(rows: Sequence[Mapping[str, str]], width: int | None) -> list[str]:
    """Return rows as the lines of a table, or of blocks if that is too wide.

    Args:
        rows: at least one, all with the same keys; keys without any value are left out.
        width: the columns of the terminal; None if lines may have any length.
    """
    heads = [key for key in rows[0] if any(row[key] for row in rows)]
    titles = [text.cut(head, _NAME).upper() for head in heads]
    table = console.columns([titles, *([row[head] for head in heads] for row in rows)])
    if width is None or max(map(len, table)) <= width:
        return table
    return [line for row in rows for line in _block(row, heads, max(width, 20))]


def _block(row: Mapping[str, str], heads: Sequence[str], width: int) -> list[str]:
    """Return a row as lines: its first value, and its others below with their names."""
    first, *rest = heads
    details = ", ".join(f"{text.cut(head, _NAME)} {text.on_one_line(row[head])}" for head in rest if row[head])
    wrapped = textwrap.wrap(details, width - len(_INDENT), break_on_hyphens=False)
    return [text.on_one_line(row[first] or "-")[:width], *(_INDENT + line for line in wrapped)]


def _width() -> int | None:
    """Return the columns of the terminal; None if stdout is none, so that lines may have any length."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if console.is_terminal(sys.stdout) else None
    except (OSError, ValueError):
        return None
