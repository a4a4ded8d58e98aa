"""Time limits: each for what it is named after, and none for what moves slowly."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from bentoship.errors import RegistryError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import failures, http
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.transfer import copy
from bentoship.system.network import Network
from tests.support.images import noise, put, put_image
from tests.support.proxy import Fault, Proxy
from tests.support.registry import refused
from tests.support.transfers import parts

LIMITS = ("CONNECT_TIMEOUT", "SEND_TIMEOUT", "READ_TIMEOUT")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """All limits are 30 seconds; a test makes one short."""

    class Limits(dict[str, float]):
        def __setitem__(self, name: str, seconds: float) -> None:
            monkeypatch.setattr(failures if name == "CONNECT_TIMEOUT" else http, name, seconds)

    limits = Limits()
    for name in LIMITS:
        limits[name] = 30.0
    return limits


@pytest.fixture
def deaf() -> Iterator[str]:
    """A server that takes connections and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def seconds_until(error: str, *, of: str, method: str = "GET", body: bytes | None = None) -> float:
    """How long a request takes to fail with an error."""
    began = time.monotonic()
    with pytest.raises(RegistryError, match=error) as caught:
        http.Http(Network()).request("Ask", method, f"http://{of}/", {}, body)
    assert caught.value.temporary
    return time.monotonic() - began


def test_connecting_has_its_limit(limits: dict[str, float]) -> None:
    """A host that lets nothing through, as a firewall does."""
    limits["CONNECT_TIMEOUT"] = 0.3
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for other in waiting:
            other.setblocking(False)
            other.connect_ex(address)
        assert 0.2 < seconds_until("did not respond within 0.3 s", of=f"127.0.0.1:{address[1]}") < 10
        for other in waiting:
            other.close()


def test_a_response_has_its_limit(limits: dict[str, float], deaf: str) -> None:
    """It is not that of connecting."""
    limits["READ_TIMEOUT"] = 0.3
    assert 0.2 < seconds_until("stopped responding", of=deaf) < 10


def test_sending_has_its_limit(limits: dict[str, float], deaf: str) -> None:
    """For each block: a server that takes nothing any more is noticed."""
    limits["SEND_TIMEOUT"] = 0.3
    assert 0.2 < seconds_until("stopped responding", of=deaf, method="PUT", body=bytes(50_000_000)) < 10


def test_sending_has_its_limit_on_a_connection_that_was_used(
    limits: dict[str, float], through: ImageReference, proxy: Proxy
) -> None:
    """There, the limit is not that of the last request."""
    limits["SEND_TIMEOUT"] = 0.5
    store = RegistryStore(through, push=True)
    assert not store.exists(Descriptor.of(LAYER_TAR, b"content"))
    proxy.faults.append(Fault("PUT", stall=True))
    began = time.monotonic()
    assert "stopped responding" in refused(store, noise(30_000_000, 1)).why
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_slow_response_is_waited_for(
    limits: dict[str, float], through: ImageReference, proxy: Proxy, method: str
) -> None:
    """Longer than connecting and sending may take."""
    limits["CONNECT_TIMEOUT"] = limits["SEND_TIMEOUT"] = 0.2
    proxy.faults.append(Fault(method, delay=0.6))
    store = RegistryStore(through, push=True)
    layer = put(store, LAYER_TAR, b"content")
    assert store.exists(layer)
    assert proxy.faults[0].times == 0


def test_the_response_to_a_large_body_may_take_longer(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], through: ImageReference, proxy: Proxy
) -> None:
    """The registry checks and moves it first."""
    limits["READ_TIMEOUT"] = 0.3
    proxy.faults.append(Fault("PUT", "/uploads/", delay=0.8, times=2))
    store, content = RegistryStore(through, push=True), noise(50_000, 2)
    assert refused(store, content).temporary
    monkeypatch.setattr(http, "STORE_SPEED", 25_000.0)
    put(store, LAYER_TAR, content)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3_000_000,), (1_100_000, 1_000_000, 900_000)], ids=["one blob", "three at once"])
def test_what_moves_slowly_is_not_cut_off(
    limits: dict[str, float], layout: LayoutStore, shaky: RegistryStore, proxy: Proxy, sizes: tuple[int, ...]
) -> None:
    """Sending takes longer than every limit, and each byte is sent once."""
    for name in LIMITS:
        limits[name] = 3.0
    image = put_image(layout, sizes=sizes)
    proxy.rate = 800_000
    began = time.monotonic()
    copy(layout, shaky, image, tags=["v1"])
    assert time.monotonic() - began > 3
    assert proxy.moved <= 1.05 * sum(part.size for part in parts(layout, image))
    assert proxy.count("PUT", "/uploads/") == len(sizes) + 1


def test_a_slow_download_is_not_cut_off(
    limits: dict[str, float], layout: LayoutStore, target: RegistryStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """Nor read again."""
    for name in LIMITS:
        limits[name] = 3.0
    image = put_image(target, sizes=(3_000_000,))
    proxy.rate = 800_000
    copy(shaky, layout, image)
    assert proxy.moved <= 1.05 * sum(part.size for part in parts(layout, image))
