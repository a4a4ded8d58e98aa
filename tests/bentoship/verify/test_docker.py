"""Pulling an image into an engine of the test's own, to run it there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.errors import EngineError
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from bentoship.verify.docker import DockerRunner
from bentoship.verify.runner import RemoteImage
from tests.support import dockerd
from tests.support.images import put_image
from tests.support.proxy import Fault, Proxy


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
