"""A comparison of two versions, as text, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from bentoship.assembly.diff import Change, Difference
from bentoship.commands import markdown
from bentoship.commands import terminal as console
from bentoship.commands.versions_table import metric_cells, some_tags, verdict
from bentoship.image.descriptor import short
from bentoship.system import text
from bentoship.system.values import dataclass
from bentoship.versions.comparing import Changed, Comparison, Metric
from bentoship.versions.version import Part, Version

_SHOWN = 50
"""How many rows of a table are shown; the JSON has all."""

_CELL = 300
"""Characters of a cell that are shown, likewise; as in Markdown."""


@dataclass(frozen=True)
class Trial:
    """The outcome of running a version.

    Args:
        answer: a line on its answer to the sample request, or why there is none.
        seconds: until it was ready; None where it never was.
        memory: bytes that it used; None when unknown.
    """

    answer: str
    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Compared:
    """All that is shown of two versions.

    Args:
        repository: the registry's host and the image's path.
        old_name, new_name: what the versions were called.
        comparison: what the registry says of them.
        base: how their bases differ; None where an image does not say what its base is.
        packages: how their packages differ; likewise.
        commits: those that the new version has and the old one lacks, each with its first line; None when unknown.
        trials: the outcomes of running both; None unless they were run.
    """

    repository: str
    old_name: str
    new_name: str
    comparison: Comparison
    base: Difference | None
    packages: Difference | None
    commits: Sequence[tuple[str, str]] | None
    trials: Sequence[Trial] | None = None


@dataclass(frozen=True)
class _Table:
    """A part of the report.

    Args:
        title: its name.
        heads: the titles of the columns.
        rows: none if there is only a note.
        note: a line below the rows.
        has_names: whether the heads are the names that the user gave to the versions.
        is_said: whether the note comes from an image's metadata, which anyone may have written.
    """

    title: str
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    note: str = ""
    has_names: bool = False
    is_said: bool = False


def in_text(compared: Compared) -> Iterator[str]:
    """Yield the lines of a comparison for people."""
    for place, table in enumerate(_tables(compared)):
        if place:
            yield ""
        if table.rows:
            heads = table.heads if table.has_names else [head.upper() for head in table.heads]
            yield from console.columns([[text.cut(cell, _CELL) for cell in row] for row in (heads, *table.rows)])
        if table.note:
            yield f"{table.title}: {text.on_one_line(table.note)}"


def in_markdown(compared: Compared) -> Iterator[str]:
    """Yield the lines of a comparison in GitHub's Markdown. What comes from an image is shown as code, as it is."""
    repository, old, new = map(markdown.code, (compared.repository, compared.old_name, compared.new_name))
    yield f"### {repository}: {old} → {new}"
    for table in _tables(compared):
        yield ""
        if table.rows:
            heads = map(_code, table.heads) if table.has_names else table.heads
            yield markdown.table([*heads], [[*map(_code, row)] for row in table.rows])
        if table.rows and table.note:
            yield ""
        if table.note:
            yield f"{table.title.capitalize()}: {_code(table.note) if table.is_said else table.note}."


def document(compared: Compared) -> dict[str, Any]:
    """Return a comparison as a JSON document, in the format that docs/registry.md describes."""
    comparison = compared.comparison
    trials = [vars(trial) for trial in compared.trials] if compared.trials else None
    commits = compared.commits
    return {
        "repository": compared.repository,
        "old": {"name": compared.old_name, **comparison.old.to_dict()},
        "new": {"name": compared.new_name, **comparison.new.to_dict()},
        "metrics": [
            {"name": one.name, "old": one.old, "new": one.new, "difference": one.difference, "is_better": one.is_better}
            for one in comparison.metrics
        ],
        "parameters": list(map(vars, comparison.parameters)),
        "models": list(map(vars, comparison.models)),
        "data": list(map(vars, comparison.data)),
        "base": _difference(compared.base),
        "packages": _difference(compared.packages),
        "layers": {
            "shared": len(comparison.shared),
            "shared_bytes": _size(comparison.shared),
            "missing": len(comparison.missing),
            "missing_bytes": _size(comparison.missing),
            "missing_bytes_by_platform": comparison.needed,
        },
        "commits": commits and [{"commit": commit, "subject": subject} for commit, subject in commits],
        "answers": trials and {"old": trials[0], "new": trials[1]},
    }


def _tables(compared: Compared) -> Iterator[_Table]:
    comparison = compared.comparison
    heads = ("", compared.old_name, compared.new_name)
    yield _Table(
        "versions", heads, [row for row in _facts(comparison.old, comparison.new) if any(row[1:])], has_names=True
    )
    if comparison.metrics:
        # Of more than are shown, those first that differ.
        metrics = sorted(comparison.metrics, key=lambda one: len(comparison.metrics) > _SHOWN and one.old == one.new)
        rows = _shortened([_metric(one) for one in metrics])
        yield _Table("metrics", ("metric", "old", "new", "difference", ""), rows)
    for title, found in (
        ("parameter", comparison.parameters),
        ("model", comparison.models),
        ("data", comparison.data),
    ):
        if found:
            yield _Table(title, (title, "", "old", "new"), _shortened([_changed(one) for one in found]))
    yield from _recorded("package", compared.packages)
    yield from _recorded("base", compared.base)
    yield _Table("layers", note=_layers(comparison))
    yield from _commits(compared)
    if compared.trials:
        yield _Table("answers", ("version", "ready after", "memory", "answer"), list(_answers(compared)))


def _facts(old: Version, new: Version) -> Iterator[tuple[str, ...]]:
    """Yield the facts of both versions, side by side."""
    yield from (
        ("tags", some_tags(old.tags), some_tags(new.tags)),
        ("digest", short(old.digest), short(new.digest)),
        ("created", *(f"{one.created:%Y-%m-%d %H:%M} UTC" if one.created else "" for one in (old, new))),
        ("commit", old.commit[:12], new.commit[:12]),
        ("base", old.base, new.base),
        ("platforms", *(", ".join(one.platforms) if old.platforms != new.platforms else "" for one in (old, new))),
        ("size", *(text.size(one.size) if one.size is not None else "" for one in (old, new))),
        ("verified", verdict(old.verified), verdict(new.verified)),
        ("problem", old.problem, new.problem),
    )


def _metric(one: Metric) -> tuple[str, ...]:
    return one.name, *metric_cells(one)


def _changed(one: Changed) -> tuple[str, ...]:
    old, new = (value if isinstance(value, str) else json.dumps(value) for value in (one.old, one.new))
    return one.name, one.kind, "" if one.kind == "added" else old, "" if one.kind == "removed" else new


def _recorded(title: str, found: Difference | None) -> Iterator[_Table]:
    plural = f"{title}s" if title == "package" else title
    if found is None:
        yield _Table(plural, note="not recorded in one of the images")
    elif found.changes:
        rows = [_package(change) for change in found.changes]
        yield _Table(title, (title, "", "old", "new"), _shortened(rows), found.note, is_said=True)
    else:
        yield _Table(plural, note=found.note or "the same", is_said=bool(found.note))


def _package(change: Change) -> tuple[str, ...]:
    old, new = ((thing.version or "") if thing else "" for thing in (change.before, change.now))
    return change.name, change.kind, old, new


def _layers(comparison: Comparison) -> str:
    shared, missing = comparison.shared, comparison.missing
    count = f"{len(shared)} of {len(shared) + len(missing)}"
    needed = comparison.needed
    each = " and ".join(f"{text.size(size)} on {platform}" for platform, size in needed.items())
    sizes = set(needed.values())
    more = each if len(sizes) > 1 else text.size(sizes.pop() if sizes else _size(missing))
    return f"{count} are shared; a host with the old version needs {more} more for the new one"


def _commits(compared: Compared) -> Iterator[_Table]:
    commits, versions = compared.commits, (compared.comparison.old, compared.comparison.new)
    if commits:
        # How many more there are is not known: Git was asked for one more than is shown.
        more = [("and more", "")] if len(commits) > _SHOWN else []
        yield _Table("commits", ("commit", ""), [*commits[:_SHOWN], *more])
    elif commits is not None:
        same = versions[0].commit == versions[1].commit
        yield _Table("commits", note="the same" if same else "the new version has none that the old one lacks")
    elif all(one.commit for one in versions):
        yield _Table("commits", note="this Git repository does not have both")


def _answers(compared: Compared) -> Iterator[tuple[str, ...]]:
    """Yield the outcome of running each version, with the answer last, which may be long."""
    for name, trial in zip((compared.old_name, compared.new_name), compared.trials or (), strict=True):
        seconds = f"{trial.seconds:.1f} s" if trial.seconds is not None else ""
        yield name, seconds, text.size(trial.memory) if trial.memory is not None else "", trial.answer


def _shortened(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    if len(rows) <= _SHOWN:
        return list(rows)
    return [*rows[:_SHOWN], (f"and {len(rows) - _SHOWN} more", *[""] * (len(rows[0]) - 1))]


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    heads = ("name", "kind", "old", "new")
    rows = [dict(zip(heads, _package(change), strict=True)) for change in found.changes]
    return {"note": found.note, "changes": rows}


def _size(parts: Sequence[Part]) -> int:
    return sum(part.descriptor.size for part in parts)


def _code(cell: str) -> str:
    """Return a cell as code, whatever it is; an empty one as it is."""
    return markdown.code(cell) if cell else ""
