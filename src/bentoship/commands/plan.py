"""What can be told before anything is published: what publish would do, and why."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from bentoship import bento as bentos
from bentoship.assembly.diff import differences, published_images
from bentoship.assembly.plan import PlannedImage, Unplanned, push_plan
from bentoship.commands import terminal as console
from bentoship.commands.report import Plan, Reasons, document, tell
from bentoship.errors import CloudError, RegistryError, StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Workspace, history, layer_layout, layout, provider, registry_store, repository, tags
from bentoship.publishing import planned
from bentoship.stores.nearest import Nearest
from bentoship.system.files import temporary_folder


@functools.cache
def plan(where: Workspace, *, as_json: bool = False, why: bool = False) -> None:
    """Tell what publish would do: no Bento is stored, no tag set, no registry started, nothing sent.

    Args:
        where: the project.
        as_json: whether a program reads it.
        why: whether to tell what makes the image differ from the one that was published last.

    Raises: BentoshipError.
    """
    made = _plan(where, why=why)
    if as_json:
        console.result(json.dumps(document(made), indent=2, ensure_ascii=False))
    else:
        tell(made)


def _plan(where: Workspace, *, why: bool) -> Plan:
    with temporary_folder(where.settings.cache / "scratch", "plan-") as folder:
        bento = bentos.preview(where.project, folder)
        images = planned(where, bento)
    target = repository(where, bento)
    names = tags(where, bento.version)
    asked = _Repository(where, target)
    return Plan(
        bento,
        target,
        names,
        where.settings.platforms,
        images if isinstance(images, Unplanned) else push_plan(images, asked.exists, _mountable(where, target)),
        history(where).speed(target.host),
        _reasons(where, asked, names, images) if why else None,
    )


def _mountable(where: Workspace, target: ImageReference) -> Callable[[Descriptor], bool]:
    holders = history(where).holders(target)
    return lambda descriptor: descriptor.digest in holders


def _reasons(
    where: Workspace, asked: _Repository, names: Sequence[str], images: Mapping[str, PlannedImage] | Unplanned
) -> Reasons:
    if isinstance(images, Unplanned):
        return Reasons(None, "only building it tells")
    published = asked.named(names) or asked.remembered()
    if published is None:
        return Reasons(None, f"nothing that was published as {asked.target} is known here")
    blobs = Nearest((layout(where), layer_layout(where)), asked.store)
    try:
        return Reasons(published.digest, differences(images, published_images(blobs, published), blobs))
    except StoreError as error:
        return Reasons(published.digest, f"{published.digest} cannot be compared: {error.why}")


class _Repository:
    """The repository, as far as it can be asked without starting its registry. That it can't be is told once."""

    def __init__(self, where: Workspace, target: ImageReference) -> None:
        self.target = target
        self._where = where
        self._holdings = provider(where).holdings(target)
        self.store = None if self._holdings else registry_store(where, target, push=False)

    def exists(self, descriptor: Descriptor) -> bool | None:
        """Whether it has a content; None when it cannot be asked."""
        if self._holdings:
            return self._holdings(descriptor)
        try:
            return self.store.exists(descriptor) if self.store else None
        except (RegistryError, CloudError) as error:
            console.say("plan", f"{error.doing}: {error.why}; all is taken for new")
            self.store = None
            return None

    def named(self, names: Sequence[str]) -> Descriptor | None:
        """What it has by the first of some names that it knows; None where it has none, or cannot be asked."""
        for name in names:
            with suppress(StoreError, CloudError):
                if self.store:
                    return self.store.resolve(name)
        return None

    def remembered(self) -> Descriptor | None:
        """What was last pushed there from here, if it is here still."""
        last = history(self._where).published(self.target)
        with suppress(StoreError):
            return layout(self._where).resolve(last.digest) if last and last.digest else None
        return None
