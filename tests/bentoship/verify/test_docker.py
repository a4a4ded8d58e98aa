"""Pulling an image into an engine of the test's own, to run it there."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bentoship.errors import EngineError
from bentoship.image.descriptor import MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from bentoship.verify.docker import DockerRunner
from bentoship.verify.runner import RemoteImage
from tests.support import dockerd
from tests.support.images import put_image
from tests.support.proxy import Fault, Proxy
from tests.support.threads import in_a_thread


def test_why_it_cannot_be_pulled_is_told(
    proxy: Proxy, through: ImageReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the engine's words, also when it had begun already; nothing of it is there afterwards."""
    store = RegistryStore(through, push=True)
    root = put_image(store)
    image = RemoteImage(through.with_digest(root.digest), root, store, True, None, tmp_path)
    proxy.faults.append(Fault("GET", "/blobs/", times=100, status=404))
    with dockerd.running() as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        with pytest.raises(EngineError, match=r"Pull .*: .*(unknown|not found)"), DockerRunner().run(image):
            pass
        assert daemon.engine.client.images.list(all=True) == []


def test_an_engine_that_fails_before_it_pulls_is_told(
    repository: ImageReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its words, as in all that comes after."""

    class Failing(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            knows = self.path == "/version"
            self.send_response(200 if knows else 500)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"ApiVersion": "1.44"} if knows else {"message": "no database"}).encode())

    root = Descriptor.of(MANIFEST, b"{}")
    image = RemoteImage(repository.with_digest(root.digest), root, RegistryStore(repository), True, None, tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server, in_a_thread(server):
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        with pytest.raises(EngineError, match=r"Look for .*: no database"), DockerRunner().run(image):
            pass
