"""How well predictions meet the truth."""

from collections import Counter
from collections.abc import Sequence
from typing import Any


def measure(truth: Sequence[str], predictions: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Compare predictions with the truth.

    Args:
        truth: the true label of each picture; every label is there at least once.
        predictions: the predicted label of each picture.
        labels: all of them.

    Returns:
        ``accuracy``, ``macro_f1`` and, by label, ``class_accuracy``, from 0 to 1 and rounded to four digits.
    """
    actual, predicted = Counter(truth), Counter(predictions)
    hits = Counter(label for label, prediction in zip(truth, predictions, strict=True) if label == prediction)
    return {
        "accuracy": round(hits.total() / len(truth), 4),
        "macro_f1": round(
            sum(2 * hits[label] / (actual[label] + predicted[label]) for label in labels) / len(labels), 4
        ),
        "class_accuracy": {label: round(hits[label] / actual[label], 4) for label in labels},
    }
