"""A stream that checks its content while it is read."""

import hashlib
from collections.abc import Callable

from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.stores import Reader


class Verified:
    """A stream that raises StoreError when its content differs from its descriptor.

    Args:
        content: the stream to check.
        descriptor: the expected digest and size.
        doing: what is being done, for the error.
        error: the error to raise, a function of what was being done and why it failed.
    """

    def __init__(
        self,
        content: Reader,
        descriptor: Descriptor,
        doing: str,
        error: Callable[[str, str], StoreError] = StoreError,
    ) -> None:
        self._content = content
        self._descriptor = descriptor
        self._doing = doing
        self._error = error
        self._hash = hashlib.sha256()
        self._count = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read like a file. Raises StoreError when the content differs from the descriptor or cannot be read."""
        if size == 0:
            return b""
        try:
            piece = self._content.read(size)
        except OSError as error:
            raise StoreError(self._doing, error.strerror or str(error)) from error
        self._hash.update(piece)
        self._count += len(piece)
        expected = self._descriptor.size
        if self._count > expected or (self._count < expected and (not piece or size < 0)):
            raise self._damaged(f"{self._count} bytes instead of {expected}")
        # At the last byte, not after it: not every reader reads until the end of file.
        if self._count == expected and f"sha256:{self._hash.hexdigest()}" != self._descriptor.digest:
            raise self._damaged(f"its digest is sha256:{self._hash.hexdigest()}")
        return piece

    def _damaged(self, how: str) -> StoreError:
        return self._error(self._doing, f"{self._descriptor.digest} is damaged: {how}")
