"""Pushing to Artifact Registry: tokens that end, rights that are taken away, tags that stay where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bentoship.errors import RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.providers.google import GoogleRegistry
from bentoship.stores import transfer
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.versions.history import Promotion
from bentoship.versions.promotion import move, standing
from tests.support.google import Google
from tests.support.images import put_image

Provider = Callable[..., GoogleRegistry]


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    """Where images are pushed from."""
    return LayoutStore(tmp_path / "layout")


@pytest.fixture
def there(google: Google, provider: Provider) -> RegistryStore:
    """The repository, as the provider has it pushed to."""
    google.add_repository()
    ours = provider()
    return RegistryStore(ours.repository("image"), ours.credentials, push=True, session=Session(patience=30.0))


def refused(layout: LayoutStore, there: RegistryStore, image: Descriptor, tag: str = "v1") -> RegistryError:
    """What a push ends with."""
    with pytest.raises(RegistryError) as caught:
        transfer.copy(layout, there, image, tags=[tag])
    return caught.value


def test_a_token_that_ends_in_the_middle_of_a_blob(google: Google, layout: LayoutStore, there: RegistryStore) -> None:
    """Is renewed, and the blob goes on: each token is good for one of these layers only."""
    google.state.docker_token_bytes = 150_000
    image = put_image(layout, sizes=(100_000, 101_000, 102_000, 103_000))
    result = transfer.copy(layout, there, image, tags=["v1"], options=transfer.Options(jobs=2))
    assert there.resolve("v1") == image
    assert set(result.values()) == {"sent"}
    assert google.count("GET", "/v2/token") >= 4
    assert google.count("PUT", "uploads") > 5  # four layers and a config, and those that a token's end broke off


def test_tokens_that_ended_between_two_requests(google: Google, layout: LayoutStore, there: RegistryStore) -> None:
    """Google's own, near its end, and the registry's are both renewed."""
    google.state.token_seconds = 60.0
    transfer.copy(layout, there, put_image(layout), tags=["v1"])
    for token in google.state.tokens.values():
        token.ends = 0.0
    image = put_image(layout, seed=1)
    transfer.copy(layout, there, image, tags=["v2"])
    assert there.resolve("v2") == image


def test_a_tag_that_stays_where_it_is(google: Google, layout: LayoutStore, there: RegistryStore) -> None:
    """In the registry's words, with the setting that names others; the image itself can be pushed again."""
    google.state.repositories[next(iter(google.state.repositories))].docker_config.immutable_tags = True
    first, second = put_image(layout), put_image(layout, seed=1)
    transfer.copy(layout, there, first, tags=["latest"])
    transfer.copy(layout, there, first, tags=["latest"])
    error = refused(layout, there, second, "latest")
    assert "cannot update tag latest" in error.why
    assert "IMAGE_TAGS={version},{commit}" in error.hint
    assert there.resolve("latest") == first


def test_a_promoted_name_that_stays_where_it_is(google: Google, there: RegistryStore) -> None:
    """A name can be promoted to once where tags are immutable; then nothing is changed, and it says what to do."""
    google.state.repositories[next(iter(google.state.repositories))].docker_config.immutable_tags = True
    first, second = put_image(there), put_image(there, seed=1)
    seen = standing(there, "production")
    move(there, seen, first, Promotion(first.digest))
    before = standing(there, "production")
    with pytest.raises(RegistryError) as caught:
        move(there, before, second, Promotion(second.digest))
    assert "cannot update tag production" in caught.value.why
    assert "Exempt production and production.history from its immutable tags" in caught.value.hint
    assert standing(there, "production") == before
    assert before.digest == first.digest


def test_a_right_that_was_taken_away(google: Google, layout: LayoutStore, there: RegistryStore) -> None:
    """Names account, role and project, and no docker login."""
    google.deny(google.account, "artifactregistry.repositories.uploadArtifacts")
    error = refused(layout, there, put_image(layout))
    assert error.status == 403
    assert f"{google.account} needs roles/artifactregistry.writer on {google.project.id}" in error.hint
    assert "docker login" not in error.hint


def test_an_account_that_was_disabled(google: Google, layout: LayoutStore, there: RegistryStore) -> None:
    """Names the account, and how it logs in again."""
    there.reach()
    google.state.account(google.account).disabled = True
    error = refused(layout, there, put_image(layout))
    assert error.status == 401
    assert google.account in error.hint
    assert "keys create" in error.hint
    assert "docker login" not in error.hint
