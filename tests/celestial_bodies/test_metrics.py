"""Predictions against the truth."""

from celestial_bodies.metrics import measure


def test_measures_are_those_of_the_textbook() -> None:
    """Accuracy counts hits; macro F1 is the mean of each label's; a label's accuracy is its recall."""
    measured = measure(["a", "a", "a", "b"], ["a", "a", "b", "b"], ["a", "b"])
    assert measured == {
        "accuracy": 0.75,
        "macro_f1": round((4 / 5 + 2 / 3) / 2, 4),
        "class_accuracy": {"a": 0.6667, "b": 1.0},
    }


def test_a_label_that_is_never_predicted_counts_as_missed() -> None:
    """A label without a single hit has the measure 0, not none."""
    measured = measure(["a", "b"], ["a", "a"], ["a", "b"])
    assert measured["class_accuracy"] == {"a": 1.0, "b": 0.0}
