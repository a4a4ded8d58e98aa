"""A plan in words for people, and as a document for programs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bentoship.assembly.diff import Change, Difference, Thing
from bentoship.assembly.plan import Part, Shipment
from bentoship.bento import Bento
from bentoship.commands import terminal as console
from bentoship.image.platforms import titled
from bentoship.image.reference import ImageReference
from bentoship.system import text

_SHOWN = 20
"""As many changes of a part as a person reads; programs get all."""


@dataclass(frozen=True)
class Reasons:
    """Why an image differs from the one that was published last.

    Args:
        published: the digest of that one; None where none is known.
        differences: each with the platforms that have it.
        unknown: why there is nothing to tell of differences; empty when there is.
    """

    published: str | None
    differences: list[tuple[Difference, tuple[str, ...]]] = field(default_factory=list)
    unknown: str = ""


@dataclass(frozen=True)
class Plan:
    """What publish would do.

    Args:
        bento: what it would publish.
        target: the repository.
        tags: what the image would be called there.
        platforms: what it is for.
        shipment: what would be sent; or why only making the image tells.
        speed: the bytes per second that the registry took at the last push; None before any.
        reasons: why the image differs from the last one; None when nobody asked.
    """

    bento: Bento
    target: ImageReference
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    shipment: Shipment | str
    speed: float | None
    reasons: Reasons | None

    @property
    def seconds(self) -> float | None:
        """About how long sending would take; None where nothing tells."""
        return None if isinstance(self.shipment, str) or not self.speed else self.shipment.size / self.speed


def tell(made: Plan) -> None:
    """Print a plan on stdout."""
    say = functools.partial(console.say, to=sys.stdout)
    say("build", f"{made.bento.tag} {'would be built' if made.bento.fresh else 'is up to date'}")
    if isinstance(made.shipment, str):
        say("containerize", made.shipment)
        size = "what the registry lacks, known once it is built, is"
    else:
        parts = made.shipment.parts
        say("containerize", f"{sum(part.layer.made for part in parts)} of {len(parts)} layers are made")
        console.table([_row(part, made.platforms) for part in parts], to=sys.stdout)
        size = text.size(made.shipment.size, exact=made.shipment.digest is not None)
    say("tag", ", ".join(made.tags))
    time = ""
    if made.seconds and made.speed:
        time = f", about {text.duration(made.seconds)} at the {text.size(made.speed)}/s of the last push"
    say("push", f"{size} to send to {made.target}{time}")
    if made.reasons:
        _tell_why(made.reasons, made.platforms)


def _tell_why(reasons: Reasons, platforms: Sequence[str]) -> None:
    say = functools.partial(console.say, "why", to=sys.stdout)
    if reasons.unknown:
        say(reasons.unknown)
        return
    if not reasons.differences:
        say(f"nothing differs from {reasons.published}")
    for difference, owners in reasons.differences:
        title = titled(difference.title, owners, platforms)
        say(f"{title}: {difference.note}" if difference.note else title)
        rows = [_change(change) for change in difference.changes[:_SHOWN]]
        if more := len(difference.changes) - len(rows):
            rows.append((f"and {more} more", "", "", ""))
        if rows:
            console.table(rows, to=sys.stdout)


def _change(change: Change) -> tuple[str, str, str, str]:
    """What happened, to what, its size or version, and what that was before."""
    before, now = change.before or Thing(), change.now or Thing()
    if now.size is None and before.size is None:
        return change.kind, change.name, " → ".join(filter(None, (before.version, now.version))), ""
    grown = (now.size or 0) - (before.size or 0)
    difference = f"{'+' if grown >= 0 else '-'}{text.size(abs(grown))}" if change.kind == "changed" else ""
    return change.kind, change.name, text.size(change.size), difference


def document(made: Plan) -> dict[str, Any]:
    """The plan for programs, as README describes it."""
    shipment = None if isinstance(made.shipment, str) else made.shipment
    return {
        "bento": made.bento.tag,
        "reference": str(made.target),
        "tags": made.tags,
        "platforms": made.platforms,
        "digest": shipment and shipment.digest,
        "layers": list(map(_layer, shipment.parts)) if shipment else None,
        "bytes_to_send": shipment and shipment.size,
        "seconds_estimated": made.seconds,
        **({"why": _why(made.reasons)} if made.reasons else {}),
    }


def _row(part: Part, platforms: Sequence[str]) -> tuple[str, str, str]:
    layer = part.layer
    size = text.size(layer.size, exact=layer.descriptor is not None)
    return size, part.state, titled(layer.title, part.platforms, platforms)


def _layer(part: Part) -> dict[str, Any]:
    layer = part.layer
    digest = layer.descriptor and layer.descriptor.digest
    return {
        "title": layer.title,
        "platforms": part.platforms,
        "digest": digest,
        "size": layer.size,
        "estimated": not digest,
        "state": part.state,
    }


def _why(reasons: Reasons) -> dict[str, Any]:
    return {
        "published": reasons.published,
        "note": reasons.unknown,
        "differences": [_difference(difference, platforms) for difference, platforms in reasons.differences],
    }


def _difference(difference: Difference, platforms: Sequence[str]) -> dict[str, Any]:
    changes = [
        {
            "name": change.name,
            "change": change.kind,
            "size": change.now and change.now.size,
            "size_before": change.before and change.before.size,
            "version": change.now and change.now.version,
            "version_before": change.before and change.before.version,
        }
        for change in difference.changes
    ]
    return {"title": difference.title, "platforms": platforms, "note": difference.note, "changes": changes}
