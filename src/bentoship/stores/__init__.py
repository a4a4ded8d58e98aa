"""Where images lie: a folder or a registry, behind one protocol."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bentoship.image.descriptor import Descriptor

Advance = Callable[[int], None]
"""Told the number of bytes that went over since the last call; negative when a piece has to be sent again."""


class Reader(Protocol):
    """A stream of bytes, as `open(path, "rb")` and an HTTP answer give it."""

    def read(self, size: int = -1, /) -> bytes: ...


class Source(Protocol):
    """What contents can be read from."""

    def open(self, descriptor: Descriptor) -> AbstractContextManager[Reader]:
        """The content as a stream, checked against digest and size by its end. Raises StoreError."""


class Store(Source, Protocol):
    """A place that holds the blobs, manifests and tags of one repository."""

    def exists(self, descriptor: Descriptor) -> bool:
        """Whether the content is there."""

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        """Put the content there, wholly or not at all. Raises StoreError, also when digest or size differ."""

    def resolve(self, name: str) -> Descriptor:
        """The descriptor that a tag or a digest stands for. Raises StoreError when there is none."""

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Let the tag stand for a manifest or index that is there."""


class Layout(Store, Protocol):
    """A store on this machine, whose contents can be had again from where they came from."""

    def drop_damaged(self, root: Descriptor) -> Sequence[Descriptor]:
        """Remove what of a manifest or index, itself included, is not what its digest says; return what that was."""


class Registry(Store, Protocol):
    """A store with others beside it, which may hold the same content."""

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Take a blob from another repository without sending it; whether it is there now. Raises StoreError."""
