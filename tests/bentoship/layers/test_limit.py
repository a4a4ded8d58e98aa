"""What goes when the cache has grown beyond its limit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from bentoship.image.layer import Entry, Layer
from bentoship.layers.cache import LayerCache
from bentoship.layers.limit import CachedFile, excess
from bentoship.layers.segments import Segment, write_segment
from bentoship.system import records

DAY = 86_400


def file(name: str, size: int, used: float) -> CachedFile:
    """A file of the cache."""
    return CachedFile(Path(name), size, used)


FILES = [file("new", 40, used=3), file("old", 10, used=1), file("middle", 30, used=2)]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(80, []), (79, ["old"]), (70, ["old"]), (69, ["old", "middle"]), (39, ["old", "middle", "new"])],
)
def test_what_was_not_used_for_longest_goes_first(limit: int, expected: list[str]) -> None:
    """As many as have to go so that the others fit, and no more."""
    assert [str(one.path) for one in excess(FILES, limit)] == expected


def test_what_is_needed_stays() -> None:
    """It counts; others go in its place, however new they are."""
    assert [str(one.path) for one in excess(FILES, 70, {"old"})] == ["middle"]
    assert [str(one.path) for one in excess(FILES, 0, {"old", "new"})] == ["middle"]
    assert excess(FILES, 0, {"old", "new", "middle"}) == []


def layer(cache: LayerCache, name: str, *, days: float = 0) -> Layer:
    """A layer of about 10 kB that was last used so many days ago."""
    (made,) = cache.make(name, lambda: [cache.write([Entry(name, content=os.urandom(10_000))], name, "source")])
    age(cache.blob(made.descriptor), days)
    return made


def age(path: Path, days: float) -> None:
    """Have a file be last used so many days ago."""
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def total(*layers: Layer) -> int:
    """The bytes of some layers."""
    return sum(one.descriptor.size for one in layers)


def test_layers_are_removed_with_their_records(tmp_path: Path) -> None:
    """The oldest one goes and is made again when it is asked for; the others are found."""
    cache = LayerCache(tmp_path)
    old, new = layer(cache, "old", days=3), layer(cache, "new", days=2)
    assert cache.size == total(old, new)
    assert cache.trim(total(new), []) == total(old)
    assert not cache.blob(old.descriptor).exists()
    assert [record.stem for record in (tmp_path / "keys").iterdir()] == ["new"]
    assert (cache.find("old"), cache.find("new")) == (None, (new,))
    assert cache.size == total(new)


def test_what_is_found_counts_as_used(tmp_path: Path) -> None:
    """To the day: a file that is asked for all the time is not written to all the time."""
    cache = LayerCache(tmp_path)
    first, second = layer(cache, "first", days=9), layer(cache, "second", days=3)
    assert cache.find("first")
    assert cache.trim(total(first), []) == total(second)
    path = cache.blob(first.descriptor)
    age(path, 0.9)
    before = path.stat().st_mtime_ns
    assert cache.find("first")
    assert path.stat().st_mtime_ns == before


def test_a_layer_of_an_image_neither_counts_nor_goes(tmp_path: Path) -> None:
    """Its file is a project's, too: it would take the same room without the cache."""
    cache = LayerCache(tmp_path / "cache")
    held, free = layer(cache, "held", days=9), layer(cache, "free")
    (tmp_path / "image").hardlink_to(cache.blob(held.descriptor))
    assert cache.size == total(free)
    assert cache.trim(total(free), []) == 0
    layer(cache, "another", days=8)
    cache.trim(total(free), [])
    assert (cache.find("held"), cache.find("free")) == ((held,), (free,))
    assert cache.find("another") is None


def test_needed_layers_stay_where_files_have_one_name(tmp_path: Path) -> None:
    """As on a disk without links, where an image has copies."""
    cache = LayerCache(tmp_path)
    needed, other = layer(cache, "needed", days=9), layer(cache, "other")
    assert cache.trim(1, [needed.descriptor.digest]) == total(other)
    assert cache.find("needed") == (needed,)


def segment(cache: LayerCache, key: str, days: float) -> Segment:
    """A package's segment with its record."""
    made = write_segment(cache.folder / "packages" / f"{key}.gz", [Entry("a", content=os.urandom(1_000))])
    records.keep(made.path.with_suffix(".json"), {"segment": {"digest": made.digest, "size": made.size}})
    age(made.path, days)
    return made


def test_segments_go_with_their_records(tmp_path: Path) -> None:
    """By when they were last a part of a layer."""
    cache = LayerCache(tmp_path)
    old, new = segment(cache, "a" * 64, days=3), segment(cache, "b" * 64, days=4)
    assert new.is_there
    assert cache.trim(new.size, []) == old.size
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == [f"{'b' * 64}.gz", f"{'b' * 64}.json"]


def test_locks_and_what_is_made_of_files_elsewhere_stay(tmp_path: Path) -> None:
    """A lock decides which versions an image gets; the record of a model says all that is known of its layer."""
    cache = LayerCache(tmp_path)
    records.keep(tmp_path / "locks" / "lock.json", ["one==1.0"])
    model = Layer(layer(cache, "x").descriptor, "sha256:0", "model", "model", lambda: iter([b""]))
    cache.make("model", lambda: [model], stream=model.stream)
    (tmp_path / "blobs" / "sha256" / "other").write_bytes(b"12345")
    age(tmp_path / "blobs" / "sha256" / "other", 5)
    assert cache.trim(model.descriptor.size, []) == 5
    assert (tmp_path / "locks" / "lock.json").exists()
    assert cache.find("model", stream=model.stream) == (model,)


def test_it_is_looked_through_only_when_something_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the limit: a run that changes nothing does not wait for it."""
    cache = LayerCache(tmp_path)
    first = layer(cache, "first", days=1)
    looks = []
    scandir = os.scandir

    def watched(path: Path) -> Iterator[os.DirEntry[str]]:
        looks.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", watched)
    assert cache.trim(total(first), []) == 0
    assert looks
    looks.clear()
    assert cache.trim(total(first), []) == 0
    assert not looks
    time.sleep(0.02)  # a clock of files ticks every few milliseconds
    layer(cache, "second")
    assert cache.trim(total(first) + 100, []) == total(first)
    assert cache.trim(1, []) > 0
    assert cache.size == 0


def test_what_another_run_is_at_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file that is not finished, nor one that went after it was listed."""
    cache = LayerCache(tmp_path)
    kept, going = layer(cache, "kept"), layer(cache, "going")
    (tmp_path / "blobs" / "sha256" / ".partial-1-2").write_bytes(b"begun")
    scandir = os.scandir

    def racing(path: Path) -> AbstractContextManager[list[os.DirEntry[str]]]:
        entries = list(scandir(path))
        cache.blob(going.descriptor).unlink(missing_ok=True)
        return nullcontext(entries)

    monkeypatch.setattr(os, "scandir", racing)
    assert cache.size == total(kept)


def test_what_runs_that_died_left_goes(tmp_path: Path) -> None:
    """It is no layer yet, and never will be; nor does it wait. Without a limit nothing is touched."""
    cache = LayerCache(tmp_path)
    made = layer(cache, "made")
    left = tmp_path / "blobs" / "sha256" / ".partial-1-2"
    left.write_bytes(b"left")
    assert cache.trim(None, []) == 0
    assert left.exists()
    cache.trim(total(made), [])
    assert not left.exists()
    assert list((tmp_path / ".making").iterdir()) == []
    assert cache.find("made") == (made,)
