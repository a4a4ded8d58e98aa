"""The trained classifier without the service around it."""

import pytest
from PIL import ImageOps

from celestial_bodies.classifier import Classifier, likeliest
from celestial_bodies.sample import draw


def test_mirror_images_get_the_same_answer(classifier: Classifier) -> None:
    """Which way round a body is makes no difference."""
    picture = draw("Jupiter")
    expected = classifier.classify(picture)
    for mirrored in (ImageOps.mirror(picture), ImageOps.flip(picture), ImageOps.mirror(ImageOps.flip(picture))):
        assert classifier.classify(mirrored) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("side", [64, 100, 512, 1500])
def test_size_makes_no_difference(classifier: Classifier, side: int) -> None:
    """A picture is recognised whether it is smaller or larger than the network's input."""
    assert likeliest(classifier.classify(draw("Saturn").resize((side, side)))) == "Saturn"


def test_the_likeliest_label_has_the_highest_probability() -> None:
    """The prediction is the label with the highest probability, wherever it stands."""
    assert likeliest({"Mars": 0.2, "Venus": 0.5, "Earth": 0.3}) == "Venus"
