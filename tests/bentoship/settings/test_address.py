"""The address of a registry."""

from __future__ import annotations

import pytest

from bentoship.errors import InvalidReferenceError
from bentoship.settings.address import RegistryAddress


@pytest.mark.parametrize(
    ("text", "image", "plain_http"),
    [
        ("ghcr.io/acme", "ghcr.io/acme/tool", None),
        ("ghcr.io/acme/team/", "ghcr.io/acme/team/tool", None),
        ("registry.acme.example", "registry.acme.example/tool", None),
        ("http://registry.lan:5000/acme", "registry.lan:5000/acme/tool", True),
        ("https://localhost:5000", "localhost:5000/tool", False),
    ],
)
def test_images_lie_below_host_and_path(text: str, image: str, plain_http: bool | None) -> None:
    """What stands before :// says what the registry speaks."""
    address = RegistryAddress.parse(text)
    assert str(address.repository("tool")) == image
    assert address.plain_http is plain_http


@pytest.mark.parametrize("text", ["", "ghcr", "acme/tool", "ftp://ghcr.io/acme", "ghcr.io/Acme", "ghcr.io//acme"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    """With what was written in the error."""
    with pytest.raises(InvalidReferenceError) as caught:
        RegistryAddress.parse(text)
    assert f'"{text}"' in caught.value.doing


@pytest.mark.parametrize("text", ["ghcr.io/acme", "http://registry.lan:5000", "https://localhost:5000/team/images"])
def test_an_address_is_shown_as_it_is_written(text: str) -> None:
    """With what it says of TLS, and without the slash at its end."""
    assert str(RegistryAddress.parse(f"{text}/")) == text
