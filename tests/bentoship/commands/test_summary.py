"""What GitHub Actions gets of a publish: outputs and a summary, and what becomes of those that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bentoship.backend import LayerSummary, Pushed
from bentoship.bento import Bento
from bentoship.commands import summary as commands_summary
from bentoship.commands.summary import outputs, summary, write
from bentoship.commands.terminal import Terminal
from bentoship.errors import StoreError
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Published, Run
from bentoship.settings import load
from bentoship.versions.comparing import Comparison, compare
from bentoship.versions.version import Version
from tests.support.github import outputs_of
from tests.support.synthetic import bento_in

REPOSITORY = ImageReference.parse("europe-west6-docker.pkg.dev/acme/mlops/classifier")
DIGEST = "sha256:" + "0a45" * 16
LINE = f"docker run --rm -p 3000:3000 {REPOSITORY}@{DIGEST}"

SUMMARY = f"""\
### Published `{REPOSITORY}`

- digest: `{DIGEST}`
- tags: `latest`, `6a7cdf8e7304`
- Bento: `echo:one`
- model: `stars:v1`
- sent 25.2 MB, 1.1 MB already existed

| metric | `production`, `sha256:111111111111` | this image | difference |  |
| --- | --: | --: | --: | --- |
| `accuracy` | 0.96 | 0.9712 | +0.0112 | better |
| `f1` |  | 0.5 |  |  |
| `loss` | 0.25 |  |  |  |
| `rmse` | 2 | 3 | +1 | worse |

| size |  | layer |
| --: | --- | --- |
| 25.2 MB | sent | `Debian GNU/Linux 12` |
| 1.1 MB | present | `model m:1 $(id) \\\\n \\| <b>` |

```sh
{LINE}
```

"""


def pushed(*layers: LayerSummary) -> Published:
    """An image that was pushed under two tags."""
    given = layers or (
        LayerSummary("Debian GNU/Linux 12", 25_200_000, "sent"),
        LayerSummary("model m:1 $(id) \\n | <b>", 1_100_000, "present"),
    )
    tags = tuple(REPOSITORY.with_tag(tag) for tag in ("latest", "6a7cdf8e7304"))
    return Published(Pushed(DIGEST, given, 25_200_000, 1_100_000), tags)


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with a model."""
    return bento_in(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The variables that name the files of a step."""
    return {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}


@pytest.fixture
def run(tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run in a step; the registry has a promoted version, and the one that was published."""
    old = Version("sha256:" + 64 * "1", promoted=["production"], metrics={"accuracy": 0.96, "loss": 0.25, "rmse": 2.0})
    own = Version(DIGEST, metrics={"accuracy": 0.9712, "f1": 0.5, "rmse": 3.0})
    other = Version("sha256:" + 64 * "2", promoted=["candidate"], metrics={"accuracy": 0.1})
    monkeypatch.setattr(commands_summary, "read_versions", lambda *_: [own, other, old])
    settings = load(tmp_path, {"HOME": str(tmp_path), "METRICS_LOWER": "loss,rmse", **files})
    with closing(Run(Project(tmp_path, settings), Terminal())) as run:
        yield run


def test_a_step_gets_a_summary_and_outputs(run: Run, bento: Bento, tmp_path: Path) -> None:
    """Below what its files hold already."""
    (tmp_path / "summary").write_text("before\n")
    (tmp_path / "output").write_text("before<<x\n1\nx\n")
    write(run, pushed(), bento, LINE)
    assert (tmp_path / "summary").read_text() == "before\n" + SUMMARY.replace("\\\\n", "\\n")
    assert outputs_of((tmp_path / "output").read_text()) == {
        "before": "1",
        "reference": f"{REPOSITORY}@{DIGEST}",
        "image": str(REPOSITORY),
        "digest": DIGEST,
        "tags": "latest\n6a7cdf8e7304",
        "bento": "echo:one",
        "version": "one",
        "models": "stars:v1",
        "size": "26300000",
        "sent": "25200000",
    }


@pytest.mark.parametrize("variable", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
@pytest.mark.parametrize("place", ["missing/file", ".", "file/below"])
def test_a_file_that_cannot_be_written_is_no_failure(
    run: Run, bento: Bento, tmp_path: Path, variable: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only a note; the other file is written."""
    (tmp_path / "file").touch()
    field = {"GITHUB_OUTPUT": "output_file", "GITHUB_STEP_SUMMARY": "summary_file"}[variable]
    changes: dict[str, Any] = {field: tmp_path / place}
    run.project = replace(run.project, settings=replace(run.project.settings, **changes))
    write(run, pushed(), bento, LINE)
    said = capsys.readouterr()
    assert f"{tmp_path / place} was not written: " in said.err
    assert said.out == ""
    assert len([name for name in ("output", "summary") if (tmp_path / name).exists()]) == 1


def test_a_pipe_without_a_reader_is_not_waited_for(
    run: Run, bento: Bento, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a file that cannot be written."""
    os.mkfifo(tmp_path / "output")
    write(run, pushed(), bento, LINE)
    assert "output was not written" in capsys.readouterr().err


def test_a_registry_that_refuses_is_no_failure(
    run: Run, bento: Bento, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary has no comparison then."""

    def refuse(*_: object) -> None:
        raise StoreError("List the tags", "denied")

    monkeypatch.setattr(commands_summary, "read_versions", refuse)
    write(run, pushed(), bento, LINE)
    assert "without the promoted version: denied" in capsys.readouterr().err
    assert "| metric |" not in (tmp_path / "summary").read_text()


def test_the_promoted_version_is_not_compared_with_itself(
    run: Run, bento: Bento, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor with none."""
    for versions in ([Version(DIGEST, promoted=["production"], metrics={"accuracy": 1.0})], []):
        monkeypatch.setattr(commands_summary, "read_versions", lambda *_, found=versions: found)
        write(run, pushed(), bento, LINE)
    assert "| metric |" not in (tmp_path / "summary").read_text()


def test_the_files_are_those_of_the_step(tmp_path: Path) -> None:
    """Of the environment: what `.env` has of their names is not heeded."""
    (tmp_path / ".env").write_text("GITHUB_OUTPUT=/etc/passwd\nGITHUB_STEP_SUMMARY=/etc/passwd\n")
    settings = load(tmp_path, {"HOME": str(tmp_path)})
    assert (settings.output_file, settings.summary_file) == (None, None)
    assert load(tmp_path, {"HOME": str(tmp_path), "GITHUB_OUTPUT": "/x"}).output_file == Path("/x")


STRANGE = (
    "x\nreference<<EOF\nevil.example/x\nEOF",
    "end-0123\n::set-env name=A::b",
    "` <script>alert(1)</script> `` | @all [x](javascript:1) ![](//e.example)",
    "```\n# Title",
    "\u202e\x1b[31m\x00\ud800",
    "| --- |",
    "`",
    "",
    "x" * 100_000,
)


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_texts_are_neither_outputs_nor_mark_up(bento: Bento, text: str) -> None:
    """Whatever they are: a layer's title, a model, a metric, a variable."""
    odd = replace(bento, models=(replace(bento.models[0], name=text),))
    found = outputs_of(outputs(pushed(), odd).encode(errors="backslashreplace").decode())
    assert set(found) == set(outputs_of(outputs(pushed(), bento)))
    assert found["reference"] == f"{REPOSITORY}@{DIGEST}"
    assert found["models"] == f"{text}:v1".encode(errors="backslashreplace").decode()
    made = kinds(summary(pushed(LayerSummary(text, 1)), odd, f"docker run -e '{text}'", compared(text)))
    assert made == kinds(summary(pushed(LayerSummary("y", 1)), bento, "docker run -e x", compared("y")))
    assert not {"html_block", "html_inline", "link_open", "image"} & set(made)


def compared(text: str) -> Comparison:
    """Two versions with a text wherever the summary has one of theirs."""
    return compare(Version(DIGEST, promoted=[text], metrics={text: 1.0}), Version(DIGEST, metrics={text: 2.0}), ())


def kinds(text: str) -> list[str]:
    """What a text in Markdown consists of, in order."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    return [inner.type for token in tokens for inner in (token, *(token.children or ()))]


def test_a_summary_is_short(bento: Bento) -> None:
    """Of thousands of layers, it has the first: GitHub takes a megabyte."""
    made = summary(pushed(*(LayerSummary(f"package {number}", 1) for number in range(5000))), bento, LINE, None)
    assert "and 4800 more" in made
    assert len(made.encode()) < 100_000


def test_outputs_of_several_projects_do_not_mix(run: Run, tmp_path: Path) -> None:
    """Each is written at once."""

    def append(letter: str) -> None:
        for _ in range(50):
            commands_summary._append(run, tmp_path / "output", f"a<<m\n{letter * 30_000}\nm\n")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, "wxyz"))
    lines = (tmp_path / "output").read_text().splitlines()
    assert len(lines) == 3 * 4 * 50
    assert {len(set(line)) for line in lines[1::3]} == {1}
