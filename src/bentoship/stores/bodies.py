"""The bodies of responses: read whole up to a size, or no further than is useful."""

from collections.abc import Mapping
from contextlib import suppress

import urllib3

from bentoship.errors import RegistryError
from bentoship.system.text import size
from bentoship.system.values import dataclass

MOST = 16 << 20
"""The bytes that a document in a response may have, such as a page of an API's list."""

_PIECE = 1 << 16

_REST = 64 << 10
"""The bytes of a response that are read for nothing, to use its connection again."""


@dataclass(frozen=True)
class Exchange:
    """A response that was read whole. Args: status, headers: of it; data: its body."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def read_whole(doing: str, response: urllib3.BaseHTTPResponse) -> Exchange:
    """Return a response with its body. Args: doing: what is being done, for errors.

    Raises: RegistryError when it is larger than MOST; HTTPError or OSError when it breaks off.
    """
    data = bytearray()
    try:
        # To the very end: only there urllib3 notices that something is missing.
        while piece := response.read(_PIECE):
            data += piece
            if len(data) > MOST:
                raise RegistryError(doing, f"the response is larger than {size(MOST)}")
    finally:
        response.close()
    return Exchange(response.status, response.headers, bytes(data))


def finish(response: urllib3.BaseHTTPResponse) -> None:
    """Read what is left of a response, so that its connection can be used again; end the connection if that is long."""
    with suppress(urllib3.exceptions.HTTPError, OSError):
        response.read(_REST)
    response.close()
