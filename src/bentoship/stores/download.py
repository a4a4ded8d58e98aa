"""Content that is downloaded: it goes on where a connection was cut, and what is small is read again when damaged."""

import io
from collections.abc import Callable
from typing import Protocol

from bentoship.stores import Reader

_PIECE = 1 << 16

Persist = Callable[[Callable[[], bytes]], bytes]
"""Calls a function, and again after temporary errors."""


class Body(Reader, Protocol):
    """A response's body."""

    def close(self) -> None: ...


class Download:
    """A stream that asks for the rest of its content when the connection breaks off.

    Args:
        get: requests the content from an offset on. Raises RegistryError.
        size: how much there is, in bytes.
        persist: calls a function, and again after temporary errors.
    """

    def __init__(self, get: Callable[[int], Body], size: int, persist: Persist) -> None:
        self._get = get
        self._size = size
        self._persist = persist
        self._offset = 0
        self._body: Body | None = get(0)

    def read(self, size: int = -1, /) -> bytes:
        """Read like a file. Raises RegistryError when the rest cannot be had, either."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        piece = self._persist(lambda: self._piece(size))
        self._offset += len(piece)
        return piece

    def close(self) -> None:
        """End the download; a connection whose response was not read to its end cannot be reused."""
        if self._body is not None:
            self._body.close()

    def _piece(self, size: int) -> bytes:
        if self._body is None:
            if self._offset >= self._size:
                return b""
            self._body = self._get(self._offset)
        try:
            return self._body.read(size)
        except BaseException:
            self._body.close()
            self._body = None
            raise


class Small:
    """A stream of content that is read whole, and again when it was damaged on the way.

    Args:
        start: begins a download; the first one begins now.
        check: returns a stream that raises an error at its end when the content is damaged.
        persist: calls a function, and again after temporary errors.
    """

    def __init__(self, start: Callable[[], Download], check: Callable[[Reader], Reader], persist: Persist) -> None:
        self._start = start
        self._check = check
        self._persist = persist
        self._download: Download | None = start()
        self._content: io.BytesIO | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Read like a file. Raises StoreError when the content cannot be had."""
        if self._content is None:
            self._content = io.BytesIO(self._persist(self._whole))
        return self._content.read(size)

    def close(self) -> None:
        """End the download."""
        if self._download is not None:
            self._download.close()

    def _whole(self) -> bytes:
        if self._download is None:
            self._download = self._start()
        stream = self._check(self._download)
        try:
            return b"".join(iter(lambda: stream.read(_PIECE), b""))
        finally:
            self.close()
            self._download = None
