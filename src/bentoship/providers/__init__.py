"""Whose registry it is: what has to be done there before an image can be pushed, and as whom."""

from collections.abc import Callable
from typing import Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials


class Provider(Protocol):
    """A place where images are published. Each step may be taken again, and returns in one line what it did."""

    @property
    def plain_http(self) -> bool | None:
        """Whether the registry speaks HTTP without TLS; None for what its host makes usual."""

    def enable_api(self) -> str:
        """Enable the service that keeps images. Raises BentoshipError."""

    def create_registry(self) -> str:
        """Create the repository that images are pushed to, unless it is there. Raises BentoshipError."""

    def login(self) -> str:
        """Find the account to push as, and see that it may push. Raises BentoshipError."""

    def repository(self, image_name: str) -> ImageReference:
        """Return where an image of that name is, or will be, pushed to. Changes and starts nothing.

        Raises: InvalidReferenceError.
        """

    def credentials(self) -> Credentials | None:
        """Return the account to push as; None for nobody. Asked at each login: some are valid for an hour only."""

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Return what tells whether a registry that does not run has a blob; None for one that has to be asked."""
