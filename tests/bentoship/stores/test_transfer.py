"""Copying images between stores, a real registry among them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import Advance, Reader
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.transfer import Options, copy, survey
from tests.support.images import noise, put, put_image, put_index
from tests.support.proxy import Proxy
from tests.support.registry import Registry
from tests.support.transfers import Told, parts


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


def test_an_image_goes_to_a_registry_and_back(layout: LayoutStore, target: RegistryStore, tmp_path: Path) -> None:
    """All of it, under all tags, and the result and the progress tell so."""
    image = put_image(layout, sizes=(3_000_000, 100, 200_000))
    told = Told()
    result = copy(layout, target, image, tags=["v1", "latest"], progress=told)
    everything = {*parts(layout, image), image}
    assert result == dict.fromkeys(everything, "sent")
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
    assert {part for part, outcome in result.items() if outcome == "present"} == common
    sent = proxy.count("PUT")
    again = copy(layout, shaky, second)
    assert set(again.values()) == {"present"}
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
    assert len(result) == 1 + 2 * 4


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
    assert found.missing[-1] == image
    assert not target.exists(image)


def test_a_registry_with_the_manifest_is_asked_for_nothing_else(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy
) -> None:
    """It takes none without its parts. A layout may have lost some, so it is asked for each."""
    image = put_image(layout)
    everything = {*parts(layout, image), image}
    assert set(survey(layout, shaky, image, Options(whole=True)).missing) == everything
    assert proxy.count("HEAD") == len(everything)
    copy(layout, shaky, image, options=Options(whole=True))
    asked = proxy.count("HEAD")
    assert set(survey(layout, shaky, image, Options(whole=True)).present) == everything
    assert proxy.count("HEAD") == asked + 1
    assert set(survey(layout, shaky, image).present) == everything
    assert proxy.count("HEAD") == asked + 1 + len(everything)


def test_an_image_that_an_index_lost_is_sent_again(layout: LayoutStore, tmp_path: Path) -> None:
    """Registries let manifests be deleted that an index names: each is asked for."""
    first, second = put_image(layout, seed=1), put_image(layout, seed=2)
    index = put_index(layout, first, second)
    other = LayoutStore(tmp_path / "other")
    copy(layout, other, index, options=Options(whole=True))
    other.path(second).unlink()
    assert set(survey(layout, other, index, Options(whole=True)).missing) == {second}
    copy(layout, other, index, options=Options(whole=True))
    assert other.exists(second)


def test_blobs_are_mounted_where_that_goes(layout: LayoutStore, target: RegistryStore, registry: Registry) -> None:
    """What another repository of the registry has is not sent; all else is."""
    image, bigger = put_image(layout, sizes=(1000,)), put_image(layout, sizes=(1000, 50))
    base = RegistryStore(ImageReference(registry.host, target.repository.partition("/")[2] + "-base"), push=True)
    copy(layout, base, image)
    told = Told()
    path = base.repository.partition("/")[2]
    outcomes = copy(layout, target, bigger, mount=lambda part: target.mount(part, path), progress=told)
    config, common, new = parts(layout, bigger)
    assert outcomes == {config: "sent", common: "mounted", new: "sent", bigger: "sent"}
    assert told.bytes[common] == common.size


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
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.transfer import copy
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
    assert copy(layout, target, layer) == {layer: "sent"}
