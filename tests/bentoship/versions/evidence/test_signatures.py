"""Who signs and who has to have signed: a key or an identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.errors import VerifyError
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.versions.evidence.signatures import check_by, signing_by
from tests.support.images import put_image
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore


def test_without_a_key_and_an_identity_there_is_neither() -> None:
    """Nothing is signed, and nothing checked."""
    assert signing_by(None, is_keyless=False, trust=None) is None
    assert check_by(None, None, who=None, trust=None) is None


@pytest.mark.parametrize("is_keyless", [False, True])
def test_each_is_kept_where_cosign_looks(is_keyless: bool, store: RegistryStore, key: Path, services: Sigstore) -> None:
    """A key's signature under a tag, an identity's among what refers to the image; one does not do for the other."""
    image, trust = put_image(store), services.trust()
    made = signing_by(key, is_keyless=is_keyless, trust=trust)
    assert made
    assert made.who == ""
    assert made.sign(store, store.repository, image)
    assert not made.sign(store, store.repository, image)
    assert made.who == (f"{WORKFLOW} ({GITHUB})" if is_keyless else "")
    assert (f"sha256-{image.hex}.sig" in tags(store)) == (not is_keyless)
    by_key = check_by(None, key, who=None, trust=trust)
    by_identity = check_by(None, None, who=(WORKFLOW, GITHUB), trust=trust)
    right, wrong = (by_identity, by_key) if is_keyless else (by_key, by_identity)
    assert right
    assert wrong
    assert right(store, image) == 0
    with pytest.raises(VerifyError, match="by the key of" if is_keyless else "it has no keyless signature"):
        wrong(store, image)
