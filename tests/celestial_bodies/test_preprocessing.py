"""Bytes become pictures, and pictures the network's input."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from celestial_bodies.preprocessing import INPUT_SIZE, MAX_PIXELS, PictureError, decode, to_input, to_rgb
from celestial_bodies.sample import draw


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode a picture."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_input_has_one_shape_and_range() -> None:
    """Every picture becomes three planes from 0 to 1."""
    values = to_input(draw("Saturn").resize((300, 120)))
    assert values.shape == (3, INPUT_SIZE, INPUT_SIZE)
    assert values.dtype == np.float32
    assert 0 <= values.min() < values.max() <= 1


def test_proportions_are_kept() -> None:
    """A wide picture is padded with black above and below."""
    values = to_input(Image.new("RGB", (200, 100), "white"))
    assert values[:, : INPUT_SIZE // 4 - 1].max() == 0
    assert values[:, INPUT_SIZE // 2].min() == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_followed(orientation: int) -> None:
    """A picture that a camera stored turned or mirrored is decoded upright."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = draw("Saturn").crop((0, 40, 250, 200))
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(np.asarray(decode(encode(stored, "PNG", exif=exif))), np.asarray(upright))


def test_sixteen_bits_are_scaled() -> None:
    """The greys of a 16-bit picture keep their range instead of being clipped."""
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    picture = decode(encode(Image.fromarray(ramp), "PNG"))
    assert np.array_equal(np.asarray(to_rgb(picture))[..., 0], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_becomes_black(mode: str) -> None:
    """What is transparent shows space behind it, whatever colour lies hidden there."""
    picture = Image.new("RGBA", (8, 8), (255, 255, 255, 0)).convert(mode)
    assert to_input(decode(encode(picture, "PNG"))).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV", "F", "I"])
def test_other_modes_become_rgb(mode: str) -> None:
    """Whatever a decoder gives becomes red, green and blue."""
    assert to_rgb(Image.new(mode, (8, 8))).mode == "RGB"


def test_damaged_pictures_are_refused_in_one_way() -> None:
    """However a picture's bytes are damaged, it is decoded or refused with PictureError, and nothing else happens."""
    random = np.random.default_rng(0)
    originals = [encode(draw("Saturn").resize((64, 64)), kind) for kind in ("JPEG", "PNG", "WEBP")]
    refused = 0
    for original in originals * 60:
        data = bytearray(original)
        for place in random.integers(0, len(data), 4):
            data[place] = random.integers(256)
        try:
            decode(bytes(data[: random.integers(len(data) // 2, len(data) + 1)]))
        except PictureError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 20_000])
def test_bombs_are_refused_before_they_are_decoded(side: int) -> None:
    """A picture that claims too many pixels is refused, just above the limit and far above it."""
    bomb = encode(Image.new("1", (side, side)), "PNG")
    with pytest.raises(PictureError, match="pixels"):
        decode(bomb)
