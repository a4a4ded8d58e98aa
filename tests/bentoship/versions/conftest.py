"""Repositories in registries of two kinds: with the referrers API, and without."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from tests.support import referrers_registry
from tests.support.referrers_registry import ReferrersRegistry
from tests.support.registry import Registry


@pytest.fixture(scope="session")
def with_api(registry: Registry) -> Iterator[ReferrersRegistry]:
    """The same registry with the API before it."""
    with referrers_registry.before(registry, page=2) as running:
        yield running


@pytest.fixture(params=["tags", "api"])
def host(request: pytest.FixtureRequest, registry: Registry, with_api: ReferrersRegistry) -> str:
    """A registry of each kind."""
    return with_api.host if request.param == "api" else registry.host


@pytest.fixture
def store(host: str) -> RegistryStore:
    """A repository that no other test uses."""
    repository = ImageReference(host, f"tests/{uuid.uuid4().hex}")
    # Distribution fails for a moment when a tag is read and written at once.
    return RegistryStore(repository, push=True, session=Session(patience=30.0))
