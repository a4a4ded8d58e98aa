"""Small projects of the tests' own, and stores of models for them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bentoship.bento import BuildContext

BENTOML = f"bentoml=={version('bentoml')}"
"""The requirement that BentoML adds to a Bento which names none; another version would contradict it."""

BENTOML_VERSION = tuple(map(int, version("bentoml").split(".")[:3]))
"""The version of BentoML that is installed, since some of what it does depends on it: (1, 4, 39)."""

needs_src_layout = pytest.mark.skipif(BENTOML_VERSION < (1, 4, 38), reason="this BentoML has no is_src_layout")

HAS_STAGES = BENTOML_VERSION >= (1, 4, 32)
"""Whether BentoML knows variables that are set during the build only; before, it ignores their stage."""

SERVICE = """\
import bentoml

@bentoml.service
class Echo:
    {model}

    @bentoml.api
    def echo(self, text: str) -> str:
        return text
"""

BENTOFILE = """\
service: service:Echo
include:
  - service.py
  - data/
exclude:
  - data/secret.txt
python:
  requirements_txt: requirements.txt
  lock_packages: false
docker:
  python_version: "3.11"
"""


def make_project(folder: Path, *, model: bool = False) -> BuildContext:
    """A project with a service that echoes; with a model when one is wanted, which `save_model` has to make."""
    folder.mkdir(parents=True, exist_ok=True)
    declared = 'model = bentoml.models.BentoModel("echo_model:latest")' if model else "pass"
    (folder / "service.py").write_text(SERVICE.format(model=declared), "utf-8")
    (folder / "bentofile.yaml").write_text(BENTOFILE, "utf-8")
    (folder / "requirements.txt").write_text(f"-r more.txt\n{BENTOML}\n", "utf-8")
    (folder / "more.txt").write_text("attrs>=25\n", "utf-8")
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "words.txt").write_text("one two\n", "utf-8")
    (folder / "data" / "secret.txt").write_text("not for the image\n", "utf-8")
    (folder / "data" / "other.txt").write_text("three\n", "utf-8")
    return BuildContext(folder, folder.parent / "records", folder.parent / "bentoml-home", "linux/amd64")


def save_model(home: Path, version: str, content: str = "weights") -> None:
    """Put a model into a store."""
    code = (
        "import sys, bentoml\n"
        "with bentoml.models.create(f'echo_model:{sys.argv[1]}') as model:\n"
        "    open(model.path_of('weights.bin'), 'w').write(sys.argv[2])\n"
    )
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    subprocess.run([sys.executable, "-c", code, version, content], env=env, check=True, capture_output=True)


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def append(path: Path, line: str) -> None:
    """Add a line to a file, which need not be there."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def lay(folder: Path, *names: str) -> Path:
    """Files with their own names in them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, "utf-8")
    return folder
