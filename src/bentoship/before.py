"""What can be told before anything is published: what publish would do, and why."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoship import bento as bentos
from bentoship import console
from bentoship.bento import Bento
from bentoship.errors import CloudError, RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.platforms import titled
from bentoship.plan import Part, Shipment, shipment
from bentoship.reference import ImageReference
from bentoship.steps import Workspace, backend, history, provider, registry_store, repository, tags


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
    """

    bento: Bento
    target: ImageReference
    tags: tuple[str, ...]
    platforms: tuple[str, ...]
    shipment: Shipment | str
    speed: float | None

    @property
    def seconds(self) -> float | None:
        """About how long sending would take; None where nothing tells."""
        return None if isinstance(self.shipment, str) or not self.speed else self.shipment.size / self.speed


@functools.cache
def plan(where: Workspace, *, as_json: bool = False) -> None:
    """Tell what publish would do: no Bento is stored, no tag set, no registry started, nothing sent."""
    made = _plan(where)
    if as_json:
        console.result(json.dumps(_document(made), indent=2, ensure_ascii=False))
    else:
        _tell(made)


def _plan(where: Workspace) -> Plan:
    scratch = where.settings.cache / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="plan-", dir=scratch) as folder:
        bento = bentos.preview(where.project, Path(folder))
        planned = backend(where).plan(bento)
    target = repository(where, bento)
    return Plan(
        bento,
        target,
        tags(where, bento.version),
        where.settings.platforms,
        planned if isinstance(planned, str) else shipment(planned, _asking(where, target)),
        history(where).speed(target.host),
    )


def _asking(where: Workspace, target: ImageReference) -> Callable[[Descriptor], bool | None]:
    """How to learn what the repository has, without starting its registry; it tells None when that cannot be asked."""
    if holdings := provider(where).holdings(target):
        return holdings
    store = registry_store(where, target, push=False)
    silent = False

    def ask(descriptor: Descriptor) -> bool | None:
        nonlocal silent
        try:
            return None if silent else store.exists(descriptor)
        except (RegistryError, CloudError) as error:
            console.say("plan", f"{error.doing}: {error.why}; all is taken for new")
            silent = True
            return None

    return ask


def _tell(made: Plan) -> None:
    say = functools.partial(console.say, to=sys.stdout)
    say("build", f"{made.bento.tag} {'would be built' if made.bento.fresh else 'is up to date'}")
    if isinstance(made.shipment, str):
        say("containerize", made.shipment)
        size = "what the registry lacks, known once it is built, is"
    else:
        parts = made.shipment.parts
        say("containerize", f"{sum(part.layer.made for part in parts)} of {len(parts)} layers are made")
        console.table([_row(part, made.platforms) for part in parts], to=sys.stdout)
        size = console.size(made.shipment.size, exact=made.shipment.digest is not None)
    say("tag", ", ".join(made.tags))
    time = ""
    if made.seconds and made.speed:
        time = f", about {console.duration(made.seconds)} at the {console.size(made.speed)}/s of the last push"
    say("push", f"{size} to send to {made.target}{time}")


def _document(made: Plan) -> dict[str, Any]:
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
    }


def _row(part: Part, platforms: Sequence[str]) -> tuple[str, str, str]:
    layer = part.layer
    size = console.size(layer.size, exact=layer.descriptor is not None)
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
