"""Registries of several kinds, and a store in one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support import registry as registries
from tests.support.registry import Registry


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for a password."""
    with registries.running(tmp_path_factory.mktemp("guarded"), password=True) as running:
        yield running


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that speaks TLS."""
    with registries.running(tmp_path_factory.mktemp("encrypted"), tls=True) as running:
        yield running


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A store in the registry that asks for no login."""
    return RegistryStore(repository, push=True)
