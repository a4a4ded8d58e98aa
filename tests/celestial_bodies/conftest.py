"""The committed model, and the service that runs it, in a BentoML home of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from celestial_bodies.classifier import Classifier
from tests.support.archives import unpack
from tests.support.services import client

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


@pytest.fixture(scope="session")
def classifier(model_folder: Path) -> Classifier:
    """The committed classifier."""
    return Classifier(model_folder)


@pytest.fixture(scope="session")
def service(
    service_environment: dict[str, str], imported_model: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the running service."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("service")
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=service_environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with client(f"127.0.0.1:{port}") as asking:
            _wait_until_ready(asking, process, folder / "log")
            yield asking
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the service is ready; fail with its log when it ends or takes more than a minute."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the service did not become ready:\n{log.read_text()}")
