"""The project that the guide's chapter begins with, as its readers have it, published without a change."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bentoship.system.files import file_lock
from tests.support.cache import needs_apt, of_run
from tests.support.repositories import commit, git
from tests.support.site import ROOT, Site
from tests.support.wheels import make_folder

BENTOFILE = """\
service: 'serve:CelestialBodiesClassifierService'
include:
  - serve.py
python:
  packages:
    - "{package}"
    - "pillow=={pillow}"
docker:
    python_version: "{python}"
"""

SERVE = """\
from __future__ import annotations
from bentoml.validators import ContentType
from typing import Annotated
from PIL.Image import Image
from pydantic import Field
import bentoml
import json


@bentoml.service(name="celestial_bodies_classifier")
class CelestialBodiesClassifierService:
    bento_model = bentoml.{framework}.get("celestial_bodies_classifier_model")

    def __init__(self) -> None:
        self.preprocess = self.bento_model.custom_objects["preprocess"]
        self.postprocess = self.bento_model.custom_objects["postprocess"]
        self.model = self.bento_model.load_model()

    @bentoml.api()
    def predict(
            self,
            image: Annotated[Image, ContentType("image/jpeg")] = Field(description="Planet image to analyze"),
    ) -> Annotated[str, ContentType("application/json")]:
        image = self.preprocess(image)
        predictions = self.model.predict(image)
        return json.dumps(self.postprocess(predictions))
"""

TRAIN = """\
import sys
from pathlib import Path

import bentoml

{model}

bentoml.{framework}.save_model(
    "celestial_bodies_classifier_model", model, custom_objects=dict(preprocess=preprocess, postprocess=postprocess)
)
archive = Path(sys.argv[1], "celestial_bodies_classifier_model.bentomodel").resolve()
bentoml.models.export_model("celestial_bodies_classifier_model:latest", str(archive))
"""

# Named in other modules, where each Python finds them: pickled functions run in the Python that pickled them alone.
PICKLED = """\
from operator import itemgetter, methodcaller
from types import SimpleNamespace

preprocess, postprocess = methodcaller("convert", "L"), itemgetter(slice(0, 1))
model = SimpleNamespace(predict=methodcaller("getcolors"))
"""

KERAS = """\
import numpy as np
import tensorflow as tf

def preprocess(x):
    return np.expand_dims(np.array(x.convert("L").resize((8, 8))) / 255.0, axis=0)

def postprocess(x):
    return {"prediction": ["Moon", "Sun"][int(np.argmax(x, axis=-1)[0])]}

model = tf.keras.Sequential([tf.keras.layers.Input((8, 8)), tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)])
model.layers[-1].set_weights([np.stack([-np.ones(64), np.ones(64)], axis=1), np.zeros(2)])
model.compile(loss="mse")
"""

AROUND = {
    "requirements.txt": "dvc[gs]==3.62.0\nmatplotlib==3.10.3\ntensorflow==2.21.0\n",
    "requirements-freeze.txt": "bentoml==1.4.30\ndvc==3.62.0\ntensorflow==2.21.0\n",
    "dvc.yaml": "stages:\n  train:\n    cmd: python src/train.py data/prepared model\n    outs:\n    - model\n",
    "dvc.lock": "schema: '2.0'\nstages: {}\n",
    "params.yaml": "train:\n  seed: 77\n",
    "data/raw.dvc": "outs:\n- md5: 7b4a8ae4f9e9c0ebd7a5f5c4d3a2b1c0.dir\n  path: raw\n",
    ".dvc/config": "[core]\n    remote = data\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "",
    ".gitignore": "## Custom experiment\n/data/raw\n/model\n\n## Python\n.venv/\n__pycache__/\n.env\n",
    "src/prepare.py": "import matplotlib\n",
    "src/evaluate.py": "import dvclive\n",
}


@dataclass(frozen=True)
class Chapter:
    """The chapter's project.

    Args:
        site: the project's root, and its user.
        python: the Python of the user's environment.
    """

    site: Site
    python: Path

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a module in the project's root, which has to succeed."""
        done = subprocess.run(
            [str(self.python), "-m", *words],
            cwd=self.site.called_in or self.site.folder,
            env={**self.site.env, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done


def chapter(folder: Path, cache: Path, python: Path = Path(sys.executable), *, keras: bool = False) -> Chapter:
    """The project after training, with a model's archive that its user's own store does not have."""
    framework, model = ("keras", KERAS) if keras else ("picklable_model", PICKLED)
    package, pillow = ("tensorflow==2.21.0", "12.3.0") if keras else ("cloudpickle==3.1.2", "13.0.0")
    bentofile = BENTOFILE.format(package=package, pillow=pillow, python="3.13")
    code = TRAIN.format(framework=framework, model=model)
    files = {"src/bentofile.yaml": bentofile, "src/serve.py": SERVE.format(framework=framework), "src/train.py": code}
    made = Chapter(Site(folder / "project", folder / "home", cache), python)
    made.site.home.mkdir(parents=True)
    make_folder(made.site.folder, {**AROUND, **files, "model/.gitkeep": ""})
    training = replace(made, site=replace(made.site, home=folder / "training"))
    command = [str(made.python), "-c", code, "model"]
    subprocess.run(command, cwd=made.site.folder, env=training.site.env, check=True, capture_output=True)
    commit(made.site.folder)
    return made


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The Python of the environment that the guide has its readers make, with bentoship in it."""
    python = shutil.which("python3.13", path=f"{Path.home()}/.pyenv/versions/3.13.0/bin:/usr/bin")
    if not python:
        pytest.skip("there is no Python 3.13 here")
    folder = of_run(tmp_path_factory, worker_id) / "guides"
    with file_lock(folder / "lock"):
        made = folder / "environment" / "bin" / "python"
        if not made.exists():
            uv = [sys.executable, "-m", "uv"]
            subprocess.run([*uv, "venv", "-q", "-p", python, made.parents[1]], check=True)
            wanted = ["tensorflow==2.21.0", "pillow==12.3.0", "-e", str(ROOT)]
            subprocess.run([*uv, "pip", "install", "-q", "-p", made, *wanted], cwd=folder, check=True)
    return made


def test_the_chapters_project_is_built_from_anywhere(tmp_path: Path) -> None:
    """A setting names its folder; the model one folder up is imported, and Git sees no change."""
    project = chapter(tmp_path, tmp_path / "cache")
    (project.site.folder / ".env").write_text("BENTO_PROJECT=src\n", "utf-8")
    done = replace(project, site=project.site.below("data")).run("bentoship", "build")
    assert "imported the model celestial_bodies_classifier_model:" in done.stderr
    (bento,) = (project.site.home / "bentoml" / "bentos" / "celestial_bodies_classifier").glob("*/src")
    assert {file.name for file in bento.iterdir()} == {"serve.py", "bentofile.yaml"}
    assert git(project.site.folder, "status", "--porcelain") == ""


@needs_apt
@pytest.mark.slow
@pytest.mark.parametrize("framework", ["keras", "picklable_model"])
def test_the_chapters_project_is_published_as_it_is(
    framework: str, request: pytest.FixtureRequest, tmp_path: Path, cache: Path
) -> None:
    """By its folder, as `bentoml build src` names it, by an option and by a setting: one image, which answers."""
    python = request.getfixturevalue("guides") if framework == "keras" else Path(sys.executable)
    project = chapter(tmp_path, cache, python, keras=framework == "keras")
    head = git(project.site.folder, "rev-parse", "HEAD")
    published = project.run("bentoship", "publish", "src")
    assert f":{head[:12]}\n" in published.stderr
    shutil.copy(ROOT / "tasks.py", project.site.folder)
    for words, settings in ((["--project", "src"], {}), ([], {"BENTO_PROJECT": "src"})):
        assert project.run("invoke", "publish", *words, **settings).stdout == published.stdout
    sample = tmp_path / "verify.yaml"
    code = f"import PIL.Image; PIL.Image.new('L', (8, 8), 255).save('{tmp_path}/sun.jpg')"
    subprocess.run([str(python), "-c", code], check=True)
    expected = {"prediction": "Sun"} if framework == "keras" else [[64, 255]]
    content = {"path": "/predict", "files": {"image": "sun.jpg"}, "answer": expected}
    sample.write_text(json.dumps(content), "utf-8")
    verified = project.run("bentoship", "verify", "src", VERIFY_REQUEST=str(sample))
    assert "POST /predict: 200" in verified.stderr
