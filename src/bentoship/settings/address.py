"""The address of a registry: its host, the path there, and whether it speaks TLS."""

from __future__ import annotations

from bentoship.errors import InvalidReferenceError
from bentoship.image.reference import ImageReference
from bentoship.system.values import dataclass

_ALLOWED = "Write a host and a path, such as ghcr.io/acme, or http://HOST/PATH for one without TLS."


@dataclass(frozen=True)
class RegistryAddress:
    """A registry, and the path in it that images go to.

    Args:
        host: the registry's host, with its port unless that is the default one.
        path: what precedes an image's name there; may be empty.
        plain_http: whether it speaks HTTP without TLS; None where only a registry on this machine does.
    """

    host: str
    path: str = ""
    plain_http: bool | None = None

    @classmethod
    def parse(cls, text: str) -> RegistryAddress:
        """Return the address that a text such as "ghcr.io/acme" names; http:// or https:// in front decides on TLS.

        Raises: InvalidReferenceError.
        """
        scheme, separator, name = text.rpartition("://")
        if separator and scheme not in ("http", "https"):
            raise InvalidReferenceError(f'Parse the registry "{text}"', f"{scheme}:// is unknown", _ALLOWED)
        host, _, path = name.rstrip("/").partition("/")
        address = cls(host, path, scheme == "http" if separator else None)
        try:
            address.repository("image")
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f'Parse the registry "{text}"', error.why, error.hint) from error
        return address

    def repository(self, image_name: str) -> ImageReference:
        """Return HOST/PATH/NAME. Raises InvalidReferenceError."""
        return ImageReference(self.host, f"{self.path}/{image_name}" if self.path else image_name)

    def __str__(self) -> str:
        scheme = {None: "", True: "http://", False: "https://"}[self.plain_http]
        return f"{scheme}{self.host}/{self.path}".rstrip("/")
