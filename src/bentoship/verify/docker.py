"""Running an image in a container of Docker's engine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from bentoship.docker.connection import Engine, auth_config, check_events, connect
from bentoship.errors import EngineError
from bentoship.system.network import is_loopback
from bentoship.system.values import dataclass
from bentoship.verify.runner import PORT, STOP_TIMEOUT, Memory, RemoteImage


class DockerRunner:
    """A runner that uses the engine of Docker's settings, if that is on this machine."""

    name = "Docker"

    def obstacle(self) -> str | None:
        """Return why the engine cannot be used; None when it can."""
        try:
            host = connect().endpoint.host
        except EngineError as error:
            return f"Docker: {error.why}"
        # Its loopback is not ours: neither its ports nor our local registry would be reachable there.
        address = urlsplit(host)
        if address.scheme in ("tcp", "http", "https", "ssh") and not is_loopback(address.netloc.rpartition("@")[2]):
            return f"Docker: its engine is on another machine, {host}"
        return None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[DockerContainer]:
        """Pull and start an image; the engine keeps it afterwards only if it had it before. Raises EngineError."""
        engine = connect()
        reference = str(image.reference)
        with engine.doing(f"Look for {reference}"):
            known = bool(engine.identity(reference))
        name = f"bentoship-verify-{secrets.token_hex(6)}"
        try:
            _pull(engine, image)
            with engine.doing(f"Start {reference}"):
                container = engine.client.containers.create(
                    reference,
                    name=name,
                    environment={**image.variables, "PORT": str(PORT)},
                    ports={f"{PORT}/tcp": ("127.0.0.1", None)},
                )
                container.start()
                container.reload()
                [published] = container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
            yield DockerContainer(engine, container, f"http://127.0.0.1:{published['HostPort']}")
        finally:
            _remove(engine, name, "" if known else reference)


@dataclass(frozen=True)
class DockerContainer:
    """A container of an engine; a Running.

    Args:
        engine: the engine that runs it.
        container: the SDK's container object.
        address: the URL at which it listens.
        caution: nothing.
    """

    engine: Engine
    container: Any
    address: str
    caution: str = ""

    def ended(self) -> bool:
        """Return whether it has ended."""
        return not self._state()["Running"]

    def log(self) -> str:
        """Return its output so far."""
        with self.engine.doing("Read the container's log"):
            return bytes(self.container.logs()).decode("utf-8", "replace")

    def memory(self) -> Memory | None:
        """Return the current memory of its processes, without the page cache; None without control groups."""
        with self.engine.doing("Read the container's memory"):
            stats = self.container.stats(stream=False).get("memory_stats", {}).get("stats", {})
        resident = stats.get("anon", stats.get("rss"))  # version 2 and 1 of control groups
        return Memory(int(resident), "resident") if resident else None

    def stop(self) -> int:
        """Stop it. Returns: its exit code."""
        with self.engine.doing("Stop the container"):
            self.container.stop(timeout=STOP_TIMEOUT)
        return int(self._state()["ExitCode"])

    def _state(self) -> dict[str, Any]:
        with self.engine.doing("Read the container's state"):
            self.container.reload()
        return dict(self.container.attrs["State"])


def _pull(engine: Engine, image: RemoteImage) -> None:
    """Pull by digest. Raises EngineError for errors in the engine's events, which the SDK's own `pull` ignores."""
    doing, reference = f"Pull {image.reference}", image.reference
    with engine.doing(doing), engine.reaching(reference.host):
        events = engine.client.api.pull(
            reference.repository,
            str(reference.digest),
            stream=True,
            decode=True,
            auth_config=auth_config(image.credentials, reference.host),
        )
        check_events(doing, events)


def _remove(engine: Engine, name: str, reference: str) -> None:
    """Remove a container and, unless `reference` is empty, an image, if they exist."""
    with suppress(EngineError), engine.doing(f"Remove the container {name}"):
        engine.client.api.remove_container(name, force=True, v=True)
    if reference:
        with suppress(EngineError), engine.doing(f"Remove {reference}"):
            engine.client.images.remove(reference)
