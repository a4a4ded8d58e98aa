"""Any registry, by its host and a path there, with the account that docker login or podman login kept."""

from __future__ import annotations

from dataclasses import dataclass

from bentoship.errors import InvalidReferenceError
from bentoship.image.reference import ImageReference
from bentoship.stores import credentials
from bentoship.stores.credentials import Credentials


@dataclass(frozen=True)
class GenericProvider:
    """A registry that needs no preparation.

    Args:
        host: the registry's, with its port if that is not the usual one.
        path: what stands before an image's name there; may be empty.
        plain_http: whether it speaks HTTP without TLS; None for only on this machine itself.
    """

    host: str
    path: str = ""
    plain_http: bool | None = None

    @classmethod
    def parse(cls, text: str) -> GenericProvider:
        """Read "ghcr.io/acme"; http:// or https:// before it says what the registry speaks.

        Raises: InvalidReferenceError.
        """
        scheme, separator, name = text.rpartition("://")
        if separator and scheme not in ("http", "https"):
            raise InvalidReferenceError(f'Understand the registry "{text}"', f"{scheme}:// is unknown", _ALLOWED)
        host, _, path = name.rstrip("/").partition("/")
        provider = cls(host, path, scheme == "http" if separator else None)
        try:
            provider.repository("image")
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f'Understand the registry "{text}"', error.why, error.hint) from error
        return provider

    def enable_api(self) -> str:
        """Nothing to do."""
        return f"Nothing is enabled at {self.host} from here."

    def create_registry(self) -> str:
        """Nothing to do."""
        return f"{self.host} makes the repository at the first push, or needs it to be there."

    def login(self) -> str:
        """Look for the account. Raises as `credentials.find` does."""
        found = self.credentials()
        return f"Account at {self.host}: {found.account}" if found else f"No account at {self.host}: asking as nobody."

    def repository(self, image_name: str) -> ImageReference:
        """HOST/PATH/NAME. Raises InvalidReferenceError."""
        return ImageReference(self.host, f"{self.path}/{image_name}" if self.path else image_name)

    def credentials(self) -> Credentials | None:
        """The account that is kept for this host and path."""
        return credentials.find(self.host, self.path)

    def holdings(self, repository: ImageReference) -> None:
        """It has to be asked."""


_ALLOWED = "Write a host and a path, such as ghcr.io/acme, or http://HOST/PATH for one without TLS."
