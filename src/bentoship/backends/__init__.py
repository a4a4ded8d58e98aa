"""How a Bento becomes an image, and the image gets into a registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bentoship.bento import Bento
from bentoship.image.manifest import Image
from bentoship.stores import Store
from bentoship.transfer import Progress, Result


class Backend(Protocol):
    """One way to do it."""

    def containerize(self, bento: Bento) -> Image:
        """Make the image of a Bento. Raises BentoshipError."""

    def tag(self, image: Image, tags: Sequence[str]) -> None:
        """Name an image that was made. Raises BentoshipError."""

    def push(self, image: Image, tags: Sequence[str], target: Store, progress: Progress) -> Result:
        """Send what the target lacks of an image, then set the tags there. Raises StoreError."""
