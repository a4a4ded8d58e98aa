"""Variations of a picture."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image

from celestial_bodies.augmentation import CANVAS, augment, nudge
from celestial_bodies.sample import draw


@pytest.mark.parametrize("vary", [augment, nudge])
def test_the_generator_decides_the_variation(vary: Callable[[Image.Image, Generator], Image.Image]) -> None:
    """Equal generators give equal pictures, others give others, and all have the same size and mode."""
    mars = draw("Mars")
    pictures = [vary(mars, np.random.default_rng(seed)) for seed in (1, 1, *range(2, 40))]
    assert np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[1]))
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) - 1
    assert {(picture.size, picture.mode) for picture in pictures} == {((CANVAS, CANVAS), "RGB")}


def test_a_nudged_picture_stays_much_the_same() -> None:
    """A nudge keeps the body's size and colour within a few percent."""
    before = np.asarray(draw("Mars").resize((CANVAS, CANVAS))).mean(axis=(0, 1))
    after = np.asarray(nudge(draw("Mars"), np.random.default_rng(5))).mean(axis=(0, 1))
    assert after == pytest.approx(before, rel=0.2)
