"""The committed model: what it is, what it tells of itself, and what it must not tell."""

import lzma
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "model" / "celestial_bodies_classifier_model.bentomodel"


@pytest.fixture(scope="module")
def description(model_folder: Path) -> dict[str, Any]:
    """What the model says of itself."""
    loaded: dict[str, Any] = yaml.safe_load((model_folder / "model.yaml").read_text())
    return loaded


def test_the_model_is_small() -> None:
    """The exported model weighs at most 2 MB."""
    assert MODEL.stat().st_size <= 2_000_000


def test_the_model_can_be_imported(imported_model: str, description: dict[str, Any]) -> None:
    """An empty BentoML store takes the export, under the name that the service asks for."""
    assert imported_model == f"celestial_bodies_classifier_model:{description['version']}"


def test_the_metadata_are_complete(description: dict[str, Any]) -> None:
    """The model names its labels, preprocessing, hyperparameters, data, their licence, and its metrics."""
    metadata = description["metadata"]
    assert len(metadata["labels"]) == 10
    assert {"formats", "mode", "resize", "scale", "layout"} <= set(metadata["preprocessing"])
    assert {"epochs", "seed", "batch_size", "learning_rate"} <= set(metadata["hyperparameters"])
    assert metadata["data"]["digest"].startswith("sha256:")
    assert metadata["data"]["licence"] == "CC BY-SA 4.0"
    assert metadata["data"]["pictures"] == 1500
    assert metadata["data"]["held_out_pictures"] == 300


def test_the_model_is_good(description: dict[str, Any]) -> None:
    """On pictures that it never saw the model is right 98 times in 100, on strong variations of them 95 times."""
    metrics = description["metadata"]["metrics"]
    assert metrics["accuracy"] >= 0.98
    assert metrics["macro_f1"] >= 0.98
    assert min(metrics["class_accuracy"].values()) >= 0.95
    assert metrics["augmented"]["accuracy"] >= 0.95


def test_the_export_keeps_its_maker_to_itself() -> None:
    """Neither a folder, nor a user, nor a time of the machine that trained the model is in it."""
    content = lzma.decompress(MODEL.read_bytes())
    for secret in (b"/home/", b"/root/", b"/tmp/", b"site-packages", str(ROOT).encode()):
        assert secret not in content
    with tarfile.open(MODEL) as archive:
        for member in archive:
            assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)


def test_equal_content_gets_an_equal_tag(environment: dict[str, str], tmp_path: Path) -> None:
    """The version names the content: keeping it again changes nothing, and other metadata make another model."""
    code = """
import sys
from pathlib import Path
from celestial_bodies.bundle import export, keep

tags = [str(keep({"model.onnx": b"network"}, {"epochs": epochs}).tag) for epochs in (1, 1, 2)]
assert tags[0] == tags[1] != tags[2], tags
export(keep({"model.onnx": b"network"}, {"epochs": 1}), Path("nested/out.bentomodel"))
"""
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    with tarfile.open(tmp_path / "nested" / "out.bentomodel") as archive:
        assert {"./model.onnx", "./model.yaml"} <= set(archive.getnames())


def test_no_picture_of_the_training_data_is_in_the_project() -> None:
    """No file is named as the training pictures are: <Body>/<Body>_<N>.jpg."""
    try:
        listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    paths = [Path(line) for line in listing.stdout.splitlines()]
    assert not [path for path in paths if path.suffix == ".jpg" and path.name.startswith(f"{path.parent.name}_")]


def test_the_model_card_tells_the_measured_accuracy(description: dict[str, Any]) -> None:
    """The card beside the model names the accuracies that are in its metadata, and the data's source and licence."""
    card = (MODEL.parent / "README.md").read_text(encoding="utf-8")
    metadata = description["metadata"]
    metrics = metadata["metrics"]
    for text in (
        f"{metrics['accuracy']:.2%}".replace("%", " %"),
        f"{metrics['augmented']['accuracy']:.2%}".replace("%", " %"),
        metadata["data"]["licence"],
        metadata["data"]["textures_licence"],
    ):
        assert text in card
