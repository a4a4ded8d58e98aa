"""Whose registry it is: what has to be done there before an image can be pushed, and as whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials


class Provider(Protocol):
    """A place where images are published. Each step may be taken again, and tells in one line what it did."""

    @property
    def plain_http(self) -> bool | None:
        """Whether the registry speaks HTTP without TLS; None for what its host makes usual."""

    def enable_api(self) -> str:
        """Switch on the service that keeps images."""

    def create_registry(self) -> str:
        """Make the place that the images are pushed to, unless it is there."""

    def login(self) -> str:
        """See to it that there is an account to push as."""

    def repository(self, image_name: str) -> ImageReference:
        """Where an image of that name is, or will be, pushed to. Changes and starts nothing."""

    def credentials(self) -> Credentials | None:
        """The account to push as; None for nobody. Asked at each login anew, since some hold for an hour only."""

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Tells what a registry has that does not run; None for one that has to be asked."""
