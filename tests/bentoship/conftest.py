"""What many tests need: a registry, and a repository of one's own in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from tests.support import proxy as proxies
from tests.support import registry as registries


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registries.Registry]:
    """A registry that asks for no login, one for each process that runs tests."""
    with registries.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def repository(registry: registries.Registry) -> ImageReference:
    """A repository that no other test uses."""
    return ImageReference(registry.host, f"tests/{uuid.uuid4().hex}")


@pytest.fixture
def proxy(registry: registries.Registry) -> Iterator[proxies.Proxy]:
    """A proxy before the registry that fails on demand."""
    with proxies.before(registry.host) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: proxies.Proxy, repository: ImageReference) -> ImageReference:
    """The repository, reached through the proxy."""
    return ImageReference(proxy.host, repository.path)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    """An empty image layout."""
    return LayoutStore(tmp_path / "layout")
