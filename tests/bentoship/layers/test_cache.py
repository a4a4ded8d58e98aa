"""The cache of layers."""

import gzip
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bentoship.image.descriptor import LAYER_GZIP, LAYER_TAR, Descriptor
from bentoship.image.layer import Entry, Layer, tar_stream
from bentoship.layers.cache import LayerCache, measured
from bentoship.system import records
from bentoship.system.records import key_of
from tests.support.shapes import SHAPES

ENTRIES = [Entry("etc/motd", content=b"hello")]


def test_a_layer_is_what_its_digests_say(tmp_path: Path) -> None:
    """The blob has the descriptor's digest and size, and unpacks to what the diff id names."""
    cache = LayerCache(tmp_path)
    layer = cache.write(ENTRIES, "test", "source")
    blob = cache.blob(layer.descriptor).read_bytes()
    assert layer.descriptor.media_type == LAYER_GZIP
    assert layer.descriptor.size == len(blob)
    assert layer.descriptor.hex == hashlib.sha256(blob).hexdigest()
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(blob)).hexdigest()}"


def stream() -> Iterator[bytes]:
    """The tar of a layer whose blob is not kept."""
    return tar_stream(ENTRIES)


def test_a_layer_that_is_not_kept_is_made_anew_from_its_files(tmp_path: Path) -> None:
    """Blob and tar are one; only who can give it finds it again, and nothing of it lies in the cache."""
    cache = LayerCache(tmp_path)
    (layer,) = cache.make("key", lambda: [measured(stream, "test", "model")], stream=stream)
    content = b"".join(stream())
    assert layer.descriptor == Descriptor.of(LAYER_TAR, content)
    assert layer.diff_id == layer.descriptor.digest
    assert not cache.blob(layer.descriptor).exists()
    assert cache.find("key") is None
    (found,) = cache.find("key", stream=stream) or ()
    assert (found, found.stream) == (layer, stream)
    cache.drop(layer.descriptor)
    assert cache.find("key", stream=stream) is None


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """The second time, nothing is made."""
    cache = LayerCache(tmp_path)
    made: list[Layer] = []

    def make() -> list[Layer]:
        made.append(cache.write(ENTRIES, "test", "source"))
        return made

    assert cache.make("key", make) == cache.make("key", make)
    assert len(made) == 1


def test_a_blob_that_is_cut_short_is_made_again(tmp_path: Path) -> None:
    """A damaged cache is noticed and mended."""
    cache = LayerCache(tmp_path)
    (layer,) = cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")])
    cache.blob(layer.descriptor).write_bytes(b"short")
    assert cache.find("key") is None
    (again,) = cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")])
    assert again == layer
    assert cache.blob(layer.descriptor).stat().st_size == layer.descriptor.size


@pytest.mark.parametrize("record", [*SHAPES, [{"format": 99}]])
def test_a_record_that_says_nothing_is_none(tmp_path: Path, record: object) -> None:
    """One of another version is as if it was not there."""
    cache = LayerCache(tmp_path)
    (layer,) = cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")])
    records.keep(tmp_path / "keys" / "key.json", record)
    assert cache.find("key") is None
    assert cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")]) == (layer,)
    assert cache.find("key") == (layer,)


@pytest.mark.parametrize("part", ["diffId", "title", "mediaType"])
def test_a_record_with_another_letter_is_none(tmp_path: Path, part: str) -> None:
    """No image gets a wrong diff id, or another digest for another title."""
    cache = LayerCache(tmp_path)
    (layer,) = cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")])
    record = tmp_path / "keys" / "key.json"
    text = record.read_text("utf-8")
    place = text.index('"', text.index(f'"{part}"') + len(part) + 2) + 3
    record.write_text(f"{text[:place]}{'0' if text[place] != '0' else '1'}{text[place + 1 :]}", "utf-8")
    assert cache.find("key") is None
    assert cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")]) == (layer,)


def test_a_dropped_layer_is_made_again(tmp_path: Path) -> None:
    """Whatever else is damaged beside it."""
    cache = LayerCache(tmp_path)
    (layer,) = cache.make("key", lambda: [cache.write(ENTRIES, "test", "source")])
    (tmp_path / "keys" / "other.json").write_bytes(b"\xff")
    cache.drop(layer.descriptor)
    assert cache.find("key") is None
    assert not cache.blob(layer.descriptor).exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """A layer is kept whole or not at all."""
    cache = LayerCache(tmp_path)
    try:
        cache.write([Entry("x", content=tmp_path / "missing")], "test", "source")
    except FileNotFoundError:
        assert list((tmp_path / "blobs" / "sha256").iterdir()) == []
    else:
        raise AssertionError("a missing file was not noticed")


def test_keys_tell_parts_apart() -> None:
    """Where one part ends and the next begins counts."""
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")


def test_layers_are_made_of_layers(tmp_path: Path) -> None:
    """A key waits for no other one, however alike they are: it could be one that waits for it."""
    code = (
        "import pathlib, sys\n"
        "from bentoship.layers.cache import LayerCache\n"
        "cache = LayerCache(pathlib.Path(sys.argv[1]))\n"
        "cache.make('ab1', lambda: cache.make('ab2', lambda: []))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=20)
    assert {file.stem for file in (tmp_path / "keys").iterdir()} == {"ab1", "ab2"}


def test_two_runs_make_a_layer_once(tmp_path: Path) -> None:
    """The second waits for the first, and finds what it has made."""
    cache, started, made = LayerCache(tmp_path), threading.Event(), []

    def layers() -> list[Layer]:
        made.append(threading.get_ident())
        started.set()
        time.sleep(0.3)
        return [cache.write(ENTRIES, "test", "source")]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.make, "ab12", layers)
        assert started.wait(10)
        second = pool.submit(LayerCache(tmp_path).make, "ab12", layers)
        assert first.result() == second.result()
    assert len(made) == 1
