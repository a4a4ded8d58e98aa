"""What params.yaml, metrics.json, dvc.lock and dvc.yaml say, wherever they lie and whatever is in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bentoship.bento.documents import parse
from bentoship.bento.experiment import Experiment, parsed, read_files
from bentoship.image.metadata import Data, is_number
from tests.support.fuzzing import fuzz, near, texts

HASH = "7b4a8ae4f9e9c0ebd7a5f5c4d3a2b1c0"

LOCK = f"""\
schema: '2.0'
stages:
  prepare:
    cmd: python src/prepare.py
    deps:
    - {{path: data/raw, hash: md5, md5: {HASH}.dir, size: 1500, nfiles: 3}}
    - {{path: src/prepare.py, hash: md5, md5: {HASH}, size: 10}}
    - {{path: requirements.txt, md5: {HASH}}}
    params:
      params.yaml: {{prepare.seed: 7}}
      more.yaml: {{augment: {{flip: true}}}}
    outs:
    - {{path: data/prepared, hash: md5, md5: {HASH[::-1]}.dir, size: 12}}
    - {{path: report, hash: md5, md5: {HASH}}}
  train:
    cmd: python src/train.py
    deps:
    - {{path: data/prepared, hash: md5, md5: {HASH[::-1]}.dir, size: 12}}
    - {{path: "s3://bucket/more.csv", etag: abc, size: 3}}
    - {{path: model/base.onnx, md5: {HASH}}}
    params:
      params.yaml:
        train: {{lr: 0.001}}
    outs:
    - {{path: model, md5: {HASH}.dir}}
"""

PIPELINE = """\
stages:
  evaluate:
    cmd: python src/evaluate.py
    wdir: eval
    metrics:
    - train.json: {cache: false}
    - test/metrics.yaml
metrics: [metrics.json]
"""


def make_folder(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def found(folder: Path, files: Mapping[str, str | bytes], project: str = ".") -> Experiment:
    """What the files say to a project in their folder."""
    make_folder(folder, files)
    (folder / project).mkdir(exist_ok=True)
    return parsed(read_files(folder / project))


def test_a_pipeline_says_all(tmp_path: Path) -> None:
    """Parameters of each file, metrics by their files, and data, but no code and no model."""
    files: dict[str, str | bytes] = {
        "params.yaml": "prepare:\n  seed: 7\ntrain:\n  lr: 1e-3\n  layers: [8, 4]\n",
        "metrics.json": '{"accuracy": 0.97, "by": {"Earth": 1}, "name": "x", "ok": true}',
        "dvc.lock": LOCK,
        "dvc.yaml": PIPELINE,
        "eval/train.json": '{"accuracy": 0.99}',
        "eval/test/metrics.yaml": "accuracy: 0.96\n",
    }
    said = found(tmp_path, files)
    assert said.parameters == {"prepare.seed": 7, "train.lr": 0.001, "train.layers": "[8,4]", "augment.flip": True}
    assert said.metrics == {
        "accuracy": 0.97,
        "by.Earth": 1,
        "eval.train.accuracy": 0.99,
        "eval.test.accuracy": 0.96,
    }
    assert said.data == (
        Data("data/prepared", f"md5:{HASH[::-1]}.dir", 12),
        Data("data/raw", f"md5:{HASH}.dir", 1500),
        Data("s3://bucket/more.csv", "etag:abc", 3),
    )
    assert said.notes == []


def test_files_may_lie_in_a_parent(tmp_path: Path) -> None:
    """Up to the Git root, and not above the folder of a pipeline, which has files of its own."""
    files: dict[str, str | bytes] = {"params.yaml": "a: 1", "metrics.json": '{"m": 1}', "a/b/params.yaml": "a: 2"}
    make_folder(tmp_path / "a" / "b" / "c", {"x": ""})
    assert found(tmp_path, files, "a/b/c") == Experiment()  # there is no repository
    (tmp_path / ".git").mkdir()
    said = found(tmp_path, files, "a/b/c")
    assert (said.parameters, said.metrics) == ({"a": 2}, {"m": 1})
    files["a/dvc.yaml"] = "metrics: [evaluation/metrics.json]"
    files["a/evaluation/metrics.json"] = '{"n": 2}'
    assert found(tmp_path, files, "a/b/c").metrics == {"n": 2}


def test_parameters_that_have_changed_since_are_noted(tmp_path: Path) -> None:
    """The model was trained with others; those of params.yaml are taken."""
    said = found(tmp_path, {"params.yaml": "train: {lr: 0.1}", "dvc.lock": LOCK})
    assert said.parameters["train.lr"] == 0.1
    assert said.notes == [
        "params.yaml has another value than dvc.lock for train.lr: the pipeline has not run with it yet"
    ]


DEEP = '{"a":' * 1000 + "1" + "}" * 1000


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("metrics.json", b" " * (2 << 20) + b"{}", "larger than 1"),
        ("metrics.json", DEEP.encode(), "nested more than 100 deep"),
        ("metrics.json", b"[" * 100_000, "nested more than 100 deep"),
        ("metrics.json", b"[1, 2]", "it holds a list, not names with their values"),
        ("metrics.json", b'{"a": 1', "it is not JSON"),
        ("metrics.json", b'{"a": 1, "b": {"c": 2}, "b.c": 3}', "two values by the name b.c"),
        ("params.yaml", b"just words", "it holds a text, not names with their values"),
        ("params.yaml", b"a: [1", "it is not YAML: line 2, column 1"),
        ("params.yaml", b"\xff\xfe", "it is not UTF-8"),
        ("params.yaml", b"a: &a [*a]", "it repeats itself without an end"),
        ("params.yaml", b"a: !!python/object:os.system {}", "it is not YAML"),
        ("dvc.lock", b"- 1", "it holds a list"),
        ("dvc.yaml", b"7", "it holds a single value"),
    ],
)
def test_what_is_no_such_file_is_left_out_with_a_note(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    """It does not stop a publish, and the other files are read."""
    other = "metrics.json" if name == "params.yaml" else "params.yaml"
    said = found(tmp_path, {name: content, other: '{"a": 1}'})
    assert (len(said.notes), said.notes[0].split(":")[0]) == (1, f"{name} is not among the image's metadata")
    assert why in said.notes[0]
    assert {**said.metrics, **said.parameters} == {"a": 1}


def test_numbers_that_are_none_to_others_are_left_out(tmp_path: Path) -> None:
    """NaN, infinity, and what is larger than a float; texts are passed over."""
    text = '{"a": NaN, "b": Infinity, "c": 1, "d": "0.9", "e": 1e999, "f": [1], "g": 1' + "0" * 400 + "}"
    said = found(tmp_path, {"metrics.json": text})
    assert said.metrics == {"c": 1}
    assert said.notes == ["not among the image's metrics: a, b, e and 1 more in metrics.json, not a finite number"]


def test_paths_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    """A dvc.yaml may be a stranger's."""
    files: dict[str, str | bytes] = {
        "dvc.yaml": "metrics: [../out.json, /etc/out.json, '${name}.json', in.json, missing.json]",
        "in.json": '{"a": 1}',
    }
    make_folder(tmp_path, {"out.json": '{"b": 1}'})
    said = found(tmp_path / "project", files)
    assert said.metrics == {"a": 1}
    assert "../out.json" in said.notes[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1_000", 1000), ("0777", 777), ("0o17", 15), ("0x1F", 31), ("-.5", -0.5), ("no", "no"),
        ("True", True), ("~", None), ("", None), ("12:30:00", "12:30:00"), ("2026-01-01", "2026-01-01"), ("'1'", "1"),
        ("!!set {z, b, y, a, x}", ["z", "b", "y", "a", "x"]),
    ],
)  # fmt: skip
def test_yaml_is_read_by_version_1_2(text: str, value: object) -> None:
    """As DVC reads it: what was a number or a boolean to YAML 1.1 alone is none, and the other way round.

    A set keeps its order, without which the same file would give another image each time.
    """
    (read,) = parse("params.yaml", f"a: {text}".encode()).values()
    assert (read, type(read)) == (value, type(value))


def test_toml_is_read_as_well() -> None:
    """By its suffix; what is empty has no values."""
    assert parse("metrics.toml", b"[a]\nb = 1") == {"a": {"b": 1}}
    assert parse("metrics.json", b"") == {}
    assert parse("params.yaml", b"\xef\xbb\xbfa: 1") == {"a": 1}


@fuzz(near(parse("dvc.lock", LOCK.encode())), near(parse("dvc.yaml", PIPELINE.encode())), texts('{}[]":,-&*!\n'))
def test_any_document_is_understood(
    tmp_path_factory: pytest.TempPathFactory, lock: Any, pipeline: Any, text: str
) -> None:
    """What is found has the right types, and what is not is noted; nothing is raised."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    files = {"dvc.lock": json.dumps(lock), "dvc.yaml": json.dumps(pipeline), "params.yaml": text, "metrics.json": text}
    make_folder(folder, files)
    said = parsed(read_files(folder))
    assert all(map(is_number, said.metrics.values()))
    assert all(isinstance(one.path, str) and ":" in one.digest for one in said.data)
    assert all(isinstance(note, str) for note in said.notes)
