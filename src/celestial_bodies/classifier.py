"""The trained classifier: an ONNX network and the names of its classes."""

import json
from collections.abc import Mapping
from pathlib import Path

import onnxruntime
from PIL import Image

from celestial_bodies.preprocessing import to_input

NETWORK_FILE = "model.onnx"
LABELS_FILE = "labels.json"

_THREADS = 2
"""More than two threads gain nothing with so small a network, and would take the cores of other requests."""


def files(network: bytes, labels: list[str]) -> dict[str, bytes]:
    """Lay out a classifier's folder.

    Args:
        network: an ONNX file that takes shape (batch, 3, INPUT_SIZE, INPUT_SIZE) and gives (batch, labels).
        labels: the classes, in the order of the network's outputs.

    Returns:
        The content of each file, by name.
    """
    return {NETWORK_FILE: network, LABELS_FILE: json.dumps(labels).encode()}


class Classifier:
    """Tells which body a picture shows.

    Args:
        folder: holds what ``files`` lays out.
    """

    def __init__(self, folder: Path) -> None:
        self.labels: list[str] = json.loads((folder / LABELS_FILE).read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / NETWORK_FILE), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def classify(self, picture: Image.Image) -> dict[str, float]:
        """Classify a picture of any mode and size; returns the probability of each label, adding up to 1."""
        (rows,) = self._session.run(None, {self._input: to_input(picture)[None]})
        return {label: float(value) for label, value in zip(self.labels, rows[0], strict=True)}


def likeliest(probabilities: Mapping[str, float]) -> str:
    """Return the label of the highest probability."""
    return max(probabilities, key=probabilities.__getitem__)
