"""Training, on a handful of drawn pictures."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from celestial_bodies.augmentation import nudge
from celestial_bodies.classifier import Classifier
from celestial_bodies.sample import draw
from tests.support.archives import unpack

pytest.importorskip("torch", reason="training needs the packages of the group 'train'")
pytest.importorskip("onnx", reason="training needs the packages of the group 'train'")


def run(arguments: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Train in a child process, which has a BentoML home of its own."""
    command = [sys.executable, "-m", "celestial_bodies.train", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_a_folder_of_pictures_becomes_a_model(environment: dict[str, str], tmp_path: Path) -> None:
    """One epoch over three bodies gives an exported model that classifies into these three."""
    for body in ("Mars", "Neptune", "Saturn"):
        (tmp_path / "data" / body).mkdir(parents=True)
        for number in range(5):
            picture = nudge(draw(body), np.random.default_rng(number))
            picture.save(tmp_path / "data" / body / f"{body}_{number}.jpg")
    result = run(["data", "--output", "out.bentomodel", "--epochs", "1", "--seed", "3"], environment, tmp_path)
    assert result.returncode == 0, result.stderr
    unpack(tmp_path / "out.bentomodel", tmp_path / "model")
    metadata = yaml.safe_load((tmp_path / "model" / "model.yaml").read_text())["metadata"]
    assert metadata["labels"] == ["Mars", "Neptune", "Saturn"]
    assert metadata["hyperparameters"]["epochs"] == 1
    assert metadata["hyperparameters"]["seed"] == 3
    assert metadata["data"]["held_out_pictures"] == 3
    probabilities = Classifier(tmp_path / "model").classify(draw("Mars"))
    assert sorted(probabilities) == ["Mars", "Neptune", "Saturn"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_an_empty_folder_is_one_clear_line(environment: dict[str, str], tmp_path: Path) -> None:
    """Without pictures the command ends with a message instead of a traceback."""
    result = run([str(tmp_path)], environment, tmp_path)
    assert result.returncode != 0
    assert "holds no pictures" in result.stderr
    assert "Traceback" not in result.stderr
