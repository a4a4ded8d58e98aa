"""An engine whose images are in containerd's store: it knows them by their manifests, and speaks in other words."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.backend import Built
from bentoship.docker.backend import DockerBackend
from bentoship.docker.build import BuildOptions
from bentoship.errors import RegistryError
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support import dockerd, newer_dockerd
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.cache import needs_apt, of_run
from tests.support.engines import Engine, require
from tests.support.proxy import Fault
from tests.support.published import Published
from tests.support.site import Site, echo_site, shared_cache

pytestmark = [needs_apt, pytest.mark.slow]


class _Silent:
    def begin(self, missing: object) -> None: ...

    def advance(self, descriptor: object, count: int) -> None: ...


@pytest.fixture(scope="module")
def daemon() -> Iterator[dockerd.Daemon]:
    """An engine with containerd's store."""
    require("docker")
    with newer_dockerd.running() as daemon:
        assert daemon.engine.has_containerd_store
        yield daemon


@pytest.fixture(scope="module")
def engine(daemon: dockerd.Daemon) -> Engine:
    """The same, driven by Docker's command."""
    return Engine(("docker",), {**os.environ, "DOCKER_HOST": daemon.host})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registries.Registry]:
    """A registry that asks for no account."""
    with registries.running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def site(
    daemon: dockerd.Daemon,
    registry: registries.Registry,
    tmp_path_factory: pytest.TempPathFactory,
    worker_id: str,
) -> Site:
    """The echoing service, to be loaded into the engine."""
    cache = shared_cache(tmp_path_factory.mktemp("caches"), of_run(tmp_path_factory, worker_id))
    settings = {"DOCKER_HOST": daemon.host, "REGISTRY": f"{registry.host}/tests", "IMAGE_NAME": "echo"}
    return echo_site(tmp_path_factory.mktemp("loaded"), cache, **settings)


@pytest.fixture(scope="module")
def loaded(site: Site) -> str:
    """What `containerize --load push` has printed."""
    done = site.invoke("containerize", "--load", "push")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_loaded_is_what_is_pushed(engine: Engine, site: Site, loaded: str) -> None:
    """The engine calls it by the digest that the registry has, and is not sent it again."""
    assert json.loads(engine("inspect", "echo:latest"))[0]["Id"] == loaded.partition("@")[2]
    assert "is already in Docker's engine" in site.invoke("containerize", "--load").stderr


def test_the_commands_that_people_type_work(engine: Engine, loaded: str) -> None:
    """`docker run`, `docker tag` and `docker push`; the same image by hand has the same digest."""
    with engine.running("echo:latest") as container:
        assert container.client.post("/echo", json={"text": "hello"}).text == "hello"
        assert container.stop() == 0
    repository, _, digest = loaded.partition("@")
    engine("tag", "echo:latest", f"{repository}:by-hand")
    assert f"by-hand: digest: {digest}" in engine("push", f"{repository}:by-hand")
    engine("rmi", f"{repository}:by-hand")


@pytest.mark.usefixtures("loaded")
def test_a_change_leaves_no_image_without_a_name(engine: Engine, site: Site, tmp_path: Path) -> None:
    """The name goes from one image to the other, and back."""
    changed = Site(tmp_path / "project", site.home, site.cache, site.settings)
    shutil.copytree(site.folder, changed.folder)
    (changed.folder / "service.py").open("a").write("\n# changed\n")
    for one in (changed, site):
        done = one.invoke("containerize", "--load")
        assert re.search(r"^load +echo:latest is in Docker's engine at ", done.stderr, re.MULTILINE), done.stderr
        assert not engine("images", "--quiet", "--filter", "dangling=true")


def pusher(daemon: dockerd.Daemon, folder: Path) -> DockerBackend:
    """What pushes by the engine."""
    place = BuildOptions(folder, "linux/amd64", folder, folder)
    engine = daemon.engine
    return DockerBackend(lambda: engine, lambda bento: bento.name, place, RegistryStore, lambda: None)


def test_the_engine_pushes(daemon: dockerd.Daemon, registry: registries.Registry, tmp_path: Path) -> None:
    """As BACKEND=docker has it push: what was sent is told, and the digest is the registry's."""
    image = Built(dockerd.small_image(daemon.engine, "small", os.urandom(100_000)), ())
    references = [ImageReference(registry.host, "tests/small", tag) for tag in ("latest", "one")]
    backend = pusher(daemon, tmp_path)
    backend.tag(image, references)
    pushed = backend.push(image, references, _Silent())
    assert pushed.digest == image.digest == RegistryStore(references[0]).resolve("one").digest
    assert [layer.outcome for layer in pushed.layers] == ["sent"]
    again = backend.push(image, references, _Silent())
    assert (again.sent, again.there) == (0, pushed.sent)


def test_a_registry_that_fails_is_told(daemon: dockerd.Daemon, registry: registries.Registry, tmp_path: Path) -> None:
    """In what this engine makes of the answer."""
    with proxies.before(registry.host) as proxy:
        image = Built(dockerd.small_image(daemon.engine, "failing", os.urandom(1000)), ())
        reference = ImageReference(proxy.host, "tests/failing", "latest")
        proxy.faults.append(Fault("PUT", "/manifests/", times=10, status=500))
        backend = pusher(daemon, tmp_path)
        backend.tag(image, [reference])
        with pytest.raises(RegistryError, match=r"(?s)500 Internal Server Error.*try again later"):
            backend.push(image, [reference], _Silent())


@pytest.mark.usefixtures("verifying")
def test_verify_leaves_nothing(daemon: dockerd.Daemon, engine: Engine, published: Published) -> None:
    """It pulls, runs, asks and removes, as on any engine."""
    before = set(engine("images", "--all", "--quiet").split())
    with published.start("verify", DOCKER_HOST=daemon.host) as running:
        _, told = running.communicate(timeout=300)
    assert running.returncode == 0, told
    assert f"{published.digest} works in Docker" in told
    assert set(engine("images", "--all", "--quiet").split()) == before
    assert not engine("ps", "--all", "--quiet")
