"""What annotations say of an image, whoever wrote them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bentoship.image import keys
from bentoship.versions.metadata import parse
from bentoship.versions.version import Data, Model
from tests.support.fuzzing import fuzz, near

ANNOTATIONS = {
    keys.BENTO: "a:1",
    keys.MODELS: [{"tag": "m:1", "metadata": {"a": "b"}}, {"tag": "n:1"}],
    keys.METRICS: {"accuracy": 0.5, "val.loss": 1},
    keys.PARAMETERS: {"a": "x", "b": 1, "c": 0.5, "d": True, "e": None},
    keys.DATA: [{"path": "p", "digest": "md5:1", "size": 7}, {"path": "q", "digest": "md5:2"}],
}


def test_each_key_is_read_in_its_form() -> None:
    """As image.keys documents them."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in ANNOTATIONS.items()}
    more = {keys.DESCRIPTION: "text", keys.BASE_NAME: "debian:12", keys.BASE_DIGEST: "sha256:1"}
    found = parse({**texts, **more})
    assert parse(more, json.dumps({**ANNOTATIONS}).encode()) == found
    assert found == {
        "is_ours": True,
        "bento": "a:1",
        "description": "text",
        "base": "debian:12",
        "base_digest": "sha256:1",
        "models": (Model("m:1", {"a": "b"}), Model("n:1")),
        "metrics": {"accuracy": 0.5, "val.loss": 1.0},
        "parameters": {"a": "x", "b": 1, "c": 0.5, "d": True, "e": None},
        "data": (Data("p", "md5:1", 7), Data("q", "md5:2")),
    }


@fuzz(near(ANNOTATIONS), near(ANNOTATIONS), examples=30)
def test_anything_is_read_as_far_as_it_has_the_form(annotations: Any, document: Any) -> None:
    """The rest is left out: numbers are finite, and texts are texts."""
    texts = {key: json.dumps(value) for key, value in annotations.items()} if isinstance(annotations, dict) else {}
    for given in (annotations, texts):
        found = parse(given, json.dumps(document).encode())
        assert all(type(value) is float and math.isfinite(value) for value in found["metrics"].values())
        assert all(isinstance(one.tag, str) and one.tag for one in found["models"])
        assert all(one.size is None or one.size >= 0 for one in found["data"])
        json.dumps(found["parameters"])


@pytest.mark.parametrize(
    "text",
    ["{", '{"a": NaN}', '{"a": 1e999}', f'{{"a": 1{"0" * 400}}}', '{"a": true}', "[" * 100_000],
    ids=["half", "NaN", "infinite", "large", "boolean", "deep"],
)
def test_what_is_no_number_is_no_metric(text: str) -> None:
    """Nor what is nested without an end, or larger than a float."""
    assert parse({keys.METRICS: text})["metrics"] == {}


def test_no_more_is_read_than_people_look_at() -> None:
    """A thousand of each, and texts up to a length."""
    found = parse({keys.METRICS: json.dumps({str(n): n for n in range(5000)}), keys.BENTO: "a" * 100_000})
    assert (len(found["metrics"]), len(found["bento"])) == (1000, 4096)
