"""Random variations of a picture: where the body is and how large, how it is lit, and what the camera did to it."""

import io
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

CANVAS = 128
"""Side of the pictures that are made, in pixels."""

Pixels = NDArray[np.floating[Any]]
"""Shape (CANVAS, CANVAS, 3): red, green and blue from 0 to 1."""

_FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def nudge(picture: Image.Image, random: Generator) -> Image.Image:
    """Vary a picture slightly: mirror it, shift it by a few pixels, resample it, and compress it again.

    Args:
        picture: in mode RGB.
        random: where all choices come from.

    Returns:
        A picture of CANVAS × CANVAS pixels, in mode RGB.
    """
    side = round(CANVAS * random.uniform(0.92, 1.08))
    canvas = Image.new("RGB", (CANVAS, CANVAS))
    left, top = (CANVAS - side) // 2 + random.integers(-4, 5, 2)
    canvas.paste(_mirror(picture, random).resize((side, side), _any_filter(random)), (int(left), int(top)))
    return _compress(canvas, int(random.integers(60, 97)))


def augment(picture: Image.Image, random: Generator) -> Image.Image:
    """Vary a picture of a body before black space a lot: the strongest variations leave it barely recognisable.

    Args:
        picture: in mode RGB; the body is in its middle and fills about nine tenths of it.
        random: where all choices come from.

    Returns:
        A picture of CANVAS × CANVAS pixels, in mode RGB.
    """
    body = _cut_out(picture)
    if random.random() < 0.4:
        body = _shade(body, random)
    pixels = _place(body, random)
    if random.random() < 0.85:
        pixels = _tint(pixels, random)
    if random.random() < 0.3:
        pixels = pixels + random.normal(0, random.uniform(0.005, 0.045), pixels.shape)
    result = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if random.random() < 0.25:
        result = result.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.5)))
    if random.random() < 0.6:
        result = _compress(result, int(random.integers(20, 96)))
    return result


def _mirror(picture: Image.Image, random: Generator) -> Image.Image:
    """Mirror a picture, or not, along each axis."""
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return picture


def _any_filter(random: Generator) -> Image.Resampling:
    """Choose how to resample."""
    return _FILTERS[random.integers(len(_FILTERS))]


def _cut_out(picture: Image.Image) -> Image.Image:
    """Make black space transparent, and keep the body opaque."""
    rgb = np.asarray(picture)
    bright = rgb.max(axis=2).astype(np.int16)
    alpha = np.clip((bright - 8) * 16, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([rgb, alpha]))


def _shade(body: Image.Image, random: Generator) -> Image.Image:
    """Light the body from one side, as a sphere of nine tenths of the picture would look: a phase."""
    side = body.width
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j] / 0.9
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    phase, around = random.uniform(0.2, 1.5), random.uniform(0, 2 * np.pi)
    light = x * np.sin(phase) * np.cos(around) + y * np.sin(phase) * np.sin(around) + z * np.cos(phase)
    ambient = random.uniform(0.05, 0.3)
    lit = ambient + (1 - ambient) * np.clip(light * random.uniform(1, 2), 0, 1)
    pixels = np.asarray(body).astype(np.float32)
    pixels[..., :3] *= lit[..., None]
    return Image.fromarray(pixels.astype(np.uint8))


def _place(body: Image.Image, random: Generator) -> Pixels:
    """Turn, mirror, scale and shift the body onto a background."""
    body = _mirror(body, random)
    if random.random() < 0.6:
        body = body.rotate(random.uniform(-180, 180), Image.Resampling.BICUBIC)
    scale = 1.0 if random.random() < 0.25 else float(np.exp(random.uniform(np.log(0.27), np.log(1.4))))
    side = round(CANVAS * scale)
    height = round(side * random.uniform(0.93, 1.07))
    # Composing with premultiplied colours keeps the background from shining through at the body's rim.
    body = body.convert("RGBa").resize((side, height), _any_filter(random))
    layer = Image.new("RGBa", (CANVAS, CANVAS))
    slack = max(abs(CANVAS - side) * 0.5, CANVAS * 0.12)
    dx, dy = random.uniform(-slack, slack, 2) if random.random() < 0.7 else (0, 0)
    layer.paste(body, (round((CANVAS - side) / 2 + dx), round((CANVAS - height) / 2 + dy)))
    pixels = np.asarray(layer).astype(np.float32) / 255
    return pixels[..., :3] + _background(random) * (1 - pixels[..., 3:])


def _background(random: Generator) -> Pixels:
    """Space: mostly black, sometimes hazy, noisy, or with stars."""
    sky: Pixels = np.zeros((CANVAS, CANVAS, 3), np.float32)
    kind = random.random()
    if kind < 0.45:
        return sky
    if kind < 0.75:
        sky += random.uniform(0, 0.2) * random.uniform(0.5, 1, 3)
    elif kind < 0.8:
        sky += random.uniform(0, 0.6) * random.uniform(0.7, 1, 3)
    if random.random() < 0.4:
        slope = np.linspace(random.uniform(0, 0.15), random.uniform(0, 0.15), CANVAS)
        sky += (slope[:, None, None] if random.random() < 0.5 else slope[None, :, None]) * random.uniform(0.3, 1, 3)
    if random.random() < 0.3:
        sky += np.abs(random.normal(0, random.uniform(0.01, 0.08), sky.shape))
    if random.random() < 0.6:
        count = int(random.integers(5, 150))
        y, x = random.integers(0, CANVAS, (2, count))
        sky[y, x] += random.uniform(0.2, 1, (count, 1)) * random.uniform(0.7, 1, (count, 3))
    return np.clip(sky, 0, 1)


def _tint(pixels: Pixels, random: Generator) -> Pixels:
    """Vary exposure, contrast, gamma, saturation and white balance, within what keeps a body's colour telling."""
    grey = (pixels @ _LUMA)[..., None]
    if random.random() < 0.1:
        pixels = np.repeat(grey, 3, axis=2)
    else:
        pixels = (grey + (pixels - grey) * random.uniform(0.7, 1.3)) * random.uniform(0.94, 1.06, 3)
    pixels = pixels * np.exp(random.uniform(np.log(0.5), np.log(1.5)))
    pixels = np.clip(pixels, 0, 1) ** random.uniform(0.8, 1.3)
    middle = pixels.mean()
    contrasted: Pixels = middle + (pixels - middle) * random.uniform(0.8, 1.2)
    return contrasted


def _compress(picture: Image.Image, quality: int) -> Image.Image:
    """Send a picture through JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")
