"""What tests of transfers look at: their progress, and the parts of an image."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from bentoship.image.descriptor import Descriptor
from bentoship.stores import Store
from bentoship.stores.graph import children, read_manifest


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.missing: tuple[Descriptor, ...] = ()
        self.bytes: dict[Descriptor, int] = {}
        self.steps: list[int] = []
        self._lock = threading.Lock()

    def begin(self, missing: Sequence[Descriptor]) -> None:
        self.missing = tuple(missing)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        with self._lock:
            self.steps.append(count)
            self.bytes[descriptor] = self.bytes.get(descriptor, 0) + count


def parts(store: Store, image: Descriptor) -> tuple[Descriptor, ...]:
    """An image's config and layers."""
    return children(read_manifest(store, image))
