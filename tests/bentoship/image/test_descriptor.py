"""Descriptors."""

import pytest

from bentoship.image.descriptor import MANIFEST, Descriptor


def test_a_descriptor_says_what_content_is() -> None:
    """Type, digest and size, there and back."""
    descriptor = Descriptor.of(MANIFEST, b"hello")
    assert descriptor.hex == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (descriptor.digest, descriptor.size) == (f"sha256:{descriptor.hex}", 5)
    assert Descriptor.from_dict(descriptor.to_dict()) == descriptor


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"mediaType": "x", "digest": DIGEST},
        {"mediaType": "x", "digest": DIGEST, "size": "?"},
        {"mediaType": "x", "digest": DIGEST, "size": "-1"},
        {"mediaType": "x", "digest": "y", "size": "1"},
        {"mediaType": "x", "digest": "sha256:../../../../etc/passwd", "size": "1"},
        {"mediaType": "x", "digest": f"{DIGEST}/..", "size": "1"},
        {"mediaType": "x", "digest": DIGEST.replace("0", "A"), "size": "1"},
    ],
)
def test_what_is_none_is_refused(data: dict[str, str]) -> None:
    """A damaged manifest is noticed, and no digest can name another file."""
    with pytest.raises((KeyError, ValueError)):
        Descriptor.from_dict(data)
