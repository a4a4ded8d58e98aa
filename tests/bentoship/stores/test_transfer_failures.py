"""Transfers through what fails: what is tried again, what is told, and that nothing goes on behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import Reader
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.stores.transfer import Options, copy
from bentoship.system import retry
from tests.support.images import put_image
from tests.support.proxy import Fault, Proxy
from tests.support.transfers import Told, parts


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are not what these tests look at."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)


def no_copy_runs() -> bool:
    """Whether no thread of a copy is left, or none soon."""

    def left() -> bool:
        return any(thread.name.endswith("(worker)") for thread in threading.enumerate())

    deadline = time.monotonic() + 3
    while left() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left()


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("PUT", "/uploads/", cut_sent=100_000)],
        [Fault("POST", status=503, times=2), Fault("PUT", status=500)],
        [Fault("HEAD", status=429, headers={"Retry-After": "0"}, times=2)],
        [Fault("GET", "/v2/$", cut_sent=0)],
        [Fault("PUT", "/manifests/", status=502), Fault("HEAD", "/manifests/v1", status=504)],
        [Fault("PUT", "/manifests/", status=400, body=b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}')],
        [Fault("PUT", "/uploads/", status=404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')],
    ],
    ids=[
        "a cut in a blob",
        "server errors",
        "too many requests",
        "a cut at the login",
        "errors at the end",
        "a blob that is not seen yet",
        "an upload that was lost",
    ],
)
def test_what_passes_is_tried_again(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy, faults: list[Fault]
) -> None:
    """Whatever fails for a while, the image arrives, and the progress ends where it should."""
    image = put_image(layout, sizes=(2_000_000, 1_000_000))
    proxy.faults += faults
    told = Told()
    copy(layout, shaky, image, tags=["v1"], progress=told)
    assert all(fault.times == 0 for fault in faults)
    assert shaky.resolve("v1") == image
    assert told.bytes == {part: part.size for part in told.missing}


def test_progress_goes_back_when_a_blob_begins_anew(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """By what the failed attempt had counted."""
    image = put_image(layout, sizes=(8_000_000,))
    proxy.faults.append(Fault("PUT", "/uploads/", cut_sent=4_000_000))
    told = Told()
    copy(layout, shaky, image, progress=told)
    assert min(told.steps) <= 0
    assert sum(step for step in told.steps if step > 0) >= sum(part.size for part in told.missing)
    assert told.bytes == {part: part.size for part in told.missing}


def test_an_answer_that_was_lost_is_not_paid_for_twice(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """The blob had arrived: the next attempt sees that, and the progress is whole."""
    image = put_image(layout, sizes=(1_000_000,))
    layer = max(parts(layout, image), key=lambda part: part.size)
    proxy.faults.append(Fault("PUT", layer.hex, lost=True))
    told = Told()
    copy(layout, shaky, image, options=Options(jobs=1), progress=told)
    assert told.bytes == {part: part.size for part in told.missing}
    assert proxy.count("PUT", layer.hex) == 1


def test_a_blob_that_is_damaged_on_its_way_is_sent_again(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """The registry refuses it for its digest; what was sent is whole here."""
    image = put_image(layout, sizes=(1_000_000,))
    layer = max(parts(layout, image), key=lambda part: part.size)
    proxy.faults.append(Fault("PUT", layer.hex, damage=True))
    copy(layout, shaky, image, tags=["v1"])
    assert proxy.count("PUT", layer.hex) == 2
    assert shaky.resolve("v1") == image


def test_a_blob_that_is_always_damaged_is_given_up_soon(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """A registry that finds each upload damaged will not change its mind."""
    proxy.faults.append(Fault("PUT", "/uploads/", times=99, damage=True))
    with pytest.raises(RegistryError, match="DIGEST_INVALID"):
        copy(layout, shaky, put_image(layout, sizes=(1_000_000,)), options=Options(jobs=1))
    assert proxy.count("PUT") == 4


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/blobs/", cut_received=600_000),
        Fault("GET", "/blobs/", status=200, body=b"x" * 9_000_000),
        Fault("GET", "/manifests/", cut_received=10),
        Fault("GET", "/manifests/", status=200, body=b"{}"),
        Fault("GET", "/blobs/", cut_head=20),
        Fault("GET", "/blobs/", reset=True),
    ],
    ids=["a blob cut", "a blob damaged", "a manifest cut", "a manifest damaged", "a head cut", "a reset"],
)
def test_a_pull_goes_on(
    layout: LayoutStore, target: RegistryStore, shaky: RegistryStore, proxy: Proxy, fault: Fault
) -> None:
    """Whatever breaks once on its way here, it arrives whole, and a cut does not cost what had arrived."""
    image = put_image(target, sizes=(8_000_000, 1_000_000))
    proxy.faults.append(fault)
    copy(shaky, layout, image, tags=["v1"])
    assert layout.resolve("v1") == image
    assert fault.times == 0
    assert {part for part in parts(layout, image) if not layout.exists(part)} == set()
    assert proxy.moved < 9_200_000 + len(fault.body)


def test_a_server_without_ranges_sends_all_again(
    layout: LayoutStore, target: RegistryStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """What had arrived is passed over."""
    image = put_image(target, sizes=(8_000_000,))
    layer = max(parts(target, image), key=lambda part: part.size)
    with target.open(layer) as stream:
        content = b"".join(iter(lambda: stream.read(1 << 20), b""))
    proxy.faults += [Fault("GET", layer.hex, cut_received=5_000_000), Fault("GET", layer.hex, status=200, body=content)]
    copy(shaky, layout, image)
    assert layout.exists(layer)
    assert any("Range" in request.headers for request in proxy.requests)


def test_what_does_not_pass_is_not_tried_again(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """A refusal is final."""
    image = put_image(layout)
    proxy.faults.append(Fault("POST", status=403, times=100))
    with pytest.raises(RegistryError) as caught:
        copy(layout, shaky, image, options=Options(jobs=1))
    assert caught.value.status == 403
    assert proxy.count("POST") == 1


def test_patience_ends(layout: LayoutStore, through: ImageReference, proxy: Proxy) -> None:
    """When nothing has moved for so long, with the last error, after attempts with growing pauses between them."""
    image = put_image(layout)
    proxy.faults.append(Fault("POST", status=503, times=100))
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        copy(layout, RegistryStore(through, push=True, session=Session(patience=0.5)), image, options=Options(jobs=1))
    assert caught.value.status == 503
    assert 0.5 <= time.monotonic() - began < 10
    assert 4 <= proxy.count("POST") <= 10


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """The user hears of it at once."""
    proxy.faults.append(Fault("POST", status=429, headers={"Retry-After": "3600"}, times=100))
    with pytest.raises(RegistryError, match="429"):
        copy(layout, shaky, put_image(layout), options=Options(jobs=1))
    assert proxy.count("POST") == 1


def test_no_tag_moves_when_anything_is_missing(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """The tag stands for the old image until all of the new one is there."""
    old, new = put_image(layout, seed=1), put_image(layout, seed=2)
    copy(layout, shaky, old, tags=["latest"])
    proxy.faults.append(Fault("PUT", "/uploads/", status=400))
    with pytest.raises(RegistryError):
        copy(layout, shaky, new, tags=["latest"])
    assert shaky.resolve("latest") == old
    assert not shaky.exists(new)


def test_a_tag_that_somebody_else_moves_is_told(layout: LayoutStore, tmp_path: Path) -> None:
    """What a tag stands for is read back."""
    other = put_image(layout, seed=2)

    class Contested(LayoutStore):
        def tag(self, descriptor: Descriptor, tag: str) -> None:
            super().tag(descriptor, tag)
            copy(layout, LayoutStore(self.folder), other, tags=[tag])

    with pytest.raises(StoreError, match=other.digest):
        copy(layout, Contested(tmp_path / "contested"), put_image(layout), tags=["v1"])


def test_a_damaged_source_is_told_and_not_tried_again(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """The error names the blob, and the registry gets nothing that it would take for whole."""
    image = put_image(layout, sizes=(2_000_000,))
    layer = max(parts(layout, image), key=lambda part: part.size)
    content = bytearray(layout.path(layer).read_bytes())
    content[-1] ^= 1
    layout.path(layer).write_bytes(content)
    with pytest.raises(StoreError, match=layer.digest):
        copy(layout, shaky, image)
    assert not shaky.exists(layer)
    assert proxy.count("PUT", layer.hex) <= 1


def test_a_failure_ends_what_others_are_doing(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """One blob is refused while another waits for an answer that does not come: it ends at once, threads and all."""
    image = put_image(layout, sizes=(500_000, 400_000))
    small = min(parts(layout, image), key=lambda part: part.size)
    proxy.faults += [Fault("PUT", small.hex, status=403, after_stalls=2), Fault("PUT", times=2, stall=True)]
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        copy(layout, shaky, image)
    assert caught.value.status == 403
    assert no_copy_runs()
    assert time.monotonic() - began < 20


def test_a_failure_ends_reading_that_goes_on(layout: LayoutStore, tmp_path: Path) -> None:
    """One blob is damaged while another comes in slowly: nobody reads it to its end."""
    image = put_image(layout, sizes=(3_000_000, 10))
    config, large, _ = parts(layout, image)
    begun = threading.Event()

    class Slow(LayoutStore):
        @contextmanager
        def open(self, descriptor: Descriptor) -> Iterator[Reader]:
            with super().open(descriptor) as content:
                if descriptor == config:
                    assert begun.wait(30)
                    raise StoreError("Read", "it is damaged")
                yield Drop(content) if descriptor == large else content

    class Drop:
        """A stream of single bytes."""

        def __init__(self, content: Reader) -> None:
            self._content = content

        def read(self, size: int = -1, /) -> bytes:
            begun.set()
            time.sleep(0.001)
            return self._content.read(1)

    with pytest.raises(StoreError, match="it is damaged"):
        copy(Slow(layout.folder), LayoutStore(tmp_path / "other"), image)
    assert no_copy_runs()


def test_ctrl_c_ends_a_copy_while_it_sends(
    layout: LayoutStore, through: ImageReference, proxy: Proxy, tmp_path: Path
) -> None:
    """The process ends soon, though the registry takes nothing any more, and nothing is tagged."""
    image = put_image(layout, sizes=(20_000_000, 10_000_000))
    proxy.faults.append(Fault("PUT", times=100, stall=True))
    script = """
import sys
from pathlib import Path
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.transfer import copy
layout, repository = LayoutStore(Path(sys.argv[1])), ImageReference.parse(sys.argv[2])
try:
    copy(layout, RegistryStore(repository, push=True), layout.resolve(sys.argv[3]), tags=["v1"])
except KeyboardInterrupt:
    sys.exit(130)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(layout.folder), str(through), image.digest]
    with subprocess.Popen(command, env=env) as child:
        deadline = time.monotonic() + 30
        while proxy.count("PUT") < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert proxy.count("PUT") == 3
        began = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert time.monotonic() - began < 10
