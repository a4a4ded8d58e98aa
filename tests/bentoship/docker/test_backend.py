"""Pushing by an engine: accounts, refusals, and an engine that dies. Each engine is the test's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from bentoship.backend import Built
from bentoship.commands.terminal import sent
from bentoship.docker.backend import DockerBackend
from bentoship.docker.build import BuildOptions
from bentoship.docker.connection import Endpoint, Engine, connect
from bentoship.errors import EngineError, RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Published
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from bentoship.verify.docker import DockerRunner
from tests.support import dockerd
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.engines import podman_service, require
from tests.support.images import put_image
from tests.support.proxy import Fault
from tests.support.registry import PASSWORD, USER, needs_openssl

ALICE = Credentials(USER, PASSWORD)


@dataclass
class Watched:
    """Progress that is remembered, and may do something when it begins."""

    total: int = 0
    done: int = 0
    at_once: list[int] = field(default_factory=list)

    def begin(self, missing: Sequence[Descriptor]) -> None:
        self.total += sum(descriptor.size for descriptor in missing)
        for process in self.at_once:
            os.kill(process, signal.SIGKILL)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        self.done += count


@pytest.fixture(scope="module")
def daemon() -> Iterator[dockerd.Daemon]:
    """An engine of these tests' own."""
    with dockerd.running() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registries.Registry]:
    """A registry that asks for USER and PASSWORD."""
    with registries.running(tmp_path_factory.mktemp("guarded"), password=True) as registry:
        yield registry


def backend(engine: Engine, account: Credentials | None, folder: Path) -> DockerBackend:
    """A backend that pushes as an account."""
    return DockerBackend(
        lambda: engine,
        lambda bento: f"{bento.name}:latest",
        BuildOptions(folder, "linux/amd64", folder, folder),
        registry=lambda target: RegistryStore(target, ALICE),
        credentials=lambda: account,
    )


def test_tags_and_layers_get_to_the_registry(
    daemon: dockerd.Daemon, guarded: registries.Registry, tmp_path: Path
) -> None:
    """As the account that is known; the second tag and the second push send nothing; the digest is the registry's."""
    identity = dockerd.small_image(daemon.engine, "sent", os.urandom(1_000_000))
    references = [ImageReference(guarded.host, "tests/sent", tag) for tag in ("latest", "one")]
    pusher, image, watched = backend(daemon.engine, ALICE, tmp_path), Built(identity, ()), Watched()
    pusher.tag(image, references)
    pushed = pusher.push(image, references, watched)
    store = RegistryStore(references[0], ALICE)
    assert pushed.digest == store.resolve("latest").digest == store.resolve("one").digest
    assert [layer.outcome for layer in pushed.layers] == ["sent"]
    assert (pushed.sent > 1_000_000, pushed.there) == (True, 0)
    assert watched.done == watched.total >= 1_000_000
    again = pusher.push(image, references, Watched())
    assert (again.digest, again.sent, again.there) == (pushed.digest, 0, pushed.sent)


@pytest.mark.parametrize(
    ("account", "hint"),
    [
        (None, "docker login 127"),
        (Credentials(USER, "wrong"), "docker login 127"),
        (Credentials(USER, "wrong", login="Ask Bob."), "Ask Bob."),
    ],
    ids=["nobody", "a wrong password", "who logs in otherwise"],
)
def test_a_push_that_is_denied_is_told(
    daemon: dockerd.Daemon, guarded: registries.Registry, tmp_path: Path, account: Credentials | None, hint: str
) -> None:
    """In the registry's words, as the engine hands them on, and with what to do."""
    identity = dockerd.small_image(daemon.engine, "denied", b"denied")
    reference = ImageReference(guarded.host, "tests/denied", "latest")
    pusher, image = backend(daemon.engine, account, tmp_path), Built(identity, ())
    pusher.tag(image, [reference])
    with pytest.raises(RegistryError) as caught:
        pusher.push(image, [reference], Watched())
    assert "basic auth" in caught.value.why or "unauthorized" in caught.value.why
    assert hint in caught.value.hint
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "why", "hint"),
    [
        (500, b"", "500 Internal Server Error", "reported an internal error"),
        (
            403,
            b'{"errors":[{"code":"DENIED","message":"the quota is used up"}]}',
            "the quota is used up",
            "docker login",
        ),
    ],
)
def test_a_registry_that_refuses_in_the_end_is_told(
    daemon: dockerd.Daemon, registry: registries.Registry, tmp_path: Path, status: int, body: bytes, why: str, hint: str
) -> None:
    """In its own words, as far as the engine hands them on, and no tag has moved."""
    store = RegistryStore(ImageReference(registry.host, f"tests/refused-{status}"), push=True)
    before = put_image(store)
    store.tag(before, "latest")
    with proxies.before(registry.host) as proxy:
        reference = ImageReference(proxy.host, f"tests/refused-{status}", "latest")
        identity = dockerd.small_image(daemon.engine, f"refused-{status}", os.urandom(1000))
        pusher, image = backend(daemon.engine, None, tmp_path), Built(identity, ())
        pusher.tag(image, [reference])
        answer = {"Content-Type": "application/json"}
        proxy.faults.append(Fault("PUT", "/manifests/", times=10, status=status, headers=answer, body=body))
        with pytest.raises(RegistryError) as caught:
            pusher.push(image, [reference], Watched())
    assert why in caught.value.why
    assert hint in caught.value.hint
    assert proxy.count("PATCH", "/blobs/uploads/") > 0
    assert store.resolve("latest") == before


def test_a_registry_that_the_engine_cannot_reach_is_told(daemon: dockerd.Daemon, tmp_path: Path) -> None:
    """It is the engine that pushes."""
    identity = dockerd.small_image(daemon.engine, "unreachable", b"unreachable")
    reference = ImageReference("127.0.0.1:1", "tests/unreachable", "latest")
    pusher, image = backend(daemon.engine, None, tmp_path), Built(identity, ())
    pusher.tag(image, [reference])
    with pytest.raises(RegistryError, match=r"The engine itself has to reach 127\.0\.0\.1:1"):
        pusher.push(image, [reference], Watched())


def test_podman_pushes_to_a_registry_without_tls(registry: registries.Registry, tmp_path: Path) -> None:
    """To one on loopback it speaks HTTP when it is in the place of Docker's engine, which does so by itself."""
    require("podman")
    with podman_service() as engine:
        assert engine.is_podman
        identity = dockerd.small_image(engine, "by-podman", os.urandom(1000))
        reference = ImageReference(registry.host, "tests/by-podman", "latest")
        pusher, image = backend(engine, None, tmp_path), Built(identity, ())
        pusher.tag(image, [reference])
        pushed = pusher.push(image, [reference], Watched())
    assert pushed.digest == RegistryStore(reference).resolve("latest").digest
    assert sent(Published(pushed, (reference,))).endswith("the engine does not report how much of it was sent")


def test_an_image_that_lost_its_last_name_is_removed(daemon: dockerd.Daemon, tmp_path: Path) -> None:
    """Once the tag stands for another one; one that has a further name stays."""
    reference = ImageReference("127.0.0.1:1", "tests/moving", "latest")
    engine, images = daemon.engine, daemon.engine.client.images
    pusher = backend(engine, None, tmp_path)
    first, second, third = (dockerd.small_image(engine, f"moving-{number}", os.urandom(10)) for number in range(3))
    pusher.tag(Built(first, ()), [reference])
    images.remove("moving-0:latest")
    pusher.tag(Built(second, ()), [reference])
    assert not engine.identity(first)
    pusher.tag(Built(third, ()), [reference])
    assert engine.identity("moving-1:latest") == second
    assert engine.identity(str(reference)) == third


def test_an_engine_that_dies_is_told(guarded: registries.Registry, tmp_path: Path) -> None:
    """Killed in the middle of a push it is an error of one line and a hint, and no tag has moved."""
    with dockerd.running() as dying:
        identity = dockerd.small_image(dying.engine, "dying", os.urandom(60_000_000))
        reference = ImageReference(guarded.host, "tests/dying", "latest")
        pusher, image = backend(dying.engine, ALICE, tmp_path), Built(identity, ())
        pusher.tag(image, [reference])
        with pytest.raises(EngineError, match=r"closed the connection|stopped during the push"):
            pusher.push(image, [reference], Watched(at_once=[dying.process.pid]))
        with pytest.raises(EngineError, match=r"nothing listens|closed the connection"):
            pusher.tag(image, [reference])
    with pytest.raises(RegistryError, match="latest"):
        RegistryStore(reference, ALICE).resolve("latest")


def test_no_permission_for_the_socket_is_told(daemon: dockerd.Daemon) -> None:
    """With the group that has it."""
    child = os.fork()
    if child == 0:  # a user of no group, whom nothing of this process may follow
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.environ["DOCKER_HOST"] = daemon.host
            connect()
        except EngineError as error:
            code = 0 if "no permission" in error.why and "usermod -aG docker" in error.hint else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_openssl
def test_an_engine_behind_tls_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, as Docker's command reaches it; not without them.

    Only at a loopback address it is this machine's, where verify finds the ports of its containers.
    """
    registries.make_certificate(tmp_path)
    for name in ("ca", "cert"):
        (tmp_path / f"{name}.pem").write_bytes((tmp_path / "certificate.pem").read_bytes())
    files = ("--tlscacert", "ca.pem"), ("--tlscert", "cert.pem"), ("--tlskey", "key.pem")
    tls = [part for option, file in files for part in (option, str(tmp_path / file))]
    with dockerd.free_port() as port:
        options = ["--tlsverify", *tls, "--host", f"tcp://127.0.0.1:{port}"]
    with dockerd.running(*options):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        with pytest.raises(EngineError):
            connect()
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        assert connect().platform.startswith("linux/")
        assert DockerRunner().obstacle() is None
        monkeypatch.setenv("DOCKER_HOST", f"tcp://0.0.0.0:{port}")
        assert "another machine" in (DockerRunner().obstacle() or "")


def test_a_disk_that_is_full_is_told() -> None:
    """The engine's own disk is another matter than this machine's caches."""
    engine = Engine(docker.DockerClient(base_url="unix:///nowhere", version="1.41"), Endpoint("unix:///nowhere"))
    refusal = docker.errors.APIError("500", explanation="write /layer: no space left on device")
    with pytest.raises(EngineError, match="no space left") as caught, engine.doing("Load it"):
        raise refusal
    assert "docker system prune" in caught.value.hint
