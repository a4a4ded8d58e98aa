"""The protocol of a backend, which turns a Bento into an image and pushes it to a registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bentoship.bento import Bento
from bentoship.image.layer import Stream
from bentoship.image.progress import Progress
from bentoship.image.reference import ImageReference

if TYPE_CHECKING:
    from bentoship.image.component import Contents


@dataclass(frozen=True)
class LayerSummary:
    """A layer of an image, described for display.

    Args:
        title: what it contains.
        size: in bytes.
        outcome: what a push did with it: "sent", "present" or "mounted"; empty before a push, and when unknown.
        digest: the digest of its blob, if known before a push.
    """

    title: str
    size: int
    outcome: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Built:
    """An image that was built, kept by its backend.

    Args:
        digest: "sha256:…" of its manifest or index, or the id under which an engine keeps it.
        layers: lowest first.
        images: the images of an index, by platform.
        streams: functions that produce the layers that are not kept as blobs, by digest.
        contents: returns what it is made of; None for an index, and where only an engine knows it.
    """

    digest: str
    layers: tuple[LayerSummary, ...]
    images: Mapping[str, Built] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict, compare=False)
    contents: Callable[[], Contents] | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """Return the total size of its layers in bytes."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True)
class Pushed:
    """An image in a registry.

    Args:
        digest: the digest of its manifest or index, read back from the registry.
        layers: lowest first, each with what the push did with it.
        sent: the number of bytes sent.
        there: the number of bytes that already existed there, or of which that is not known.
    """

    digest: str
    layers: tuple[LayerSummary, ...]
    sent: int
    there: int


class Backend(Protocol):
    """A way to build images and push them."""

    def containerize(self, bento: Bento) -> Built:
        """Build and return the image of a Bento. Raises BentoshipError."""

    def load(self, image: Built, name: str) -> str:
        """Load a built image into Docker's engine under a name. Returns: a sentence on what was done.

        Raises: BentoshipError.
        """

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Name a built image. Raises BentoshipError."""

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Send the parts of an image that the registry lacks, then set its tags.

        Args:
            image: as `containerize` returned it.
            references: names in one repository, already given by `tag`.
            progress: receives the progress of the push.

        Raises: BentoshipError.
        """
