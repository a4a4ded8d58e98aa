"""A small run of what `python -m tests.chaos` does for minutes, and a registry that is away for a while."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.stores.transfer import copy
from tests.chaos import networks
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.images import put_image
from tests.support.proxy import Fault


def test_pushes_through_a_bad_network_succeed(tmp_path: Path) -> None:
    """A fifth of all requests is spoiled in some way, and every push arrives."""
    with registries.running(tmp_path / "registry") as registry, networks.time_scaled(0.02) as patience:
        network = networks.Network(registry.host, 0.2, time.monotonic_ns() % 1000, patience)
        outcome = networks.pushes(network, tmp_path / "image", count=3, sizes=(200_000, 100_000, 10_000))
    assert outcome.failures == []
    assert outcome.succeeded == outcome.tried == 3


@pytest.mark.parametrize("moment", ["before", "in the middle"])
def test_a_registry_that_is_away_for_a_while_is_waited_for(tmp_path: Path, moment: str) -> None:
    """Its port refuses connections, and those that there were are reset; then the push goes on."""
    layout = LayoutStore(tmp_path / "image")
    image = put_image(layout, sizes=(3_000_000, 2_000_000, 1_000_000, 500_000, 10_000))
    with registries.running(tmp_path / "registry") as registry:
        with proxies.before(registry.host) as first:
            repository = ImageReference(first.host, "chaos/away")
            store = RegistryStore(repository, push=True, session=Session(patience=30.0))
            if moment == "in the middle":
                store.reach()
            first.rate = 2_000_000
            pushing = threading.Thread(target=lambda: copy(layout, store, image, tags=["v1"]), daemon=True)
            if moment == "in the middle":
                pushing.start()
                deadline = time.monotonic() + 20
                while first.moved < 1_000_000 and time.monotonic() < deadline:
                    time.sleep(0.01)
            first.chance = lambda _: Fault(reset=True)
        if moment == "before":
            pushing.start()
        time.sleep(1.5)
        assert pushing.is_alive()
        with proxies.before(registry.host, port=int(first.host.rpartition(":")[2])):
            pushing.join(60)
            assert not pushing.is_alive()
            assert store.resolve("v1") == image
