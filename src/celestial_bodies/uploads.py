"""What ``POST /predict`` takes: one picture in a multipart form."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Self

import bentoml
from bentoml.validators import ContentType
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

FIELD = "image"
"""The form's field that holds the picture."""

MAX_BYTES = 20 * 1024 * 1024
"""The largest form that is accepted, in bytes."""


class UploadError(ValueError):
    """The request holds no picture; the message is one sentence for whoever sent it.

    Args:
        status: the HTTP status to answer with.
        message: the sentence.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class Upload(bentoml.IODescriptor):
    """A form with a JPEG, PNG or WebP picture in the field ``image``."""

    # It reads requests itself: BentoML's own reading answers 500 to a malformed form and to bytes in a field of another
    # name, fetches the address that a text in the field names, and holds uploads of any size in memory.

    image: Annotated[Path, ContentType("image/*")]

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """Read the picture's bytes, or why there are none: only the API method can answer with one plain JSON object.

        Args:
            request: of any content type.
            serde: how BentoML would read it.

        Returns:
            An upload whose image is bytes or an UploadError.
        """
        image: bytes | UploadError
        try:
            image = await read_picture(request)
        except UploadError as error:
            image = error
        upload: Self = cls.model_construct(image=image)
        return upload


async def read_picture(request: Request) -> bytes:
    """Read the form's picture.

    Args:
        request: its body is read to the end, whatever is in it, so that the sender gets to read the answer.

    Returns:
        The bytes of the file in the form's field.

    Raises:
        UploadError: the request is too large, is no multipart form, or does not have just one file in the field.
    """
    body = await _read_body(request)
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UploadError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send the picture as a file in the field '{FIELD}' of a multipart/form-data request.",
        )
    try:
        form = await MultiPartParser(request.headers, _chunks(body)).parse()
    except (MultiPartException, UnicodeError):
        raise UploadError(HTTPStatus.BAD_REQUEST, "The multipart form is malformed.") from None
    try:
        files = [value for value in form.getlist(FIELD) if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise UploadError(
                HTTPStatus.BAD_REQUEST,
                f"The form needs one file in the field '{FIELD}', but has {len(files) or 'none'}.",
            )
        data: bytes = await files[0].read()
        return data
    finally:
        await form.close()


async def _read_body(request: Request) -> bytes:
    """Read the whole body, but hold no more of it than is accepted."""
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BYTES:
            body += chunk
    if size > MAX_BYTES:
        raise UploadError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The upload is larger than {MAX_BYTES // 1024**2} MiB.")
    return bytes(body)


async def _chunks(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
