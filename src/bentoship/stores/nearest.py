"""Several stores as one to read from: those on this machine first."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.stores import Reader, Source, Store


@dataclass(frozen=True)
class Nearest:
    """Reads a content where it is nearest.

    Args:
        near: stores on this machine.
        far: one that has to be asked for what is not there; None where there is none.
        most: the bytes that are worth fetching from it.
    """

    near: Sequence[Store]
    far: Source | None = None
    most: int = 20_000_000

    def open(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """Open a content as a stream, checked against digest and size by its end. Raises StoreError."""
        far = self.far if descriptor.size <= self.most else None
        source = next((store for store in self.near if store.exists(descriptor)), far)
        if source is None:
            raise StoreError(f"Read {descriptor.digest}", "it is not on this machine any more")
        return source.open(descriptor)
