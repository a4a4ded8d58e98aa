"""Draw a picture of a celestial body to try the service with: ``python -m celestial_bodies.sample OUT.jpg``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 256
"""Side of the drawn pictures, in pixels."""

_OVERSAMPLING = 3


@dataclass(frozen=True)
class Look:
    """How a body looks.

    Args:
        bands: its colours (red, green, blue, from 0 to 255) from the north pole to the south pole.
        mottling: how much darker its dark spots are, from 0 to 1.
        spots: how fine the mottling is; the number of spots around the equator, roughly.
        stretch: how much wider than high the spots are.
        ringed: whether it has rings.
    """

    bands: tuple[tuple[int, int, int], ...]
    mottling: float = 0.0
    spots: int = 8
    stretch: int = 1
    ringed: bool = False


LOOKS = {
    "Jupiter": Look(
        bands=(
            (130, 122, 105),
            (150, 140, 118),
            (214, 206, 188),
            (176, 134, 62),
            (232, 226, 212),
            (226, 220, 206),
            (170, 122, 48),
            (216, 206, 186),
            (200, 186, 156),
            (160, 150, 128),
            (128, 120, 104),
        ),
        mottling=0.12,
        spots=24,
        stretch=4,
    ),
    "Mars": Look(
        bands=((236, 228, 222), (176, 98, 62), (178, 100, 62), (172, 94, 58), (166, 88, 54), (182, 104, 66)),
        mottling=0.6,
        spots=7,
    ),
    "Neptune": Look(bands=((52, 52, 168), (58, 104, 208), (66, 126, 220), (58, 104, 208), (50, 50, 160))),
    "Saturn": Look(
        bands=(
            (150, 150, 140),
            (204, 186, 146),
            (232, 212, 168),
            (244, 226, 186),
            (238, 216, 172),
            (226, 206, 162),
            (212, 196, 158),
        ),
        ringed=True,
    ),
    "Uranus": Look(bands=((160, 214, 218), (172, 226, 230), (164, 218, 222))),
    "Venus": Look(bands=((226, 180, 112), (240, 198, 132), (230, 184, 116)), mottling=0.25, spots=6, stretch=3),
}
"""The bodies that can be drawn."""


def draw(body: str = "Saturn") -> Image.Image:
    """Draw a body before black space; the same picture each time.

    Args:
        body: one of LOOKS.

    Returns:
        SIDE x SIDE pixels, in mode RGB.

    Raises:
        KeyError: it is not known how the body looks.
    """
    look = LOOKS[body]
    side = SIDE * _OVERSAMPLING
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    pixels = np.zeros((side, side, 3))
    radius = 0.4 if look.ringed else 0.88
    disc = _disc(look, x / radius, y / radius, pixels)
    if look.ringed:
        # Seen from above, the rings' far half passes behind the disc and the near half before it.
        disc = _rings(x / radius, y / radius, disc)
    picture = Image.fromarray(np.clip(disc, 0, 255).astype(np.uint8))
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX)


def _disc(
    look: Look, x: NDArray[np.float64], y: NDArray[np.float64], background: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Paint a sphere of radius 1 around the middle, lit from the front, its north pole tilted towards us."""
    inside = x**2 + y**2 <= 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    tilt = 0.3
    north = -y * np.cos(tilt) + z * np.sin(tilt)
    longitude = np.arctan2(x, z * np.cos(tilt) + y * np.sin(tilt))
    position = np.arccos(np.clip(north, -1, 1)) / np.pi
    stops = np.linspace(0, 1, len(look.bands))
    colours = np.stack([np.interp(position, stops, channel) for channel in zip(*look.bands, strict=True)], axis=2)
    # The chart's columns meet at the poles, so the spots fade out towards them.
    spots = _spots(look, position, longitude) * np.sin(np.pi * position)
    shade = (1 - look.mottling * spots) * (0.75 + 0.25 * z)
    return np.where(inside[..., None], colours * shade[..., None], background)


def _spots(look: Look, position: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where dark spots are, from 0 to 1: coarse random numbers, smoothly enlarged over a map of the sphere."""
    random = np.random.default_rng(1)
    rows, columns = 512, 1024
    chart = np.zeros((rows, columns))
    for octave in range(3):
        width = look.spots * 2**octave
        noise = Image.fromarray(random.random((max(2, width * look.stretch // 2), width)).astype(np.float32))
        chart += np.asarray(noise.resize((columns, rows), Image.Resampling.BICUBIC)) / 2**octave
    chart = np.clip((chart / 1.75 - 0.5) * 4, 0, 1)
    down = np.clip(position * rows, 0, rows - 1).astype(int)
    across = np.clip((longitude / (2 * np.pi) + 0.5) * columns, 0, columns - 1).astype(int)
    return np.asarray(chart[down, across])


def _rings(x: NDArray[np.float64], y: NDArray[np.float64], picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lay rings around a sphere of radius 1, over the picture of it."""
    distance = np.hypot(x, y / 0.3)
    radii = (1.24, 1.25, 1.52, 1.53, 1.94, 1.95, 2.02, 2.03, 2.26, 2.27)
    brightness = np.interp(distance, radii, (0, 55, 60, 120, 135, 12, 12, 100, 90, 0))
    hidden = (y < 0) & (x**2 + y**2 <= 1)
    visible = (brightness > 0) & ~hidden
    colours = brightness[..., None] * np.array([1.0, 0.94, 0.86])
    return np.where(visible[..., None], colours, picture)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a body and save the picture.

    Args:
        arguments: of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m celestial_bodies.sample", description="Draw a celestial body.")
    parser.add_argument("output", type=Path, help="the picture to write; its name ends in .jpg, .png or .webp")
    parser.add_argument("--body", choices=sorted(LOOKS), default="Saturn")
    options = parser.parse_args(arguments)
    draw(options.body).save(options.output, quality=92)


if __name__ == "__main__":
    main()
