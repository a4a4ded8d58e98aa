"""Which image of a registry this machine can run."""

import platform
from dataclasses import replace

from bentoship.errors import NotVerifiedError
from bentoship.image.platforms import platform_of
from bentoship.stores.graph import manifests_of
from bentoship.verify.runner import RemoteImage


def fitting(image: RemoteImage) -> RemoteImage:
    """Return the image for this machine: of an index one that it holds, else the image itself.

    Raises:
        StoreError: it is damaged.
        NotVerifiedError: it is for other machines.
    """
    doing = f"Run {image.reference}"
    # Containers are Linux's on any system.
    here = platform_of(platform.machine()) or f"linux/{platform.machine()}"
    images = manifests_of(image.store, image.root)
    if here not in images:
        why = f"it is for {', '.join(images) or 'no platform at all'}, and this machine runs {here}"
        raise NotVerifiedError(doing, why, "This says nothing about the image. On such a machine it can be tried.")
    chosen = images[here]
    return replace(image, reference=image.reference.with_digest(chosen.digest), root=chosen)
