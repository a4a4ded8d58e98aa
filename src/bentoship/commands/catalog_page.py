"""The page of a catalog: one HTML file in ASCII, which needs no network, and without JavaScript is still a table.

Anyone may have written what the registry says: it is all bounded and escaped.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from bentoship.commands import versions_table
from bentoship.image.descriptor import short
from bentoship.system.text import counted, on_one_line, size
from bentoship.system.values import dataclass
from bentoship.versions.metrics import best, is_lower
from bentoship.versions.version import Version

T = TypeVar("T")

_TEMPLATE = Path(__file__).parents[1] / "templates" / "catalog.html"

_MOST_VERSIONS = 5000
_MOST_COLUMNS = 6
"""The number of metrics with a column of their own; the details of a version have all."""

_MOST_ENTRIES = 200
_MOST_TEXT = 300
"""Characters."""

_DIGITS = 6
"""The digits of a metric, here and in the script."""


@dataclass(frozen=True)
class Catalog:
    """The versions of an image.

    Args:
        repository: where the image is, without tag and digest.
        versions: of the image, the newest first.
        read: when they were read, in UTC.
        lower: the metrics for which lower is better, as of `is_lower`.
        commits: the address of a commit's page, without the commit; empty when it has none.
    """

    repository: str
    versions: Sequence[Version]
    read: datetime
    lower: Collection[str] = ()
    commits: str = ""


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Args:
        key: what the script sorts it by.
        title: its head.
        cell: returns the HTML of a version's cell; empty for nothing.
        style: the class of its cells.
    """

    key: str
    title: str
    cell: Callable[[Version], str]
    style: str = ""


def page(catalog: Catalog) -> str:
    """Return the page of a catalog."""
    versions = list(map(_bounded, catalog.versions[:_MOST_VERSIONS]))
    common = Counter(metric for version in versions for metric in version.metrics)
    metrics = sorted(common, key=lambda metric: (-common[metric], metric.count(".")))[:_MOST_ENTRIES]
    shown = metrics[:_MOST_COLUMNS]
    lower = {metric for metric in common if is_lower(metric, catalog.lower)}
    columns = _columns(catalog, shown, best(versions, catalog.lower))
    columns = [column for column in columns if any(map(column.cell, versions))]
    count = len(catalog.versions)
    parts = {
        "title": _escaped(f"Versions of {catalog.repository}"),
        "summary": _escaped(
            f"{counted(count, 'version')} in the registry at {_time(catalog.read)}"
            + (f"; the newest {len(versions)} are shown" if count > len(versions) else "")
        ),
        "promoted": _promoted(versions),
        "caption": "One version per row, the newest first. The best value of each metric is marked.",
        "head": "".join(map(_head, columns)),
        "rows": "\n".join(_row(number, one, catalog.repository, columns) for number, one in enumerate(versions)),
        "data": _data(versions, metrics, lower),
    }
    template = _TEMPLATE.read_text("utf-8")
    parts["policy"] = _policy(template)
    # In one pass, so that a text that looks like a place of the template stays a text.
    filled = re.sub(r"<!--(\w+)-->", lambda found: parts[found[1]], template)
    return filled.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _policy(template: str) -> str:
    """Return a policy that allows the template's own script and style and nothing else (CSP level 3, "Hash usage")."""
    allowed = {}
    for tag in ("script", "style"):
        found = re.search(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
        digest = hashlib.sha256((found[1] if found else "").encode()).digest()
        allowed[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    return (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _bounded(version: Version) -> Version:
    """Return a version whose texts are short, printable and on one line, and whose lists are short."""
    numbers = ((_text(name), _number(value)) for name, value in _first(version.metrics.items()))
    return replace(
        version,
        digest=_text(version.digest),
        tags=_texts(version.tags),
        platforms=_texts(version.platforms),
        layers=[replace(layer, kind=_text(layer.kind)) for layer in _first(version.layers)],
        bento=_text(version.bento),
        description=_text(version.description),
        base=_text(version.base),
        base_digest=_text(version.base_digest),
        models=[replace(one, tag=_text(one.tag), metadata=_pairs(one.metadata)) for one in _first(version.models)],
        metrics={name: value for name, value in numbers if value is not None},
        parameters=_pairs(version.parameters),
        data=[replace(one, path=_text(one.path), digest=_text(one.digest)) for one in _first(version.data)],
        created=_utc(version.created),
        commit=_text(version.commit),
        promoted=_texts(version.promoted),
        problem=_text(version.problem),
    )


def _first(entries: Iterable[T]) -> Iterator[T]:
    return itertools.islice(entries, _MOST_ENTRIES)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    shown = on_one_line(text[:_MOST_TEXT])
    return f"{shown}…" if len(text) > _MOST_TEXT else shown


def _texts(values: Iterable[str]) -> list[str]:
    return [_text(value) for value in _first(values)]


def _pairs(values: Mapping[str, Any]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in _first(values.items())}


def _number(value: float) -> float | None:
    """Return a number as JavaScript has it; None where it is none."""
    try:
        return number if math.isfinite(number := float(value)) else None
    except (OverflowError, TypeError, ValueError):
        return None


def _columns(catalog: Catalog, metrics: Iterable[str], best: Mapping[str, float]) -> list[_Column]:
    """Return the columns of what versions may have or lack."""
    return [
        _Column("promoted", "Promoted", lambda one: _badges(one.promoted)),
        _Column("verified", "Verified", _verified),
        _Column("created", "Made", lambda one: _made(one.created)),
        *(
            _Column(f"metric:{metric}", metric, functools.partial(_metric, metric=metric, best=best), "number")
            for metric in metrics
        ),
        _Column("size", "Size", lambda one: "" if one.size is None else _escaped(size(one.size)), "number"),
        _Column("commit", "Commit", lambda one: _commit(one.commit, catalog.commits)),
        _Column(
            "models", "Models", lambda one: _escaped(", ".join(model.tag.rpartition(":")[2] for model in one.models))
        ),
    ]


def _head(column: _Column) -> str:
    now = ' aria-sort="descending"' if column.key == "created" else ""
    key = f' data-key="{_escaped(column.key)}"'
    return f'<th scope="col" role="columnheader"{key}{now}>{_escaped(column.title)}</th>'


def _row(number: int, version: Version, repository: str, columns: Iterable[_Column]) -> str:
    names = _escaped(", ".join(version.tags) or "no tag")
    cells = [
        '<td role="cell" data-label="Compare" class="pick" hidden></td>',
        f'<th scope="row" role="rowheader">{names} <code>{_escaped(short(version.digest))}</code></th>',
        f'<td role="cell" class="more">{_details(version, repository)}</td>',
        *(_cell(column, version) for column in columns),
    ]
    return f'<tr role="row" id="v{number}" data-index="{number}">{"".join(cells)}</tr>'


def _cell(column: _Column, version: Version) -> str:
    style = f' class="{column.style}"' if column.style else ""
    return f'<td role="cell" data-label="{_escaped(column.title)}"{style}>{column.cell(version)}</td>'


def _badges(names: Iterable[str]) -> str:
    return " ".join(f'<span class="badge good">{_escaped(name)}</span>' for name in names)


def _verified(version: Version) -> str:
    if version.verified is None:
        return ""
    return '<span class="good">works</span>' if version.verified else '<span class="bad">failed</span>'


def _made(created: datetime | None) -> str:
    return f'<time datetime="{_iso(created)}">{created.date()}</time>' if created else ""


def _metric(version: Version, *, metric: str, best: Mapping[str, float]) -> str:
    value = version.metrics.get(metric)
    if value is None:
        return ""
    mark = ' <span class="badge good">best</span>' if value == best.get(metric) else ""
    return f"{versions_table.number(value, _DIGITS)}{mark}"


def _commit(commit: str, commits: str) -> str:
    code = f"<code>{_escaped(commit[:12])}</code>"
    if not commit:
        return ""
    if not commits or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return code
    return f'<a href="{_escaped(commits + commit)}" rel="noreferrer">{code}</a>'


def _details(version: Version, repository: str) -> str:
    """Return the rest of what is known of a version, folded."""
    reference = f'<code class="reference">{_escaped(f"{repository}@{version.digest}")}</code>'
    texts = [
        ("Problem", version.problem),
        ("Published by", "" if version.is_ours or version.problem else "another program"),
        ("Made", _time(version.created) if version.created else ""),
        ("Bento", version.bento),
        ("Description", version.description),
        ("Base", " ".join(filter(None, (version.base, version.base_digest)))),
        ("Platforms", ", ".join(version.platforms)),
        ("Layers", str(len(version.layers) or "")),
        *(("Model", model.tag) for model in version.models),
        *((f"Metric {name}", versions_table.number(value, _DIGITS)) for name, value in version.metrics.items()),
        *((f"Parameter {name}", value) for name, value in version.parameters.items()),
        *((f"{model.tag}: {name}", value) for model in version.models for name, value in model.metadata.items()),
        *(("Training data", _data_line(one.path, one.digest, one.size)) for one in version.data),
    ]
    entries = "".join(f"<dt>{_escaped(str(name))}</dt><dd>{_escaped(str(text))}</dd>" for name, text in texts if text)
    title = f'<summary aria-label="Details of {_escaped(_label(version))}">Details</summary>'
    return f"<details>{title}<dl><dt>Reference</dt><dd>{reference}</dd>{entries}</dl></details>"


def _data_line(path: str, digest: str, count: int | None) -> str:
    return f"{path} {digest}" + (f" ({size(count)})" if count is not None else "")


def _promoted(versions: Sequence[Version]) -> str:
    names = {name: number for number, version in reversed([*enumerate(versions)]) for name in version.promoted}
    lines = (
        f'<p><span class="badge good">{_escaped(name)}</span> is '
        f'<a href="#v{number}">{_escaped(_label(versions[number], besides=name))}</a></p>'
        for name, number in sorted(names.items())
    )
    return "\n".join(lines) or '<p class="quiet">No version is promoted.</p>'


def _label(version: Version, *, besides: str = "") -> str:
    return ", ".join([*(tag for tag in version.tags if tag != besides), short(version.digest)])


def _data(versions: Sequence[Version], metrics: Sequence[str], lower: Collection[str]) -> str:
    """Return what the script reads, as JSON that neither ends its element nor a line of JavaScript."""
    layers = list({layer.descriptor.digest: layer for version in versions for layer in version.layers}.values())
    places = {layer.descriptor.digest: place for place, layer in enumerate(layers)}
    document = {
        "versions": [_entry(version, places) for version in versions],
        "layers": [[layer.descriptor.digest, layer.descriptor.size, layer.kind] for layer in layers],
        "metrics": metrics,
        "lower": sorted(lower),
    }
    text = json.dumps(document, separators=(",", ":"))  # in ASCII, and so without U+2028
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _entry(version: Version, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "digest": version.digest,
        "tags": version.tags,
        "size": version.size,
        "platforms": version.platforms,
        "layers": [places[digest] for digest in dict.fromkeys(layer.descriptor.digest for layer in version.layers)],
        "bento": version.bento,
        "description": version.description,
        "base": version.base,
        "baseDigest": version.base_digest,
        "models": [model.tag for model in version.models],
        "metrics": version.metrics,
        "parameters": version.parameters,
        "data": [_data_line(one.path, one.digest, one.size) for one in version.data],
        "created": _iso(version.created) if version.created else None,
        "commit": version.commit,
        "promoted": version.promoted,
        "verified": None if version.verified is None else 1 + version.verified,  # numbers, which the script sorts by
        "problem": version.problem,
    }


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment in UTC; None when it is not known, or at an end of the calendar."""
    if moment is None or moment.tzinfo is None:
        return moment and moment.replace(tzinfo=UTC)
    with suppress(OverflowError):
        return moment.astimezone(UTC)
    return None


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _time(moment: datetime) -> str:
    return f"{moment.isoformat(' ', timespec='minutes')[:16]} UTC"


def _escaped(text: str) -> str:
    return html.escape(text)
