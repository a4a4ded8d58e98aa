"""What many tests need: a registry with a repository of one's own, and a base of Debian's packages."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.bases import Base
from bentoship.bases.debian import debian_base
from bentoship.debian.apt import Apt
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.cache import kept, of_run, with_packages


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
def target(repository: ImageReference) -> RegistryStore:
    """The registry, reached directly."""
    return RegistryStore(repository, push=True)


@pytest.fixture
def shaky(through: ImageReference) -> RegistryStore:
    """The registry, reached through the proxy that fails on demand."""
    return RegistryStore(through, push=True)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    """An empty image layout."""
    return LayoutStore(tmp_path / "layout")


@pytest.fixture(scope="session")
def offered() -> str:
    """The minor version of the Python that Debian's packages have here."""
    versions = {package.name: package.version for package in Apt(kept() / "apt").resolve(["python3"])}
    return ".".join(versions["python3"].split(".")[:2])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A cache folder with the packages that earlier runs have downloaded."""
    folder = of_run(tmp_path_factory, worker_id)
    return with_packages(folder)


@pytest.fixture(scope="session")
def base(cache: Path, offered: str) -> Base:
    """The base for amd64."""
    return debian_base(cache, python=offered, platform="linux/amd64", layers=LayerCache(cache / "layers"))
