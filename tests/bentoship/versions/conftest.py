"""A repository in a real registry, and images in it."""

from __future__ import annotations

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """The repository; distribution fails for a moment when a tag is read and written at once."""
    return RegistryStore(repository, push=True, session=Session(patience=30.0))
