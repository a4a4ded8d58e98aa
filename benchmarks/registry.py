"""A registry that tells what it took in, by notifications of its own: counting costs neither side any time."""

from __future__ import annotations

import http.server
import io
import json
import os
import queue
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.graph import children, read_manifest
from bentoship.stores.registry import RegistryStore
from tests.support import registry as registries

_END = "benchmarks/end"
"""The repository that is pushed to, to have the registry tell all that came before: it tells in order."""
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Stored:
    """An image in the registry.

    Args:
        digest: its manifest's.
        size: bytes of its manifest, its configuration and its layers.
        layers: their digests.
    """

    digest: str
    size: int
    layers: frozenset[str]


@dataclass(frozen=True)
class Registry:
    """A registry that runs.

    Args:
        host: "127.0.0.1:PORT".
        data: where it keeps what it holds.
    """

    host: str
    data: Path
    _told: queue.SimpleQueue[Mapping[str, Any]] = field(default_factory=queue.SimpleQueue)

    def taken(self) -> dict[str, int]:
        """The bytes of each blob and manifest that was sent since this was asked last, by digest."""
        content = os.urandom(16)
        end = Descriptor.of(LAYER_TAR, content)
        self._store(_END).write(end, io.BytesIO(content), lambda _: None)
        taken: dict[str, int] = {}
        while True:
            event = self._told.get(timeout=_TIMEOUT)
            target = event["target"]
            if target["digest"] == end.digest:
                return taken
            if event["action"] == "push":
                taken[target["digest"]] = taken.get(target["digest"], 0) + target["size"]

    def image(self, repository: str) -> Stored:
        """The image that a repository has as `latest`."""
        store = self._store(repository)
        root = store.resolve("latest")
        config, *layers = children(read_manifest(store, root))
        size = sum(part.size for part in (root, config, *layers))
        return Stored(root.digest, size, frozenset(layer.digest for layer in layers))

    def forget(self, owner: str) -> None:
        """Have no repository below a name; what is pushed there has to be sent, although the bytes lie there still."""
        shutil.rmtree(self.data / "docker" / "registry" / "v2" / "repositories" / owner, ignore_errors=True)

    def _store(self, repository: str) -> RegistryStore:
        return RegistryStore(ImageReference(self.host, repository), push=True)


@contextmanager
def running(folder: Path) -> Iterator[Registry]:
    """A registry, as long as the block lasts.

    Args:
        folder: an empty one for its files.
    """
    told: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_POST(self) -> None:
            for event in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["events"]:
                told.put(event)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            with registries.running(folder, notify=f"http://127.0.0.1:{server.server_port}/") as registry:
                yield Registry(registry.host, registry.data, told)
        finally:
            server.shutdown()
