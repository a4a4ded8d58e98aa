"""The OCI image layout."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.stores.graph import children, read_manifest
from bentoship.stores.layout import LayoutStore
from tests.support.fuzzing import fuzz, near
from tests.support.images import put, put_image, put_index


class Failing:
    """A stream that breaks off."""

    def __init__(self, content: bytes, error: BaseException) -> None:
        self._stream = io.BytesIO(content)
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        if not piece:
            raise self._error
        return piece


def blobs(layout: LayoutStore) -> list[str]:
    """The names of all files among the blobs."""
    return sorted(path.name for path in (layout.folder / "blobs" / "sha256").iterdir())


def test_what_was_written_can_be_read(layout: LayoutStore) -> None:
    """A content comes back as it went in, and is there afterwards only."""
    descriptor = Descriptor.of(LAYER_TAR, b"content")
    assert not layout.exists(descriptor)
    told: list[int] = []
    layout.write(descriptor, io.BytesIO(b"content"), told.append)
    assert layout.exists(descriptor)
    assert sum(told) == 7
    with layout.open(descriptor) as stream:
        assert stream.read() == b"content"


@pytest.mark.parametrize("content", [b"contenT", b"conten", b"content and more", b""])
def test_what_differs_from_its_descriptor_is_not_written(layout: LayoutStore, content: bytes) -> None:
    """Another digest or another size is an error, and leaves nothing."""
    descriptor = Descriptor.of(LAYER_TAR, b"content")
    with pytest.raises(StoreError, match="damaged"):
        layout.write(descriptor, io.BytesIO(content), lambda count: None)
    assert not layout.exists(descriptor)
    assert blobs(layout) == []


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_nothing(layout: LayoutStore, error: BaseException) -> None:
    """Neither the blob nor a temporary file."""
    content = b"x" * 10
    expected = StoreError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        layout.write(Descriptor.of(LAYER_TAR, content), Failing(content[:5], error), lambda count: None)
    assert blobs(layout) == []


@pytest.mark.parametrize("damage", [b"contenT", b"cont", b"content and more"])
def test_reading_what_was_damaged_is_an_error(layout: LayoutStore, damage: bytes) -> None:
    """However it is read: in one piece or byte by byte."""
    descriptor = put(layout, LAYER_TAR, b"content")
    layout.path(descriptor).write_bytes(damage)
    with layout.open(descriptor) as stream, pytest.raises(StoreError, match="damaged"):
        stream.read()
    with layout.open(descriptor) as stream, pytest.raises(StoreError, match="damaged"):
        list(iter(lambda: stream.read(1), b""))


def test_a_blob_of_another_size_does_not_count_as_there(layout: LayoutStore) -> None:
    """So that a copy puts it there again."""
    descriptor = put(layout, LAYER_TAR, b"content")
    layout.path(descriptor).write_bytes(b"cont")
    assert not layout.exists(descriptor)
    put(layout, LAYER_TAR, b"content")
    assert layout.exists(descriptor)


def test_nothing_is_empty_content_too(layout: LayoutStore) -> None:
    """A content of no bytes is written and read."""
    descriptor = put(layout, LAYER_TAR, b"")
    with layout.open(descriptor) as stream:
        assert stream.read() == b""


@pytest.mark.parametrize("size", [-1, 1, 3, 4, 100])
def test_what_lies_elsewhere_is_there_too(layout: LayoutStore, size: int) -> None:
    """It is read from pieces of any length, as much at a time as is asked for at most, and checked as a file is."""
    content = Descriptor.of(LAYER_TAR, b"in pieces")
    other = Descriptor(LAYER_TAR, content.digest, content.size + 1)
    store = LayoutStore(layout.folder, {content.digest: lambda: iter([b"", b"in ", b"", b"pie", b"ces", b""])})
    assert store.exists(content)
    with store.open(content) as stream:
        read = list(iter(lambda: stream.read(size), b"")) if size > 0 else [stream.read()]
    assert b"".join(read) == b"in pieces"
    assert size < 0 or max(map(len, read)) <= size
    with store.open(content) as stream:
        assert [stream.read(1), stream.read(), stream.read()] == [b"i", b"n pieces", b""]
    with pytest.raises(StoreError, match="9 bytes instead of 10"), store.open(other) as stream:
        list(iter(lambda: stream.read(size), b""))


def test_a_file_is_adopted_without_a_copy(layout: LayoutStore, tmp_path: Path) -> None:
    """The blob is a second name of the file, also when it was adopted before."""
    file = tmp_path / "file"
    file.write_bytes(b"content")
    descriptor = Descriptor.of(LAYER_TAR, b"content")
    for _ in range(2):
        layout.adopt(file, descriptor)
    assert layout.path(descriptor).samefile(file)
    assert blobs(layout) == [descriptor.hex]
    assert file.stat().st_nlink == 2


def test_a_file_is_adopted_by_copy_where_links_do_not_go(
    layout: LayoutStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two devices, say."""

    def no_link(*args: object, **kwargs: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    file = tmp_path / "file"
    file.write_bytes(b"content")
    descriptor = Descriptor.of(LAYER_TAR, b"content")
    layout.adopt(file, descriptor)
    assert not layout.path(descriptor).samefile(file)
    with layout.open(descriptor) as stream:
        assert stream.read() == b"content"


def test_a_file_of_another_size_is_not_adopted(layout: LayoutStore, tmp_path: Path) -> None:
    """The cheapest of all checks is made."""
    (tmp_path / "file").write_bytes(b"content and more")
    with pytest.raises(StoreError, match="16 bytes instead of 7"):
        layout.adopt(tmp_path / "file", Descriptor.of(LAYER_TAR, b"content"))


def test_tags_stand_for_images(layout: LayoutStore) -> None:
    """A tag can be set and moved; a digest stands for itself."""
    one, two = put_image(layout, seed=1), put_image(layout, seed=2)
    layout.tag(one, "v1")
    layout.tag(one, "latest")
    layout.tag(two, "latest")
    assert layout.tags() == {"latest": two, "v1": one}
    assert layout.resolve("latest") == two
    assert layout.resolve(one.digest) == one


def test_what_nothing_stands_for_is_an_error(layout: LayoutStore) -> None:
    """A tag or a digest that is not there, and a digest that is no image's."""
    layer = put(layout, LAYER_TAR, b"content")
    for name in ("v1", "sha256:" + "0" * 64, layer.digest):
        with pytest.raises(StoreError):
            layout.resolve(name)


def test_an_image_with_a_part_missing_gets_no_tag(layout: LayoutStore) -> None:
    """A tag promises that all of an image is there."""
    image = put_image(layout)
    part = children(read_manifest(layout, image))[1]
    layout.path(part).unlink()
    with pytest.raises(StoreError, match=part.digest):
        layout.tag(image, "v1")
    assert layout.tags() == {}


def test_the_same_tags_make_the_same_index(tmp_path: Path) -> None:
    """In whatever order they were set."""
    written = []
    for number, tags in enumerate((("a", "b", "c"), ("c", "a", "b", "a"))):
        layout = LayoutStore(tmp_path / str(number))
        image = put_image(layout)
        for tag in tags:
            layout.tag(image, tag)
        written.append((layout.folder / "index.json").read_bytes())
    assert written[0] == written[1]


def test_tags_of_two_processes_at_once_are_all_kept(layout: LayoutStore) -> None:
    """The index is changed by one at a time."""
    image = put_image(layout)
    script = """
import sys
from pathlib import Path
from bentoship.stores.layout import LayoutStore
layout = LayoutStore(Path(sys.argv[1]))
for number in range(20):
    layout.tag(layout.resolve(sys.argv[2]), f"{sys.argv[3]}-{number}")
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    children = [
        subprocess.Popen([sys.executable, "-c", script, layout.folder, image.digest, name], env=env) for name in "abc"
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert set(layout.tags()) == {f"{name}-{number}" for name in "abc" for number in range(20)}


def test_one_blob_can_be_written_by_several_at_once(layout: LayoutStore) -> None:
    """Each writes its own file; the last one stays."""
    content = b"content" * 100_000
    threads = [threading.Thread(target=put, args=(layout, LAYER_TAR, content)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs(layout) == [Descriptor.of(LAYER_TAR, content).hex]
    with layout.open(Descriptor.of(LAYER_TAR, content)) as stream:
        assert stream.read() == content


def test_prune_removes_what_no_tag_reaches(layout: LayoutStore) -> None:
    """Images below a tagged index stay; all others go."""
    kept, gone = put_image(layout, seed=1), put_image(layout, seed=2)
    index = put_index(layout, kept)
    layout.tag(index, "v1")
    freed = layout.prune()
    assert freed > gone.size
    assert not layout.exists(gone)
    for part in (index, kept, *children(read_manifest(layout, kept))):
        assert layout.exists(part)
    assert layout.prune() == 0


def test_prune_keeps_the_images_that_it_is_told_to(layout: LayoutStore) -> None:
    """The others go with their tags; one that has no tag goes all the same."""
    kept, gone, untagged = (put_image(layout, seed=seed) for seed in (1, 2, 3))
    for tag, image in {"v1": gone, "latest": kept, "v2": kept}.items():
        layout.tag(image, tag)
    assert layout.prune({kept.digest, untagged.digest}) > gone.size + untagged.size
    assert layout.tags() == {"latest": kept, "v2": kept}
    assert [layout.exists(image) for image in (kept, gone, untagged)] == [True, False, False]
    assert layout.prune({kept.digest}) == 0


def test_prune_spares_what_another_run_has_just_written(layout: LayoutStore) -> None:
    """By its age, when asked to."""
    image = put_image(layout)
    assert layout.prune(older_than=600) == 0
    assert layout.exists(image)


def test_what_is_damaged_is_dropped(layout: LayoutStore) -> None:
    """Of an image, each part that is not what its digest says; of one whose manifest is damaged, that alone."""
    image = put_image(layout)
    root = put_index(layout, image)
    config, layer, _ = children(read_manifest(layout, image))
    assert layout.drop_damaged(root) == []
    layout.path(config).write_bytes(bytes(config.size))
    layout.path(layer).unlink()
    assert layout.drop_damaged(root) == [config, layer]
    assert not layout.exists(config)
    layout.path(image).write_bytes(bytes(image.size))
    assert layout.drop_damaged(root) == [image]
    assert not layout.exists(image)


def test_prune_removes_what_a_killed_run_left(layout: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished file stays while somebody may be at it, and goes when nobody has written to it for hours."""
    put_image(layout)
    left = layout.folder / "blobs" / "sha256" / ".partial-left"
    left.write_bytes(b"cont")
    layout.prune()
    assert left.exists()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 5 * 3600)
    layout.prune()
    assert not left.exists()


def test_a_damaged_index_is_told(layout: LayoutStore) -> None:
    """By the file's name."""
    layout.folder.mkdir()
    (layout.folder / "index.json").write_text("{")
    with pytest.raises(StoreError, match=r"index\.json"):
        layout.tags()


SHAPES = (
    "", "{", "[]", "{}", "null", "\0\xff", '{"manifests": null}', '{"manifests": [null]}', '{"manifests": [{}]}',
    '{"manifests": {"a": 1}}', "[" * 100_000,
)  # fmt: skip


@pytest.mark.parametrize("content", SHAPES, ids=range(len(SHAPES)))
def test_a_damaged_index_is_written_again(layout: LayoutStore, content: str) -> None:
    """With the image that is tagged next, whatever is in its place; until then it is an error, not a traceback."""
    image = put_image(layout)
    layout.tag(image, "v1")
    for name in ("index.json", "oci-layout"):
        (layout.folder / name).write_text(content, "latin-1")
    with pytest.raises(StoreError, match=r"index\.json"):
        layout.resolve("v1")
    with pytest.raises(StoreError, match=r"index\.json"):
        layout.prune()
    layout.tag(image, "v2")
    assert layout.tags() == {"v2": image}
    assert json.loads((layout.folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_an_entry_with_strange_annotations_is_an_error(layout: LayoutStore) -> None:
    """By the file's name."""
    image = put_image(layout)
    layout.tag(image, "v1")
    document = {"manifests": [{**image.to_dict(), "annotations": ["v1"]}]}
    (layout.folder / "index.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(StoreError, match=r"index\.json"):
        layout.tags()


def test_a_file_that_is_being_written_stays_and_an_abandoned_one_goes(layout: LayoutStore) -> None:
    """Whatever its age: the process that writes it holds it."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            put(layout, LAYER_TAR, b"other")
            assert len([name for name in blobs(layout) if name.startswith(".")]) == 1
            return super().read(size)

    put(layout, LAYER_TAR, b"first")
    (layout.folder / "blobs" / "sha256" / ".partial-left").touch()
    layout.write(Descriptor.of(LAYER_TAR, b"content"), Slow(b"content"), lambda _: None)
    assert len(blobs(layout)) == 3


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """As an error of the store, not of the system."""
    (tmp_path / "file").touch()
    layout = LayoutStore(tmp_path / "file" / "layout")
    with pytest.raises(StoreError):
        put(layout, LAYER_TAR, b"content")
    with pytest.raises(StoreError):
        layout.tag(Descriptor.of(LAYER_TAR, b"content"), "v1")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_the_layout(tmp_path: Path) -> None:
    """Another program finds the image, its layers and its architecture, in a folder with a strange name."""
    layout = LayoutStore(tmp_path / "ein Ordner ü")
    image = put_image(layout)
    layout.tag(put_index(layout, image), "all")
    layout.tag(image, "v1")
    shown = subprocess.run(
        ["skopeo", "inspect", f"oci:{layout.folder}:v1"], capture_output=True, check=True, text=True
    ).stdout
    assert json.loads(shown)["Digest"] == image.digest
    assert json.loads(shown)["Layers"] == [part.digest for part in children(read_manifest(layout, image))[1:]]


@fuzz(near({"manifests": [{"digest": f"sha256:{'0' * 64}", "size": 1, "mediaType": "a", "annotations": {"a": "b"}}]}))
def test_any_index_is_read_or_damaged(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    """With the way out."""
    layout = LayoutStore(tmp_path_factory.getbasetemp() / "fuzzed")
    layout.folder.mkdir(exist_ok=True)
    (layout.folder / "index.json").write_text(json.dumps(document), "utf-8")
    for action in (layout.tags, layout.prune, lambda: layout.prune(()), lambda: layout.resolve("a")):
        with suppress(StoreError):
            action()
