"""The protocol of a registry's provider: how to prepare the registry and which account to use."""

from collections.abc import Callable
from typing import Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials


class Provider(Protocol):
    """A provider of the registry that images are published to. Each step may be repeated, and returns a line on what it
    did."""

    @property
    def plain_http(self) -> bool | None:
        """Return whether the registry uses HTTP without TLS; None for the default of its host."""

    @property
    def deletes_untagged(self) -> bool:
        """Return whether the registry may delete, by a policy of its own, what has no tag."""

    def enable_api(self) -> str:
        """Enable the registry's API. Raises BentoshipError."""

    def create_registry(self) -> str:
        """Create the repository for images unless it already exists. Raises BentoshipError."""

    def login(self) -> str:
        """Find the account to push with, and check that it may push. Raises BentoshipError."""

    def repository(self, image_name: str) -> ImageReference:
        """Return the repository of an image by the image's name. Changes and starts nothing.

        Raises: InvalidReferenceError.
        """

    def images(self) -> list[str] | None:
        """Return the paths of the images where this one goes; None for a registry to be asked for its catalog.

        Raises: BentoshipError.
        """

    def credentials(self) -> Credentials | None:
        """Return the account to push with; None for anonymous. Called at each login: some expire within an hour."""

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Return a function that looks up blobs in the files of a stopped registry; None for a registry to query."""
