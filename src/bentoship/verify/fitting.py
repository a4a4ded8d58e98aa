"""Which image of a registry this machine can run."""

from __future__ import annotations

import json
import platform
from dataclasses import replace

from bentoship.errors import NotVerifiedError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.platforms import images_of, platform_of, written
from bentoship.stores.graph import read_manifest
from bentoship.verify.runner import RemoteImage


def fitting(image: RemoteImage) -> RemoteImage:
    """The image for this machine: of an index one that it holds, else the image itself.

    Raises:
        StoreError: it is damaged.
        NotVerifiedError: it is for other machines.
    """
    doing = f"Run {image.reference}"
    # Containers are Linux's on any system.
    here = platform_of(platform.machine()) or f"linux/{platform.machine()}"
    try:
        document = read_manifest(image.store, image.root)
        if image.root.media_type in INDEX_TYPES:
            images = images_of(document)
        else:
            config = Descriptor.from_dict(json.loads(document)["config"])
            images = {written(json.loads(read_manifest(image.store, config))): image.root}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(doing, f"it is damaged ({error!r})") from error
    if here not in images:
        why = f"it is for {', '.join(images) or 'no platform at all'}, and this machine runs {here}"
        raise NotVerifiedError(doing, why, "This says nothing about the image. On such a machine it can be tried.")
    chosen = images[here]
    return replace(image, reference=image.reference.with_digest(chosen.digest), root=chosen)
