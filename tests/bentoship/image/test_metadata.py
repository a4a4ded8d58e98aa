"""What an image says of itself, there and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bentoship.image import keys
from bentoship.image.metadata import ANNOTATION, Data, Metadata, Model, flattened, is_number, plain
from tests.support.fuzzing import ANY, fuzz, near, texts

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[3] / "docs" / "metadata.schema.json").read_text("utf-8"))
)

SOME = Metadata(
    title="echo",
    version="one",
    description="Says what it hears.",
    licenses="Apache-2.0",
    base="docker.io/library/python:3.11-slim",
    base_digest=f"sha256:{'1' * 64}",
    bento="echo:one",
    models=(Model("stars:v1", {"accuracy": "0.9"}, {"stage": "new"}, {"partial_kwargs.device": "cpu"}),),
    metrics={"accuracy": 0.97, "loss.train": 12},
    parameters={"lr": 0.004, "name": "ärger", "early": True, "seed": None},
    data=(Data("data/raw", f"md5:{'2' * 32}.dir", 1500), Data("s3://pictures", "etag:3")),
)

VALUES = (keys.MODELS, keys.METRICS, keys.PARAMETERS, keys.DATA)


def as_document(annotations: dict[str, str]) -> dict[str, Any]:
    """The annotations with their JSON parsed, as the schema describes them."""
    return {key: json.loads(text) if key in VALUES else text for key, text in annotations.items()}


def test_annotations_say_all_and_are_read_back() -> None:
    """What is unknown is not there at all."""
    annotations = SOME.annotations
    assert {key for key in annotations if key in vars(keys).values()} == set(annotations)
    assert Metadata.parse(annotations) == SOME
    assert json.loads(annotations[keys.MODELS])[0]["metadata"] == {"accuracy": "0.9"}
    assert Metadata().annotations == {}
    assert SOME.document == b""


def test_what_is_too_large_goes_into_a_document() -> None:
    """Its digest is named; the models' tags stay, since layers are told apart by them."""
    many = {f"layer{number:05}.weight": number / 7 for number in range(3000)}
    model = Model("stars:v1", dict.fromkeys(many, "x" * 20))
    large = replace(SOME, metrics=many, models=(model,))
    annotations = large.annotations
    assert keys.METRICS not in annotations
    assert json.loads(annotations[keys.MODELS]) == [{"tag": "stars:v1", "metadata": {}}]
    assert sum(map(len, annotations.values())) < 256 << 10
    assert {keys.METRICS, keys.MODELS} == set(json.loads(large.document))
    assert Metadata.parse(annotations, large.document) == large
    assert Metadata.parse(annotations) == replace(large, metrics={}, models=(Model("stars:v1"),))
    assert replace(large, metrics={**many, "one": 1}).annotations[keys.METADATA] != annotations[keys.METADATA]


def test_all_annotations_together_stay_below_the_limit() -> None:
    """256 kB, with each value as large as it may be, in bytes."""
    long = "é" * (ANNOTATION // 2 - 30)
    models, data = (Model("stars:v1", {"a": long}),), (Data("a", long),)
    annotations = replace(SOME, models=models, data=data, parameters={"a": long}, metrics={long: 1.0}).annotations
    assert keys.METADATA not in annotations
    assert 4 * 32_000 < sum(len(key) + len(text.encode()) for key, text in annotations.items()) < 256 << 10


def test_nested_values_get_names_with_dots() -> None:
    """Lists stay lists; two values by the same name are refused, and so is what is nested too deeply."""
    assert flattened({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, 7: None, "x": {}}) == {
        "a.b.c": 1,
        "a.d": [1, {"e": 2}],
        "7": None,
    }
    with pytest.raises(ValueError, match=r"two values by the name a\.b"):
        flattened({"a.b": 1, "a": {"b": 2}})
    deep: dict[str, Any] = {}
    for _ in range(1000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested"):
        flattened(deep)


def test_a_hyperparameter_is_what_json_has() -> None:
    """A number that JSON lacks, a list or a date is a text."""
    assert [plain(one) for one in (1, 0.5, True, None, "a")] == [1, 0.5, True, None, "a"]
    assert [plain(one) for one in ([1, "a"], float("nan"), [{1: 2}], 10**400)] == [
        '[1,"a"]',
        "NaN",
        '[{"1":2}]',
        str(10**400),
    ]
    assert not any(map(is_number, (True, "1", None, float("inf"), 10**400)))


def test_the_schema_describes_it() -> None:
    """Annotations with their JSON parsed, and the document with what is too large; other values are refused."""
    SCHEMA.check_schema(SCHEMA.schema)
    SCHEMA.validate(as_document(SOME.annotations))
    large = replace(SOME, metrics={f"m{number}": number for number in range(9000)})
    SCHEMA.validate(as_document(large.annotations))
    SCHEMA.validate(json.loads(large.document))
    assert {*SOME.annotations, keys.METADATA} == set(SCHEMA.schema["properties"])
    for key, wrong in ((keys.METRICS, {"a": "b"}), (keys.DATA, [{"path": "x"}]), (keys.BASE_DIGEST, "md5:1")):
        assert not SCHEMA.is_valid({key: wrong})


def test_what_others_write_is_left_out() -> None:
    """Other forms, other sizes and numbers that JSON lacks; what is right beside them is read."""
    annotations = {
        keys.TITLE: "x" * 1_000_000,
        keys.METRICS: '{"a": 1, "b": "2", "c": true, "d": 1e999, "e": [1]}',
        keys.PARAMETERS: '{"a": {"b": 1}, "c": "\\ud800"}',
        keys.MODELS: '[1, {"tag": 2}, {"tag": "x:1", "metadata": {"a": 1, "b": "c"}, "labels": []}]',
        keys.DATA: '[{"path": "a"}, {"path": "b", "digest": "md5:1", "size": -1}]',
    }
    read = Metadata.parse(annotations)
    assert len(read.title) == 4000
    assert read.metrics == {"a": 1}
    assert read.parameters == {"c": "?"}
    assert read.models == (Model("x:1", {"b": "c"}),)
    assert read.data == (Data("b", "md5:1"),)
    for text in ("[" * 100_000, "9" * 10_000, "NaN", '{"a": NaN}', "x" * 300_000, '["a"]', "7"):
        assert Metadata.parse(dict.fromkeys(VALUES, text), text.encode()) == Metadata()


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
NOTED = st.dictionaries(NAMES, NAMES, max_size=3)
ALL = st.builds(
    Metadata,
    **dict.fromkeys(("title", "version", "description", "licenses", "base", "base_digest", "bento"), NAMES),
    models=st.lists(st.builds(Model, NAMES, NOTED, NOTED, NOTED), max_size=3).map(tuple),
    metrics=st.dictionaries(NAMES, NUMBERS, max_size=4),
    parameters=st.dictionaries(NAMES, NUMBERS | NAMES | st.booleans() | st.none(), max_size=4),
    data=st.lists(st.builds(Data, NAMES, NAMES, st.none() | st.integers(0, 10**15)), max_size=3).map(tuple),
)


@fuzz(ALL)
def test_whatever_is_said_is_read_back(metadata: Metadata) -> None:
    """The annotations are the metadata in another form."""
    assert Metadata.parse(metadata.annotations, metadata.document) == metadata


@fuzz(near({**SOME.annotations, keys.METADATA: "sha256:1"}), near(as_document(SOME.annotations)), texts('{}[]":,1e'))
def test_strangers_annotations_never_fail(annotations: Any, large: Any, text: str) -> None:
    """Whatever is there, something of the right types is read, and can be written again."""
    given = {**annotations, keys.METRICS: text} if isinstance(annotations, dict) else annotations
    for document in (text.encode("utf-8", "replace"), json.dumps(large, default=str).encode("utf-8", "replace")):
        read = Metadata.parse(given, document)
        assert Metadata.parse(read.annotations, read.document) == read
        json.dumps(read.annotations, ensure_ascii=False).encode()


@fuzz(st.dictionaries(NAMES, ANY, max_size=3))
def test_any_values_are_flattened_or_refused(values: dict[str, Any]) -> None:
    """Each becomes a hyperparameter that is read back."""
    try:
        flat = {name: plain(value) for name, value in flattened(values).items()}
    except ValueError:
        return
    assert Metadata.parse(Metadata(parameters=flat).annotations).parameters == flat
