"""Train the classifier from a folder of pictures: ``python -m celestial_bodies.train DATA_FOLDER``."""

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset

from celestial_bodies import bundle
from celestial_bodies.augmentation import augment, nudge
from celestial_bodies.classifier import NETWORK_FILE, Classifier, files, likeliest
from celestial_bodies.dataset import DataError, Example, digest, find_examples, split
from celestial_bodies.metrics import measure
from celestial_bodies.network import CHANNELS, Network, Probabilities
from celestial_bodies.preprocessing import FORMATS, INPUT_SIZE, MAX_PIXELS, to_input

DEFAULT_OUTPUT = Path("model/celestial_bodies_classifier_model.bentomodel")

DATA_SOURCE = {
    "name": "Pictures of celestial bodies, from 'A guide to MLOps' by the Swiss AI Center",
    "licence": "CC BY-SA 4.0",
    "textures": "Solar System Scope",
    "textures_licence": "CC BY 4.0",
}

AUGMENTED_COPIES = 4
"""How many variations of each held-out picture the robustness is measured on."""

OPSET = 17


@dataclass(frozen=True)
class Hyperparameters:
    """What steers the training.

    Args:
        epochs: passes over the training pictures.
        seed: where all random choices come from.
        batch_size: pictures in a step.
        learning_rate: its highest value, after the first twentieth of the steps; a cosine takes it to zero.
        weight_decay: of AdamW.
        label_smoothing: the probability that is spread over all classes.
        dropout: share of the pooled features.
        averaging: decay of the moving average of the weights, which is what is kept.
        nudged: share of the pictures that are varied only a little.
    """

    epochs: int = 120
    seed: int = 7
    batch_size: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.03
    dropout: float = 0.1
    averaging: float = 0.99
    nudged: float = 0.25


class Variations(Dataset[tuple[Tensor, int]]):
    """Every picture, with new variations in every epoch, drawn from the seed, the epoch and its place alone.

    Args:
        pictures: in mode RGB.
        targets: the index of each picture's label.
        hyperparameters: tell how many epochs there are, and how strongly to vary.
    """

    def __init__(
        self, pictures: Sequence[Image.Image], targets: Sequence[int], hyperparameters: Hyperparameters
    ) -> None:
        self._pictures = pictures
        self._targets = targets
        self._seed = hyperparameters.seed
        self._copies = hyperparameters.epochs
        self._nudged = hyperparameters.nudged

    def __len__(self) -> int:
        return len(self._pictures) * self._copies

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        place = index % len(self._pictures)
        random = np.random.default_rng([self._seed, index])
        vary = nudge if random.random() < self._nudged else augment
        varied = vary(self._pictures[place], random)
        return torch.from_numpy(to_input(varied)), self._targets[place]


def train(data_folder: Path, hyperparameters: Hyperparameters) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Train the network on four fifths of the pictures and measure it on the rest.

    Args:
        data_folder: holds ``<Body>/<Body>_<N>.jpg``.
        hyperparameters: steer the training.

    Returns:
        The files of the classifier's folder, and the metadata.

    Raises:
        DataError: the folder does not hold enough pictures, or one of them cannot be decoded.
    """
    examples = find_examples(data_folder)
    training, held_out = split(examples)
    labels = sorted({example.label for example in examples})
    network = _fit(training, labels, hyperparameters)
    content = files(_to_onnx(network), labels)
    metadata = {
        "labels": labels,
        "preprocessing": {
            "formats": list(FORMATS),
            "max_pixels": MAX_PIXELS,
            "mode": "RGB",
            "transparency": "black",
            "resize": f"to fit {INPUT_SIZE} x {INPUT_SIZE} pixels, bilinear, padded with black",
            "scale": "0 to 1",
            "layout": "NCHW, float32",
        },
        "network": {"channels": list(CHANNELS), "parameters": sum(value.numel() for value in network.parameters())},
        "hyperparameters": asdict(hyperparameters),
        "data": {
            **DATA_SOURCE,
            "digest": digest(examples),
            "pictures": len(examples),
            "training_pictures": len(training),
            "held_out_pictures": len(held_out),
        },
        "metrics": _evaluate(content, held_out, hyperparameters.seed),
    }
    return content, metadata


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, keep the model in the BentoML store, and export it.

    Args:
        arguments: of the command line; by default those of this process.

    Raises:
        SystemExit: the pictures cannot be trained on; says why.
    """
    parser = argparse.ArgumentParser(prog="python -m celestial_bodies.train", description="Train the classifier.")
    parser.add_argument("data_folder", type=Path, help="holds <Body>/<Body>_<N>.jpg")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the .bentomodel file to write")
    parser.add_argument("--epochs", type=int, default=Hyperparameters.epochs)
    parser.add_argument("--seed", type=int, default=Hyperparameters.seed)
    options = parser.parse_args(arguments)
    try:
        content, metadata = train(options.data_folder, Hyperparameters(epochs=options.epochs, seed=options.seed))
    except DataError as error:
        sys.exit(str(error))
    model = bundle.keep(content, metadata)
    bundle.export(model, options.output)
    metrics = metadata["metrics"]
    print(f"{model.tag} written to {options.output}")
    print(f"held-out accuracy {metrics['accuracy']:.4f}, varied {metrics['augmented']['accuracy']:.4f}")


def _fit(training: Sequence[Example], labels: list[str], hyperparameters: Hyperparameters) -> nn.Module:
    """Train a network; returns the moving average of its weights, ready to be measured."""
    torch.manual_seed(hyperparameters.seed)
    targets = [labels.index(example.label) for example in training]
    pictures = [example.picture() for example in training]
    # With the channels last, a step takes half the time.
    network = Network(len(labels), hyperparameters.dropout).to(memory_format=torch.channels_last)
    averaged = AveragedModel(network, avg_fn=_moving_average(hyperparameters.averaging), use_buffers=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
    )
    variations = Variations(pictures, targets, hyperparameters)
    steps = math.ceil(len(variations) / hyperparameters.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, hyperparameters.learning_rate, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=hyperparameters.label_smoothing)
    # One process makes the variations while this one learns from them.
    batches = DataLoader(variations, hyperparameters.batch_size, shuffle=True, num_workers=1, prefetch_factor=4)
    report_every = max(1, steps // 20)
    for step, (inputs, wanted) in enumerate(batches, start=1):
        loss = loss_of(network(inputs.to(memory_format=torch.channels_last)), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
        if step % report_every == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    return averaged.module.eval()


def _moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """A moving average that is quick to forget the first steps."""

    def average(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        return averaged + (current - averaged) * (1 - min(decay, (1 + int(steps)) / (10 + int(steps))))

    return average


def _evaluate(content: Mapping[str, bytes], held_out: Sequence[Example], seed: int) -> dict[str, Any]:
    """Measure the classifier, as it will be served, on the held-out pictures and on variations of them."""
    pictures = [example.picture() for example in held_out]
    truth = [example.label for example in held_out]
    # Another stream of random numbers than the training's.
    randoms = [np.random.default_rng([seed + 1_000_000, index]) for index in range(len(pictures) * AUGMENTED_COPIES)]
    varied = [augment(picture, random) for picture, random in zip(pictures * AUGMENTED_COPIES, randoms, strict=True)]
    with TemporaryDirectory() as folder:
        for name, data in content.items():
            Path(folder, name).write_bytes(data)
        classifier = Classifier(Path(folder))

    def measured(pictures: Sequence[Image.Image], truth: Sequence[str]) -> dict[str, Any]:
        return measure(truth, [likeliest(classifier.classify(picture)) for picture in pictures], classifier.labels)

    return {**measured(pictures, truth), "augmented": measured(varied, truth * AUGMENTED_COPIES)}


def _to_onnx(network: nn.Module) -> bytes:
    """Write a network, with the softmax, as an ONNX file that takes any number of pictures."""
    with TemporaryDirectory() as folder:
        path = Path(folder, NETWORK_FILE)
        torch.onnx.export(
            Probabilities(network).eval(),
            (torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE),),
            path,
            input_names=["pictures"],
            output_names=["probabilities"],
            dynamic_axes={"pictures": {0: "batch"}, "probabilities": {0: "batch"}},
            opset_version=OPSET,
            # The newer exporter writes the source files' paths into the graph, and needs one more package.
            dynamo=False,
        )
        return path.read_bytes()


if __name__ == "__main__":
    main()
