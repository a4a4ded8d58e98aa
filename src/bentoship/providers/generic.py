"""Any registry, by its address, with the account that docker login or podman login kept."""

import time

from bentoship.image.reference import ImageReference
from bentoship.settings.address import RegistryAddress
from bentoship.stores.credentials import Credentials, find_credentials

_KEPT = 600.0
"""Seconds for which an account is used that was found: a helper takes a while, and its tokens hold for longer."""


class GenericProvider:
    """A registry that needs no preparation.

    Args:
        address: the registry's.
    """

    def __init__(self, address: RegistryAddress) -> None:
        self.host = address.host
        self.plain_http = address.plain_http
        self._address = address
        self._found: tuple[Credentials | None, float] = None, 0.0

    def enable_api(self) -> str:
        """Do nothing: who runs the registry has done it."""
        return f"Nothing is enabled at {self.host} from here."

    def create_registry(self) -> str:
        """Do nothing: a registry has its own way to make repositories."""
        return f"{self.host} makes the repository at the first push, or needs it to be there."

    def login(self) -> str:
        """Look for the account. Raises as `find_credentials` does."""
        found = self.credentials()
        return f"Account at {self.host}: {found.account}" if found else f"No account at {self.host}: asking as nobody."

    def repository(self, image_name: str) -> ImageReference:
        """Return HOST/PATH/NAME. Raises InvalidReferenceError."""
        return self._address.repository(image_name)

    def credentials(self) -> Credentials | None:
        """Return the account that is kept for this host and path; looked for again after ten minutes."""
        found, until = self._found
        if time.monotonic() >= until:
            found = find_credentials(self.host, self._address.path)
            self._found = found, time.monotonic() + _KEPT
        return found

    def holdings(self, repository: ImageReference) -> None:
        """Return None: it has to be asked."""
