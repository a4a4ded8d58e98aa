"""A store in the registry that asks for no login."""

from __future__ import annotations

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A store in the registry that asks for no login."""
    return RegistryStore(repository, push=True)
