"""Copying images between stores, a real registry among them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship import retry
from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.reference import ImageReference
from bentoship.stores import Advance, Reader
from bentoship.stores.graph import children, read_manifest
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.transfer import copy, survey
from tests.support.images import noise, put, put_image, put_index
from tests.support.proxy import Fault, Proxy
from tests.support.registry import Registry


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are not what these tests look at."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)


@pytest.fixture
def target(repository: ImageReference) -> RegistryStore:
    """The registry, reached directly."""
    return RegistryStore(repository, push=True)


@pytest.fixture
def shaky(through: ImageReference) -> RegistryStore:
    """The registry, reached through the proxy that fails on demand."""
    return RegistryStore(through, push=True)


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.missing: tuple[Descriptor, ...] = ()
        self.bytes: dict[Descriptor, int] = {}
        self.steps: list[int] = []
        self._lock = threading.Lock()

    def begin(self, missing: Sequence[Descriptor]) -> None:
        self.missing = tuple(missing)

    def advance(self, descriptor: Descriptor, count: int) -> None:
        with self._lock:
            self.steps.append(count)
            self.bytes[descriptor] = self.bytes.get(descriptor, 0) + count


class Recording(LayoutStore):
    """A layout that remembers what it was asked to do, in order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.done: list[str] = []

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        super().write(descriptor, content, advance)
        self.done.append(descriptor.digest)

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        self.done.append(tag)
        super().tag(descriptor, tag)


def parts(layout: LayoutStore, image: Descriptor) -> tuple[Descriptor, ...]:
    """An image's config and layers."""
    return children(read_manifest(layout, image))


def no_copy_runs() -> bool:
    """Whether no thread of a copy is left, or none soon."""

    def left() -> bool:
        return any(thread.name.endswith("(worker)") for thread in threading.enumerate())

    deadline = time.monotonic() + 3
    while left() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not left()


def test_an_image_goes_to_a_registry_and_back(layout: LayoutStore, target: RegistryStore, tmp_path: Path) -> None:
    """All of it, under all tags, and the result and the progress tell so."""
    image = put_image(layout, sizes=(3_000_000, 100, 200_000))
    told = Told()
    result = copy(layout, target, image, tags=["v1", "latest"], progress=told)
    everything = {*parts(layout, image), image}
    assert dict(result.outcomes) == dict.fromkeys(everything, "sent")
    assert result.sent_bytes == sum(part.size for part in everything)
    assert set(told.missing) == everything
    assert told.bytes == {part: part.size for part in everything}
    back = LayoutStore(tmp_path / "back")
    copy(target, back, target.resolve("v1"), tags=["v1"])
    assert back.resolve("v1") == image


def test_what_is_there_is_not_sent(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """A second image with a layer in common sends the rest, and the same image nothing."""
    first, second = (put_image(layout, sizes=(1000, 10 * size), seed=0) for size in (1, 2))
    copy(layout, shaky, first)
    result = copy(layout, shaky, second)
    common = set(parts(layout, first)) & set(parts(layout, second))
    assert common
    assert {part for part, outcome in result.outcomes if outcome == "present"} == common
    sent = proxy.count("PUT")
    again = copy(layout, shaky, second)
    assert again.sent_bytes == 0
    assert {outcome for _, outcome in again.outcomes} == {"present"}
    assert proxy.count("PUT") == sent


def test_a_tag_that_is_right_is_left_alone(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """Only those that stand for something else, or for nothing, are set."""
    first, second = (put_image(layout, sizes=(1000, 10 * size), seed=0) for size in (1, 2))
    copy(layout, shaky, first, tags=["latest", "one"])
    copy(layout, shaky, second, tags=["latest", "two"])
    sent = proxy.count("PUT")
    copy(layout, shaky, first, tags=["one", "latest"])
    assert proxy.count("PUT") == sent + 1
    assert {tag: shaky.resolve(tag) for tag in ("latest", "one", "two")} == {
        "latest": first,
        "one": first,
        "two": second,
    }


def test_an_index_takes_its_images_along(layout: LayoutStore, target: RegistryStore) -> None:
    """Blobs, then manifests, then the index; what two images share goes once."""
    index = put_index(layout, put_image(layout, seed=1), put_image(layout, seed=2), put_image(layout, seed=1))
    result = copy(layout, target, index, tags=["v1"])
    assert target.resolve("v1") == index
    assert len(result.outcomes) == 1 + 2 * 4


def test_children_come_before_parents_and_tags_last(layout: LayoutStore, tmp_path: Path) -> None:
    """So that nothing ever points at what is not there."""
    image = put_image(layout)
    index = put_index(layout, image)
    other = Recording(tmp_path / "other")
    copy(layout, other, index, tags=["v1", "v2"])
    assert set(other.done[:3]) == {part.digest for part in parts(layout, image)}
    assert other.done[3:] == [image.digest, index.digest, "v1", "v2"]


def test_a_survey_tells_what_a_copy_would_send(layout: LayoutStore, target: RegistryStore) -> None:
    """And sends nothing."""
    image = put_image(layout)
    config, *layers = parts(layout, image)
    with layout.open(layers[0]) as content:
        target.write(layers[0], content, lambda count: None)
    found = survey(layout, target, image)
    assert found.present == (layers[0],)
    assert set(found.missing) == {config, *layers[1:], image}
    assert found.missing_bytes == config.size + layers[1].size + image.size
    assert found.missing[-1] == image
    assert not target.exists(image)


def test_a_registry_with_the_manifest_is_asked_for_nothing_else(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """It takes none without its parts. A layout may have lost some, so it is asked for each."""
    image = put_image(layout)
    everything = {*parts(layout, image), image}
    assert set(survey(layout, shaky, image, whole=True).missing) == everything
    copy(layout, shaky, image, whole=True)
    asked = proxy.count("HEAD")
    assert set(survey(layout, shaky, image, whole=True).present) == everything
    assert proxy.count("HEAD") == asked + 1
    assert set(survey(layout, shaky, image).present) == everything
    assert proxy.count("HEAD") == asked + 1 + len(everything)


def test_an_image_that_an_index_lost_is_sent_again(layout: LayoutStore, tmp_path: Path) -> None:
    """Registries let manifests be deleted that an index names: each is asked for."""
    first, second = put_image(layout, seed=1), put_image(layout, seed=2)
    index = put_index(layout, first, second)
    other = LayoutStore(tmp_path / "other")
    copy(layout, other, index, whole=True)
    other.path(second).unlink()
    assert set(survey(layout, other, index, whole=True).missing) == {second}
    copy(layout, other, index, whole=True)
    assert other.exists(second)


def test_blobs_are_mounted_where_that_goes(layout: LayoutStore, target: RegistryStore, registry: Registry) -> None:
    """What another repository of the registry has is not sent; all else is."""
    image, bigger = put_image(layout, sizes=(1000,)), put_image(layout, sizes=(1000, 50))
    base = RegistryStore(ImageReference(registry.host, target.repository.partition("/")[2] + "-base"), push=True)
    copy(layout, base, image)
    told = Told()
    path = base.repository.partition("/")[2]
    result = copy(layout, target, bigger, mount=lambda part: target.mount(part, path), progress=told)
    outcomes = dict(result.outcomes)
    config, common, new = parts(layout, bigger)
    assert outcomes == {config: "sent", common: "mounted", new: "sent", bigger: "sent"}
    assert told.bytes[common] == common.size


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
    with layout.open(layer) as content:
        shaky.write(layer, content, lambda count: None)
    # Not seen at first, then refused once: as if the first upload had got through without an answer.
    proxy.faults += [Fault("HEAD", layer.hex, status=404), Fault("POST", status=503)]
    told = Told()
    copy(layout, shaky, image, jobs=1, progress=told)
    assert told.bytes == {part: part.size for part in told.missing}
    assert layer in told.missing
    assert proxy.count("PUT", layer.hex) == 1


def test_what_does_not_pass_is_not_tried_again(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """A refusal is final."""
    image = put_image(layout)
    proxy.faults.append(Fault("POST", status=403, times=100))
    with pytest.raises(RegistryError) as caught:
        copy(layout, shaky, image, jobs=1)
    assert caught.value.status == 403
    assert proxy.count("POST") == 1


def test_attempts_end(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """After as many as were allowed, with the last one's error."""
    image = put_image(layout)
    proxy.faults.append(Fault("POST", status=503, times=100))
    with pytest.raises(RegistryError) as caught:
        copy(layout, shaky, image, jobs=1, attempts=3)
    assert caught.value.status == 503
    assert proxy.count("POST") == 3


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """The user hears of it at once."""
    proxy.faults.append(Fault("POST", status=429, headers={"Retry-After": "3600"}, times=100))
    with pytest.raises(RegistryError, match="429"):
        copy(layout, shaky, put_image(layout), jobs=1)
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
    assert proxy.count("POST") <= 2


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
from bentoship.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.transfer import copy
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


def test_copies_at_once_do_not_disturb_each_other(layout: LayoutStore, target: RegistryStore) -> None:
    """Two publishes of the same image to the same place both succeed."""
    image = put_image(layout, sizes=(1_000_000, 1_000_000))
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda tag: copy(layout, target, image, tags=[tag]), ("a", "b")))
    assert len(results) == 2
    assert target.resolve("a") == target.resolve("b") == image


def test_memory_does_not_grow_with_a_blob(layout: LayoutStore, repository: ImageReference) -> None:
    """A blob of 200 MB goes through a process that has far less."""
    piece = noise(1 << 20, 9)
    with make_file(layout.folder.parent / "big", piece * 200) as file:
        content_digest = subprocess.run(["sha256sum", file], capture_output=True, check=True, text=True).stdout[:64]
        layer = Descriptor(LAYER_TAR, f"sha256:{content_digest}", file.stat().st_size)
        layout.adopt(file, layer)
    script = """
import resource, sys
from pathlib import Path
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.transfer import copy
layer = Descriptor(LAYER_TAR, sys.argv[3], int(sys.argv[4]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
copy(LayoutStore(Path(sys.argv[1])), RegistryStore(ImageReference.parse(sys.argv[2]), push=True), layer)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024))
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(layout.folder), str(repository), layer.digest, str(layer.size)]
    grown = int(subprocess.run(command, env=env, capture_output=True, check=True, text=True).stdout)
    assert grown < 60_000_000


@contextmanager
def make_file(path: Path, content: bytes) -> Iterator[Path]:
    """A file for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        yield path
    finally:
        path.unlink()


def test_a_blob_alone_can_be_copied(layout: LayoutStore, target: RegistryStore) -> None:
    """It has nothing below it."""
    layer = put(layout, LAYER_TAR, b"content")
    assert dict(copy(layout, target, layer).outcomes) == {layer: "sent"}
