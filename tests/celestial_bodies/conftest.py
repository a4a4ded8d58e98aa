"""The committed model, and the service that runs it, in a BentoML home of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.archives import unpack

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "model" / "celestial_bodies_classifier_model.bentomodel"
SERVICE = "celestial_bodies.service:CelestialBodiesClassifier"


def _environment(home: Path) -> dict[str, str]:
    """What child processes run with: BentoML reads its home when it is imported, so that is done in children only."""
    return os.environ | {
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "true",
        "PYTHONPATH": str(ROOT / "src"),
    }


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a child process, with an empty BentoML home."""
    return _environment(tmp_path_factory.mktemp("bentoml"))


@pytest.fixture(scope="session")
def service_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the service; its BentoML home holds the committed model and no other."""
    return _environment(tmp_path_factory.mktemp("bentoml"))


@pytest.fixture(scope="session")
def imported_model(service_environment: dict[str, str]) -> str:
    """The tag of the committed model, imported into an empty BentoML home."""
    code = "import bentoml, sys; print(bentoml.models.import_model(sys.argv[1]).tag)"
    result = subprocess.run(
        [sys.executable, "-c", code, str(MODEL)], env=service_environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked files of the committed model."""
    folder = tmp_path_factory.mktemp("model")
    unpack(MODEL, folder)
    return folder
