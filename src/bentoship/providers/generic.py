"""Any registry, given by its address, with the account that docker login or podman login stored."""

import time

from bentoship.image.reference import ImageReference
from bentoship.settings.address import RegistryAddress
from bentoship.stores.credentials import Credentials, find_credentials

_KEPT = 600.0
"""Seconds for which an account is reused: a credential helper is slow, and its tokens are valid for longer."""


class GenericProvider:
    """A provider for a registry that needs no preparation.

    Args:
        address: the registry's address.
    """

    def __init__(self, address: RegistryAddress) -> None:
        self.host = address.host
        self.plain_http = address.plain_http
        self.deletes_untagged = address.host.endswith(".pkg.dev")  # Google's, by cleanup policies
        self._address = address
        self._found: tuple[Credentials | None, float] = None, 0.0

    def enable_api(self) -> str:
        """Do nothing: there is no API to enable."""
        return f"{self.host} has nothing to enable."

    def create_registry(self) -> str:
        """Do nothing: there is no common way to create a repository."""
        return f"{self.host} creates the repository at the first push, or it must already exist."

    def login(self) -> str:
        """Find the account. Raises SettingsError or ProcessError as `find_credentials` does."""
        found = self.credentials()
        if found:
            return f"Account at {self.host}: {found.account}"
        return f"No account at {self.host}; continuing anonymously."

    def repository(self, image_name: str) -> ImageReference:
        """Return HOST/PATH/NAME. Raises InvalidReferenceError."""
        return self._address.repository(image_name)

    def images(self) -> list[str] | None:
        """Return None: the registry can be asked."""
        return None

    def credentials(self) -> Credentials | None:
        """Return the stored account for this host and path; it is looked up again after ten minutes."""
        found, until = self._found
        if time.monotonic() >= until:
            found = find_credentials(self.host, self._address.path)
            self._found = found, time.monotonic() + _KEPT
        return found

    def holdings(self, repository: ImageReference) -> None:
        """Return None: the registry can be queried."""
