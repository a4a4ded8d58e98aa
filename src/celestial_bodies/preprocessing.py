"""From the bytes of a picture to the network's input: the same code when training and when serving."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

INPUT_SIZE = 128
"""Side of the network's square input, in pixels."""

FORMATS = ("JPEG", "PNG", "WEBP")
"""The picture formats that are accepted, as Pillow names them."""

MAX_PIXELS = 50_000_000
"""The most pixels a picture may claim to have: with all its copies, it still fits a container with 1 GiB of memory."""

_LARGE = 4 * INPUT_SIZE
_WIDE_GREYS = {"I;16", "I;16L", "I;16B", "I;16N", "I"}


class PictureError(ValueError):
    """The bytes are no picture that can be classified; the message is one sentence for whoever sent them."""


def decode(data: bytes) -> Image.Image:
    """Decode a JPEG, PNG or WebP picture.

    Args:
        data: the file's bytes.

    Returns:
        The picture, completely read, upright as its EXIF orientation says.

    Raises:
        PictureError: the bytes are empty, of another format, damaged, truncated, or would decode to too many pixels.
    """
    if not data:
        raise PictureError("The picture is empty.")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError("This is not a JPEG, PNG or WebP picture.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(f"The picture has more than {MAX_PIXELS:,} pixels.") from None
    except Exception:
        # Pillow's parsers meet hostile bytes with exceptions of many kinds (struct.error, SyntaxError, KeyError …).
        raise PictureError("The picture is damaged or truncated.") from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"The picture has {width} × {height} pixels, more than {MAX_PIXELS:,}.")
    try:
        # A JPEG that is far larger than the input is decoded at a fraction of its size; other formats ignore this.
        picture.draft(None, (_LARGE, _LARGE))
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
    except Exception:
        raise PictureError("The picture is damaged or truncated.") from None
    return picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """Bring a picture of any mode to eight bits of red, green and blue; what is transparent becomes black.

    Args:
        picture: of any mode that Pillow decodes from the accepted formats.

    Returns:
        The picture in mode RGB; one that is far larger than the network's input is returned smaller.
    """
    if picture.mode in _WIDE_GREYS:
        # Pillow clips at 255 when it converts 16-bit greys; the upper byte keeps their range.
        picture = Image.fromarray(np.clip(np.asarray(picture) >> 8, 0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        rgba = _reduce(picture if picture.mode == "RGBA" else picture.convert("RGBA"))
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba).convert("RGB")
    return _reduce(picture if picture.mode in ("L", "RGB") else picture.convert("RGB")).convert("RGB")


def _reduce(picture: Image.Image) -> Image.Image:
    """Shrink a huge picture by a whole factor, before it is copied several times on its way to the input."""
    factor = max(picture.size) // _LARGE
    return picture.reduce(factor) if factor > 1 else picture


def to_input(picture: Image.Image) -> NDArray[np.float32]:
    """Turn a picture into the network's input.

    Args:
        picture: of any mode and size.

    Returns:
        Shape (3, INPUT_SIZE, INPUT_SIZE), red, green and blue from 0 to 1; the picture keeps its proportions and is
        padded with black, the colour of space, to a square.
    """
    square = ImageOps.pad(to_rgb(picture), (INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR, color="black")
    return np.asarray(square, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
