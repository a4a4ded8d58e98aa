"""Conditions of promotions: read as comparisons, never run."""

from __future__ import annotations

import pytest

from bentoship.errors import BentoshipError
from bentoship.image.keys import METRICS
from bentoship.versions.conditions import Condition, check_better
from bentoship.versions.metadata import parts

METRICS_OF_IT = {"accuracy": 0.97, "loss": 0.1, "val.f1 macro": -2.0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("accuracy >= 0.97", True),
        ("accuracy>0.97", False),
        ("accuracy==0.97", True),
        ("accuracy != .97", False),
        (" loss<1e-1 ", False),
        ("loss <= +0.1", True),
        ("val.f1 macro < -1.5", True),
        ("accuracy < 1.", True),
    ],
)
def test_a_metric_is_compared(text: str, holds: bool) -> None:
    """With each operator, with spaces or without; the record has the value."""
    condition = Condition.parse(text)
    if holds:
        assert condition.check(METRICS_OF_IT) == f"{condition} ({METRICS_OF_IT[condition.name]:g})"
    else:
        with pytest.raises(BentoshipError, match=f"{condition.name} is "):
            condition.check(METRICS_OF_IT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy = 0.97",
        "accuracy >= ",
        ">= 0.97",
        "accuracy => 0.97",
        "accuracy >= nan",
        "accuracy >= 1_0",
        "accuracy >= 0x1",
        "accuracy >= 0.9 and loss < 1",
        "0.9 <= accuracy <= 1",
        "__import__('os').system('touch x') >= 1 or 1",
        "accuracy >= loss",
        "accuracy >= 1e9999",
        "accuracy >= ٣",
        "a" * 1000 + " > 1",
    ],
)
def test_what_is_no_comparison_is_refused(text: str) -> None:
    """With the form that it has to have."""
    with pytest.raises(BentoshipError, match="Write NAME OPERATOR NUMBER"):
        Condition.parse(text)


def test_a_name_that_looks_like_code_is_a_name() -> None:
    """It is looked up, and nothing else."""
    with pytest.raises(BentoshipError, match=r"no metric __import__\('os'\)\n?.*It has accuracy, loss, val.f1 macro"):
        Condition.parse("__import__('os') > 1").check(METRICS_OF_IT)


@pytest.mark.parametrize(
    ("metric", "new", "old", "lower", "expected"),
    [
        ("accuracy", {"accuracy": 0.98}, {"accuracy": 0.97}, (), "accuracy better than production's (0.98 > 0.97)"),
        ("", {"accuracy": 0.98}, {"accuracy": 0.97, "loss": 1.0}, (), "accuracy better than production's"),
        ("loss", {"loss": 1.0}, {"loss": 2.0}, ("loss",), "loss better than production's (1 < 2)"),
        ("loss", {"loss": 1.0}, {"loss": 2.0}, (), "loss is 1, but has to be higher than 2"),
        ("loss", {"loss": 3.0}, {"loss": 2.0}, ("loss",), "loss is 3, but has to be lower than 2"),
        ("accuracy", {"accuracy": 0.97}, {"accuracy": 0.97}, (), "has to be higher than 0.97"),
        ("loss", {"loss": 2.0}, {"loss": 2.0}, ("loss",), "has to be lower than 2"),
        ("", {"accuracy": 0.97, "loss": 1.0}, {}, (), "--metric is missing\nThe image has accuracy, loss."),
        ("", {}, {"accuracy": 1.0}, (), "--metric is missing\nThe image has no metrics."),
        ("f1", {"accuracy": 0.97}, {}, (), "the image has no metric f1\nIt has accuracy."),
        ("f1", {"f1": 0.97}, {"loss": 1.0}, (), "production has no metric f1\nIt has loss."),
    ],
)
def test_an_image_is_better_than_another(
    metric: str, new: dict[str, float], old: dict[str, float], lower: tuple[str, ...], expected: str
) -> None:
    """By a metric of which higher is better, or lower; the same is not better."""
    try:
        said = check_better("production", metric, new, old, lower)
    except BentoshipError as error:
        said = str(error)
        assert not expected.startswith(f"{metric} better")
    assert expected in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"accuracy": 0.97, "epochs": 3}', {"accuracy": 0.97, "epochs": 3.0}),
        ('{"a": "0.97", "b": true, "c": null, "d": [1], "e": {"f": 1}}', {}),
        ('{"a": 1e999, "b": -1e999, "c": 2}', {"c": 2.0}),
        ('{"a": ' + "9" * 400 + "}", {}),
        ('{"a": NaN}', {}),
        ("[1]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
        (None, {}),
        (7, {}),
    ],
)
def test_metrics_of_a_stranger_are_read_as_far_as_they_are_some(text: object, expected: dict[str, float]) -> None:
    """Finite numbers by name; whatever else is there is no failure."""
    assert parts({METRICS: text})["metrics"] == expected
