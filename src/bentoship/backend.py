"""How a Bento becomes an image, and the image gets into a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bentoship.bento import Bento
from bentoship.image.layer import Stream
from bentoship.image.reference import ImageReference
from bentoship.stores.transfer import Progress
from bentoship.system.text import size


@dataclass(frozen=True)
class LayerSummary:
    """A layer of an image, for people.

    Args:
        title: what is in it.
        size: in bytes.
        outcome: what became of it in a push: "sent", "present" or "mounted"; empty before, and where it is not known.
        digest: its blob's, where that is known before a push.
    """

    title: str
    size: int
    outcome: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Built:
    """An image that was made, where its backend keeps it.

    Args:
        digest: "sha256:…": of its manifest or index, or what its engine knows it by.
        layers: lowest first.
        images: those that it holds, by platform, when it is an index.
        streams: give those of its layers, by digest, of which no blob is kept.
    """

    digest: str
    layers: tuple[LayerSummary, ...]
    images: Mapping[str, Built] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict, compare=False)

    @property
    def size(self) -> int:
        """Return the bytes of its layers together."""
        return sum(layer.size for layer in self.layers)

    @property
    def lines(self) -> list[str]:
        """Return what was made, for people."""
        made = f"{size(self.size)} in {len(self.layers)} layers"
        if not self.images:
            return [f"{self.digest}, {made}"]
        each = [f"{platform}: {line}" for platform, image in self.images.items() for line in image.lines]
        return [*each, f"{self.digest} is the index of {len(self.images)} images, {made}"]


@dataclass(frozen=True)
class Pushed:
    """An image in a registry.

    Args:
        digest: of its manifest or index there, read back.
        layers: lowest first, and what became of each.
        sent: bytes that went over.
        there: bytes that were there already, or of which it is not known.
    """

    digest: str
    layers: tuple[LayerSummary, ...]
    sent: int
    there: int

    @property
    def line(self) -> str:
        """Return how much that was, for people."""
        if any(not layer.outcome for layer in self.layers):
            return f"{size(self.sent + self.there)} are there; the engine does not tell how much of it was sent"
        return f"sent {size(self.sent)}, {size(self.there)} were there already"


class Backend(Protocol):
    """One way to make images and to push them."""

    def containerize(self, bento: Bento) -> Built:
        """Return the image of a Bento, made. Raises BentoshipError."""

    def load(self, image: Built, name: str) -> str:
        """Put an image that was made into Docker's engine, under a name. Returns: what that took, in words.

        Raises: BentoshipError.
        """

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Name an image that was made. Raises BentoshipError."""

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Send what the registry lacks of an image, then set the tags there.

        Args:
            image: as `containerize` made it.
            references: names in one repository, which were given by `tag`.
            progress: told how it goes on.

        Raises: BentoshipError.
        """
