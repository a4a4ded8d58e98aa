"""A plan, as text for people and as JSON for programs."""

import functools
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from bentoship.assembly.diff import Change, Difference, Thing
from bentoship.assembly.plan import PlannedLayer, Unplanned
from bentoship.commands import terminal as console
from bentoship.image.layer import Layer
from bentoship.image.platforms import with_platforms
from bentoship.publishing.planning import Plan, Reasons
from bentoship.system import text

_SHOWN = 20
"""The number of a part's changes that the text shows; the JSON has all."""


def show(made: Plan) -> None:
    """Print a plan as text on stdout."""
    say = functools.partial(console.say, to=sys.stdout)
    say("build", f"{made.bento.tag} {'would be built' if made.bento.fresh else 'is up to date'}")
    if made.base:
        say("base", made.base)
    if isinstance(made.push, Unplanned):
        say("containerize", made.push.reason)
        size = "the missing layers (known only after building)"
    else:
        layers = made.push.layers
        say(
            "containerize",
            f"{sum(isinstance(layer.layer, Layer) for layer in layers)} of {len(layers)} layers are built",
        )
        console.table([_row(layer, made.platforms) for layer in layers], to=sys.stdout)
        size = text.size(made.push.size, exact=made.push.digest is not None)
    say("tag", ", ".join(made.tags))
    time = ""
    if made.seconds and made.speed:
        time = f", about {text.duration(made.seconds)} at the {text.size(made.speed)}/s of the last push"
    say("push", f"{size} to send to {made.target}{time}")
    if made.reasons:
        show_why(made.reasons, made.platforms)


def show_why(reasons: Reasons, platforms: Sequence[str], *, to: TextIO | None = None) -> None:
    """Print why an image differs from a published one.

    Args:
        reasons: why.
        platforms: of the image.
        to: the stream; None for stdout.
    """
    stream = to or sys.stdout
    say = functools.partial(console.say, "why", to=stream)
    if reasons.unknown:
        say(reasons.unknown)
    elif not reasons.differences:
        say(f"nothing differs from {reasons.published}")
    for difference, owners in reasons.differences:
        title = with_platforms(difference.title, owners, platforms)
        say(f"{title}: {difference.note}" if difference.note else title)
        rows = [_change(change) for change in difference.changes[:_SHOWN]]
        if more := len(difference.changes) - len(rows):
            rows.append((f"and {more} more", "", "", ""))
        console.table(rows, to=stream)


def _change(change: Change) -> tuple[str, str, str, str]:
    """Return the cells for a change: its kind, the name, size or versions, and the difference in size."""
    before, now = change.before or Thing(), change.now or Thing()
    if now.size is None and before.size is None:
        return change.kind, change.name, " → ".join(filter(None, (before.version, now.version))), ""
    grown = (now.size or 0) - (before.size or 0)
    difference = f"{'+' if grown >= 0 else '-'}{text.size(abs(grown))}" if change.kind == "changed" else ""
    return change.kind, change.name, text.size(change.size), difference


def document(made: Plan) -> dict[str, Any]:
    """Return a plan as a JSON document, in the format that docs/plan.md describes."""
    push = None if isinstance(made.push, Unplanned) else made.push
    return {
        "bento": made.bento.tag,
        "reference": str(made.target),
        "tags": made.tags,
        "platforms": made.platforms,
        "base": made.base,
        "digest": push and push.digest,
        "layers": list(map(_layer, push.layers)) if push else None,
        "bytes_to_send": push and push.size,
        "seconds_estimated": made.seconds,
        **({"why": _why(made.reasons)} if made.reasons else {}),
    }


def _row(planned: PlannedLayer, platforms: Sequence[str]) -> tuple[str, str, str]:
    layer = planned.layer
    size = text.size(layer.size, exact=layer.descriptor is not None)
    return size, planned.state, with_platforms(layer.title, planned.platforms, platforms)


def _layer(planned: PlannedLayer) -> dict[str, Any]:
    layer = planned.layer
    return {
        "title": layer.title,
        "platforms": planned.platforms,
        "digest": layer.descriptor and layer.descriptor.digest,
        "size": layer.size,
        "estimated": layer.descriptor is None,
        "state": planned.state,
    }


def _why(reasons: Reasons) -> dict[str, Any]:
    return {
        "published": reasons.published,
        "note": reasons.unknown,
        "differences": [_difference(difference, platforms) for difference, platforms in reasons.differences],
    }


def _difference(difference: Difference, platforms: Sequence[str]) -> dict[str, Any]:
    return {
        "title": difference.title,
        "platforms": platforms,
        "note": difference.note,
        "changes": [
            {
                "name": change.name,
                "change": change.kind,
                "size": change.now and change.now.size,
                "size_before": change.before and change.before.size,
                "version": change.now and change.now.version,
                "version_before": change.before and change.before.version,
            }
            for change in difference.changes
        ],
    }
