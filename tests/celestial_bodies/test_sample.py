"""The drawn sample pictures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from celestial_bodies.classifier import Classifier, likeliest
from celestial_bodies.sample import LOOKS, SIDE, draw


@pytest.mark.parametrize("body", LOOKS)
def test_a_body_is_drawn_the_same_each_time(body: str) -> None:
    """Two drawings of a body don't differ in a single pixel."""
    first, second = draw(body), draw(body)
    assert first.size == (SIDE, SIDE)
    assert np.array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("body", LOOKS)
def test_a_drawn_body_is_recognised(classifier: Classifier, body: str) -> None:
    """The committed model, which never saw a drawing, knows what each drawing shows."""
    assert likeliest(classifier.classify(draw(body))) == body


def test_the_model_is_sure_of_saturn(classifier: Classifier) -> None:
    """The default sample is Saturn beyond doubt."""
    assert classifier.classify(draw())["Saturn"] > 0.9


def test_the_picture_beside_the_model_is_drawn() -> None:
    """What verify sends is what the code draws, but for what encoders round."""
    with Image.open(Path(__file__).parents[2] / "model" / "saturn.jpg") as kept:
        difference = np.asarray(kept, dtype=float) - np.asarray(draw("Saturn"), dtype=float)
    assert np.abs(difference).mean() < 1


def test_an_unknown_body_cannot_be_drawn() -> None:
    """There is no picture of a body whose look is not known."""
    with pytest.raises(KeyError):
        draw("Vulcan")


def test_the_command_writes_a_picture(tmp_path: Path) -> None:
    """The command draws the body that it is told to."""
    path = tmp_path / "mars.jpg"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    subprocess.run([sys.executable, "-m", "celestial_bodies.sample", str(path), "--body", "Mars"], env=env, check=True)
    with Image.open(path) as picture:
        assert picture.format == "JPEG"
        red, _, blue = np.asarray(picture).mean(axis=(0, 1))
        assert red > blue
