"""What an image says of its Bento, from the Bento, its models and the project's files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentoship import bento as bentos
from bentoship.bento.metadata import project_metadata, with_metadata
from bentoship.bento.packing import SECRETS_IGNORED
from bentoship.bento.values import Bento, BuildContext, Model
from bentoship.errors import BentoError
from bentoship.image.metadata import Data, Metadata
from tests.support.bento import append, make_project
from tests.support.synthetic import laid_out

KEY = "AKIA" + "Q3EGRIZ7N5WVTB2D"


@pytest.fixture
def context(tmp_path: Path) -> BuildContext:
    """A project without files, and where its builds are recorded."""
    (tmp_path / "project").mkdir()
    return BuildContext(tmp_path / "project", tmp_path / "records", tmp_path / "home")


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento without metadata, of a project that need not exist."""
    (tmp_path / "bento").mkdir()
    return laid_out(tmp_path / "bento")


def with_models(bento: Bento, **metadata: dict[str, Any]) -> Bento:
    """The Bento with models by these names, and what was noted with them."""
    return replace(bento, models=tuple(Model(name, "v1", bento.path, noted) for name, noted in metadata.items()))


def said(context: BuildContext, bento: Bento) -> Metadata:
    """What the image would say; no note is left."""
    found = with_metadata(context, bento)
    assert found.metadata is not None
    assert found.notes == ()
    return found.metadata


@pytest.mark.slow
def test_a_changed_file_changes_what_is_said_without_a_build(tmp_path: Path) -> None:
    """And the version of the Bento stays; what is the same is said again in the same way."""
    project = make_project(tmp_path / "project")
    before = bentos.build(project)
    (project.folder / "metrics.json").write_text('{"accuracy": 0.97}', "utf-8")
    (project.folder / "params.yaml").write_text("train:\n  lr: 1e-3\n", "utf-8")
    after = bentos.build(project)
    assert after.metadata
    assert before.metadata
    assert (after.version, after.fresh, before.fresh) == (before.version, False, True)
    assert (before.metadata.metrics, after.metadata.metrics) == ({}, {"accuracy": 0.97})
    assert after.metadata.parameters == {"train.lr": 0.001}
    again = bentos.up_to_date(project)
    assert again
    assert again.metadata == after.metadata
    append(project.folder / "params.yaml", f"key: {KEY}")
    with pytest.raises(BentoError, match=r"params\.yaml, line 3: AWS Access Key"):
        bentos.build(project)


def test_models_say_how_good_they_are(context: BuildContext, bento: Bento) -> None:
    """Numbers are metrics; the files of the project win."""
    noted = {
        "accuracy": 0.9,
        "by": {"Earth": 1, "name": "x"},
        "params": {"epochs": 3, "sizes": [1, 2]},
        "data": {"name": "pictures", "digest": "sha256:1", "size": 3},
        "note": "text",
    }
    metadata = said(context, with_models(bento, stars=noted))
    assert metadata.metrics == {"accuracy": 0.9, "by.Earth": 1}
    assert metadata.parameters == {"epochs": 3, "sizes": "[1,2]"}
    assert metadata.data == (Data("pictures", "sha256:1", 3),)
    (context.folder / "metrics.json").write_text('{"accuracy": 0.95}', "utf-8")
    (context.folder / "params.yaml").write_text("epochs: 4", "utf-8")
    metadata = said(context, with_models(bento, stars=noted))
    assert metadata.metrics == {"accuracy": 0.95, "by.Earth": 1}
    assert metadata.parameters == {"epochs": 4, "sizes": "[1,2]"}


def test_a_section_of_metrics_stands_for_all(context: BuildContext, bento: Bento) -> None:
    """Numbers beside it are of something else."""
    noted = {"metrics": {"loss": {"train": 0.1}}, "network": {"weights": 300}, "size": 3}
    assert said(context, with_models(bento, stars=noted)).metrics == {"loss.train": 0.1}


def test_metrics_of_several_models_have_their_names(context: BuildContext, bento: Bento) -> None:
    """But not where only one of them has any."""
    both = with_models(bento, stars={"accuracy": 0.9}, words={"accuracy": 0.8}, plain={})
    assert said(context, both).metrics == {"stars.accuracy": 0.9, "words.accuracy": 0.8}
    one = with_models(bento, stars={"accuracy": 0.9}, plain={"note": "text"})
    assert said(context, one).metrics == {"accuracy": 0.9}


def test_what_no_json_has_is_noted_and_left_out(context: BuildContext, bento: Bento) -> None:
    """A metric that is no number, and names that cannot be told apart."""
    (note,) = with_metadata(context, with_models(bento, stars={"loss": float("nan"), "a": 1})).notes
    assert note == "not among the image's metrics: loss in the metadata of the model stars:v1, not a finite number"
    (note,) = with_metadata(context, with_models(bento, stars={"a.b": 1, "a": {"b": 2}})).notes
    assert note == "the metadata of the model stars:v1 is left out: it has two values by the name a.b"


def test_a_bento_that_is_built_already_speaks_for_itself(context: BuildContext, bento: Bento) -> None:
    """The files in the folder may be of another one."""
    (context.folder / "metrics.json").write_text('{"loss": 1}', "utf-8")
    (context.folder / "pyproject.toml").write_text('[project]\nlicense = "MIT"', "utf-8")
    metadata = said(replace(context, bento="echo:one"), with_models(bento, stars={"accuracy": 0.9}))
    assert (metadata.metrics, metadata.licenses) == ({"accuracy": 0.9}, "")


SECRETS = {
    "params.yaml": f"aws:\n  id: {KEY}\n",
    "dvc.yaml": f"metrics: [m.json]\nvars: [{{id: {KEY}}}]\n",
    "metrics.json": json.dumps({"url": "https://ann:correct-horse@example.com"}),
    "dvc.lock": f"stages: {{train: {{cmd: 'train {KEY}'}}}}",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_file_is_refused(context: BuildContext, name: str) -> None:
    """As in one that is packed, and allowed in the same ways."""
    (context.folder / name).write_text(SECRETS[name], "utf-8")
    for _ in range(2):  # it is not remembered as harmless
        with pytest.raises(BentoError, match=rf"the image would hold {name}, line \d(.|\n)*SECRETS_ALLOWED") as refused:
            project_metadata(context)
        assert KEY not in str(refused.value)
    project_metadata(replace(context, secrets_allowed=(name,)))
    with pytest.raises(BentoError):
        project_metadata(context)
    (context.folder / SECRETS_IGNORED).write_text(name, "utf-8")
    project_metadata(context)


def test_a_hyperparameter_with_the_name_of_a_secret_is_refused(context: BuildContext) -> None:
    """Unless its value stands for another one, or the line allows it."""
    file = context.folder / "params.yaml"
    file.write_text("max_tokens: 512\npad_token: '[PAD]'\ntoken_limit: 7\ntokenizer: words\n", "utf-8")
    project_metadata(context)
    file.write_text("tracker:\n  api_key: correct-horse\n", "utf-8")
    with pytest.raises(BentoError, match=r"params\.yaml: the value tracker\.api_key"):
        project_metadata(context)
    file.write_text("tracker:\n  api_key: correct-horse  # pragma: allowlist secret\n", "utf-8")
    project_metadata(context)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("password: 12345678\n", "password"),
        ("db: {api_key: [998877665544]}\n", r"db\.api_key"),
        ("users:\n- {name: bob, login: {password: correct-horse}}\n", r"users\.login\.password"),
        ("token: [[correct-horse]]\n", "token"),
        (f"password: '{'[' * 900}1{']' * 900}'\n", "password"),
    ],
)
def test_numbers_and_lists_are_secrets_as_well(context: BuildContext, bento: Bento, text: str, name: str) -> None:
    """Of the project's parameters, and of what was saved with a model."""
    (context.folder / "params.yaml").write_text(text, "utf-8")
    with pytest.raises(BentoError, match=rf"params\.yaml: the value {name}: a value under the name"):
        project_metadata(context)
    (context.folder / "params.yaml").unlink()
    with pytest.raises(BentoError, match=rf"stars/v1/model\.yaml: the value metadata\.{name}: a value under the name"):
        with_metadata(context, with_models(bento, stars=yaml.safe_load(text)))


def test_numbers_of_tokens_are_no_secrets(context: BuildContext, bento: Bento) -> None:
    """They count them, or name some of a vocabulary."""
    values = {"pad_token": 0, "token": {"limit": 512}, "eos_token": [1, 2], "stop_token": ["<s>", "[PAD]"], "a": None}
    (context.folder / "params.yaml").write_text(json.dumps(values), "utf-8")
    with_metadata(context, with_models(bento, stars=values))
    assert project_metadata(context)[0].parameters["pad_token"] == 0


def test_a_secret_that_was_saved_with_a_model_is_refused(context: BuildContext, bento: Bento) -> None:
    """The image has it in a layer as well."""
    bad = with_models(bento, stars={"run": {"id": KEY}})
    for _ in range(2):
        with pytest.raises(BentoError, match=r"models/stars/v1/model\.yaml, line 2: AWS Access Key"):
            with_metadata(context, bad)
    with_metadata(replace(context, secrets_allowed=("model.yaml",)), bad)


@pytest.mark.parametrize(
    ("readme", "description"),
    [
        ("Says what it hears.", "Says what it hears."),
        (
            "# Echo\n\n[![a](b)](c)\n\nSays **what** it\nhears, see [here](x.md).\n\nMore.",
            "Says what it hears, see here.",
        ),
        ("---\nlicense: mit\n---\nEcho\n====\n\n<!--\nhidden\n-->\n> Says it.\n", "Says it."),
        ("```\ncode\n```\n\n| a |\n", ""),
        ("# echo:one\n\n[![pypi_status](x)](y)\n\nThis is a Machine Learning Service created with BentoML.\n", ""),
        ("a \x1b[31mred\r\nword", "a [31mred word"),
        ("word " * 100, "word " * 59 + "word …"),
        ("x" * 500, "x" * 300 + " …"),
        ("<!--" * 5000, ""),
    ],
)
def test_the_description_is_the_first_sentences(
    context: BuildContext, bento: Bento, readme: str, description: str
) -> None:
    """Of the Bento's README.md, which has what the bentofile says; not BentoML's default."""
    (bento.path / "README.md").write_bytes(readme.encode())
    assert said(context, bento).description == description


@pytest.mark.parametrize(
    ("licence", "expression"),
    [
        ('"Apache-2.0"', "Apache-2.0"),
        ('"MIT OR (Apache-2.0 WITH LLVM-exception)"', "MIT OR (Apache-2.0 WITH LLVM-exception)"),
        ('{text = "MIT"}', "MIT"),
        ('{text = "Do what you want"}', ""),
        ('{file = "LICENSE"}', ""),
        ("3", ""),
    ],
)
def test_the_licence_is_that_of_pyproject(context: BuildContext, licence: str, expression: str) -> None:
    """If it is an SPDX expression."""
    (context.folder / "pyproject.toml").write_text(f"[project]\nlicense = {licence}\n", "utf-8")
    assert project_metadata(context) == (Metadata(licenses=expression), [])


def test_a_licence_that_is_none_is_noted(context: BuildContext) -> None:
    """So is a pyproject.toml that cannot be read."""
    file = context.folder / "pyproject.toml"
    file.write_text('[project]\nlicense = "Do what you want"\n', "utf-8")
    assert "'Do what you want' in pyproject.toml is not SPDX" in project_metadata(context)[1][0]
    file.write_text("[project", "utf-8")
    assert "pyproject.toml cannot be read" in project_metadata(context)[1][0]
