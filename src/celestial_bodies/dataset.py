"""The labelled pictures: which there are, which are held out, and the digest that names them all."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from celestial_bodies.preprocessing import PictureError, decode, to_rgb

HELD_OUT_SHARE = 5
"""One picture in so many of each body is never trained on."""


class DataError(ValueError):
    """The pictures cannot be trained on; the message tells why, and names the file or folder."""


@dataclass(frozen=True)
class Example:
    """One labelled picture.

    Args:
        path: the picture's file.
        label: the body it shows.
    """

    path: Path
    label: str

    def picture(self) -> Image.Image:
        """Read the picture, in mode RGB; raises DataError when it cannot be decoded."""
        try:
            return to_rgb(decode(self.path.read_bytes()))
        except PictureError as error:
            raise DataError(f"{self.path}: {error}") from None


def find_examples(folder: Path) -> list[Example]:
    """List the pictures ``<Body>/<Body>_<N>.jpg`` of a folder.

    Args:
        folder: holds one folder for each body.

    Returns:
        The examples, sorted by path.

    Raises:
        DataError: there are fewer than two bodies, or a body with too few pictures to hold some out.
    """
    examples = [Example(path, path.parent.name) for path in sorted(folder.glob("*/*.jpg"))]
    counts: dict[str, int] = defaultdict(int)
    for example in examples:
        counts[example.label] += 1
    if len(counts) < 2:
        raise DataError(f"{folder} holds no pictures of two or more bodies, as <Body>/<Body>_<N>.jpg")
    scarce = sorted(label for label, count in counts.items() if count < HELD_OUT_SHARE)
    if scarce:
        raise DataError(f"{folder} holds fewer than {HELD_OUT_SHARE} pictures of {', '.join(scarce)}")
    return examples


def split(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Hold out a fifth of each body's pictures, chosen by nothing but their file names.

    Args:
        examples: of all bodies.

    Returns:
        What to train on, and what is held out.
    """
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_label[example.label].append(example)
    training: list[Example] = []
    held_out: list[Example] = []
    for label in sorted(by_label):
        shuffled = sorted(by_label[label], key=lambda example: hashlib.sha256(example.path.name.encode()).digest())
        count = round(len(shuffled) / HELD_OUT_SHARE)
        held_out += shuffled[:count]
        training += shuffled[count:]
    return training, held_out


def digest(examples: list[Example]) -> str:
    """Name a set of pictures by its content.

    Args:
        examples: the whole set.

    Returns:
        ``sha256:`` and the hash over each picture's name within its set and its own hash, in the names' order.
    """
    names = {f"{example.label}/{example.path.name}": example.path for example in examples}
    total = hashlib.sha256()
    for name in sorted(names):
        total.update(f"{name}\0{hashlib.sha256(names[name].read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"
