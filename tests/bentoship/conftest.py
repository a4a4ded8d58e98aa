"""What many tests need: a registry with a repository of one's own, and a small base."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bentoship.bases import Base
from bentoship.bases.debian import DebianSource
from bentoship.debian.apt import Apt
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from tests.support import proxy as proxies
from tests.support import referrers_registry
from tests.support import registry as registries
from tests.support.cache import kept, of_run, with_packages
from tests.support.synthetic import synthetic_base

if TYPE_CHECKING:
    from tests.support.sigstore_parts.services import Sigstore


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
    """The registry, reached directly; it fails for a moment when it is read and written at once."""
    return RegistryStore(repository, push=True, session=Session(patience=30.0))


@pytest.fixture
def shaky(through: ImageReference) -> RegistryStore:
    """The registry, reached through the proxy that fails on demand, with patience for what fails for a while."""
    return RegistryStore(through, push=True, session=Session(patience=30.0))


@pytest.fixture(params=["fallback", "api"])
def place(request: pytest.FixtureRequest, repository: ImageReference, tmp_path: Path) -> Iterator[RegistryStore]:
    """A repository in each kind of registry: without the referrers API, and with it."""
    if request.param == "fallback":
        yield RegistryStore(repository, push=True)
        return
    with referrers_registry.running(tmp_path / "registry") as registry:
        yield RegistryStore(ImageReference(registry.host, "echo"), push=True)


@pytest.fixture
def layout(tmp_path: Path) -> LayoutStore:
    """An empty image layout."""
    return LayoutStore(tmp_path / "layout")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder, one for each process that runs tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def base(cache: Path) -> Base:
    """A small base for amd64, made without apt and without network; its layers lie in the cache folder."""
    return synthetic_base(cache / "bases", LayerCache(cache / "layers"))


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Base:
    """A whole system, made of Debian's packages once in a run of the tests: its programs run here."""
    cache = with_packages(of_run(tmp_path_factory, worker_id))
    python = {package.name: package.version for package in Apt(kept() / "apt").resolve(["python3"])}["python3"]
    return DebianSource(cache, ".".join(python.split(".")[:2]), LayerCache(cache / "layers")).make("linux/amd64")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key."""
    from cryptography.hazmat.primitives.asymmetric import ec  # not where the ranges are tested
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file = tmp_path / "signing.key"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(pem)
    return file


@pytest.fixture
def services(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sigstore]:
    """Stand-ins for Sigstore's services, and a token that they accept."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "GOOGLE_SERVICE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    from tests.support.sigstore_parts.services import sigstore  # its packages are not where the ranges are tested

    with sigstore(tmp_path_factory.mktemp("sigstore")) as found:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", found.authority.token())
        yield found
