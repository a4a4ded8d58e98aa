"""Where images are stored: a folder or a registry, behind one protocol."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bentoship.image.descriptor import Descriptor

Advance = Callable[[int], None]
"""A function called with the number of bytes sent since the last call; negative when some have to be sent again."""


class Reader(Protocol):
    """A stream of bytes, such as `open(path, "rb")` or an HTTP response."""

    def read(self, size: int = -1, /) -> bytes: ...


class Source(Protocol):
    """A place from which content can be read."""

    def open(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """Open the content as a stream that checks digest and size at its end. Raises StoreError."""


class Store(Source, Protocol):
    """The blobs, manifests and tags of one repository."""

    def exists(self, descriptor: Descriptor) -> bool:
        """Return whether the store has the content."""

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        """Store the content, completely or not at all. Raises StoreError, also when digest or size differ."""

    def resolve(self, name: str) -> Descriptor:
        """Return the descriptor of a tag or digest. Raises StoreError when there is none."""

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Point a tag at a manifest or index that the store has."""


class Layout(Store, Protocol):
    """A store on this machine, whose contents can be had again from where they came from."""

    def drop_damaged(self, root: Descriptor) -> Sequence[Descriptor]:
        """Remove the parts of a manifest or index, itself included, that do not match their digests; return them."""


class Registry(Store, Protocol):
    """A store that can take content from the repositories beside it."""

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Mount a blob from another repository instead of sending it. Returns: whether it worked. Raises StoreError."""
