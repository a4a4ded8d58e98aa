"""Several stores combined into one to read from, local ones first."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.stores import Reader, Source, Store
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Nearest:
    """A source that reads content from the nearest store that has it.

    Args:
        near: stores on this machine.
        far: a remote store for content that none of them has; None for none.
        most: the largest content to fetch from it, in bytes.
    """

    near: Sequence[Store]
    far: Source | None = None
    most: int = 20_000_000

    def open(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """Open the content as a stream that checks digest and size at its end. Raises StoreError."""
        far = self.far if descriptor.size <= self.most else None
        source = next((store for store in self.near if store.exists(descriptor)), far)
        if source is None:
            raise StoreError(f"Read {descriptor.digest}", "it is no longer on this machine")
        return source.open(descriptor)
