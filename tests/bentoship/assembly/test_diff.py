"""Why an image differs from the one that was published."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentoship.assembly import diff as why
from bentoship.assembly.config import BENTO_PATH
from bentoship.assembly.diff import published_images
from bentoship.assembly.plan import PlannedImage
from bentoship.assembly.recipe import Recipe
from bentoship.bases import Outline
from bentoship.bento import Bento, Model
from bentoship.errors import StoreError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.layer import Entry, Estimate, Kind, folder, symlink
from bentoship.image.manifest import Image, image_of, index_of
from bentoship.image.metadata import Data, Metadata
from bentoship.layers.cache import LayerCache
from bentoship.packages.locks import Lock
from bentoship.packages.target import Target
from bentoship.stores.layout import LayoutStore

DEBIAN = {"debian": {"packages": [{"name": "libc6", "version": "2.36-9"}, {"name": "bash", "version": "5.2"}]}}


@pytest.fixture
def cache(tmp_path: Path) -> LayerCache:
    """Layers, and images beside them."""
    return LayerCache(tmp_path / "layers")


@pytest.fixture
def store(cache: LayerCache) -> LayoutStore:
    """The same folder, to read from."""
    return LayoutStore(cache.folder)


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """One with a model, of which the store has two versions."""
    for version, weights in (("v1", b"0123456789"), ("v2", b"9876543210")):
        (tmp_path / "stars" / version / "sub").mkdir(parents=True)
        (tmp_path / "stars" / version / "weights.bin").write_bytes(weights)
        # A time says nothing of what is in a file.
        os.utime(tmp_path / "stars" / version / "weights.bin", (1, 1))
        (tmp_path / "stars" / version / "sub" / "same.txt").write_text("same", "utf-8")
    models = (Model("stars", "v2", tmp_path / "stars" / "v2"),)
    return Bento("echo", "two", tmp_path, "3.11", "", models, (), (), ())


Files = Mapping[str, bytes]


def kind(title: str) -> Kind:
    """What a layer of these tests is, by its title."""
    first = title.partition(" ")[0].rstrip(",")
    kinds: dict[str, Kind] = {"packages": "packages", "package": "packages", "model": "model", "source": "source"}
    return kinds.get(first, "system" if title == "user and environment" else "base")


LABELS = {"org.bentoship.base": json.dumps(DEBIAN), "org.bentoship.packages": "[]"}


def image(
    cache: LayerCache,
    layers: Mapping[str, Files],
    packages: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
    platform: str = "linux/amd64",
    env: Sequence[str] = (),
) -> Image:
    """An image as it is assembled, its layers made of files by title."""
    made = [
        cache.write([Entry(path, content=content) for path, content in files.items()], title, kind(title))
        for title, files in layers.items()
    ]
    labels = {"org.bentoship.base": json.dumps(base or DEBIAN), "org.bentoship.packages": json.dumps(list(packages))}
    models = [{"tag": title.partition(" ")[2]} for title in layers if kind(title) == "model"]
    annotations = {"org.bentoship.models": json.dumps(models)}
    return image_of(made, {"Env": list(env), "Labels": labels}, platform, annotations)


def publish(store: LayoutStore, *images: Image) -> dict[str, Image]:
    """Images that were published before, as they tell of themselves."""
    contents = [(one.config_descriptor, one.config) for one in images] + [
        (one.descriptor, one.manifest) for one in images
    ]
    if len(images) > 1:
        contents.append((Descriptor.of(INDEX, index_of(images)), index_of(images)))
    for descriptor, content in contents:
        store.write(descriptor, io.BytesIO(content), lambda _: None)
    return published_images(store, contents[-1][0])


def planned(
    bento: Bento,
    made: Image | tuple[Estimate, ...],
    packages: Sequence[str] = (),
    base: Mapping[str, Any] = DEBIAN,
    platform: str = "linux/amd64",
) -> PlannedImage:
    """An image that is made already, or layers that are yet to be."""
    outline = Outline(platform, (), origin=base)
    recipe = Recipe(bento, outline, Lock(Target(platform, "3.11", 36), tuple(packages)))
    return PlannedImage(recipe, made.layers, made) if isinstance(made, Image) else PlannedImage(recipe, made)


def told(now: PlannedImage, before: Mapping[str, Image], store: LayoutStore) -> list[why.Difference]:
    """The differences of the image for amd64."""
    return [one for one, _ in why.differences({"linux/amd64": now}, before, store)]


def words(difference: why.Difference) -> list[tuple[str, str, int]]:
    """Its changes, to compare."""
    return [(change.kind, change.name, change.size) for change in difference.changes]


def test_the_same_image_differs_in_nothing(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Not even where its layers have other titles."""
    before = publish(store, image(cache, {"base": {"a": b"1"}, "source echo:one": {"b": b"2"}}))
    now = image(cache, {"base": {"a": b"1"}, "source echo:two": {"b": b"2"}})
    assert told(planned(bento, now), before, store) == []


def test_source_differs_by_its_files(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Added, removed, changed; the largest first; folders are nobody's change, modes and links are."""
    at = f"{BENTO_PATH}/src"
    old = [
        folder(at), Entry(f"{at}/gone.py", content=b"x" * 30), Entry(f"{at}/kept.py", content=b"same"),
        Entry(f"{at}/run.sh", content=b"#!"), Entry(f"{at}/service.py", content=b"a" * 10),
        symlink(f"{at}/link", "one"),
    ]  # fmt: skip
    new = [
        folder(at, mode=0o700), Entry(f"{at}/kept.py", content=b"same"), Entry(f"{at}/new.py", content=b"y" * 20),
        Entry(f"{at}/run.sh", content=b"#!", mode=0o755), Entry(f"{at}/service.py", content=b"b" * 10),
        symlink(f"{at}/link", "two"),
    ]  # fmt: skip
    first, second = cache.write(old, "source echo:one", "source"), cache.write(new, "source echo:two", "source")
    start = image(cache, {})
    before = publish(store, image_of([first], json.loads(start.config)["config"], "linux/amd64", {}))
    now = replace(start, layers=(second,))
    (difference,) = told(planned(bento, now), before, store)
    assert (difference.title, difference.note) == ("source echo:two", "")
    assert words(difference) == [
        ("removed", "src/gone.py", 30), ("added", "src/new.py", 20), ("changed", "src/service.py", 10),
        ("changed", "src/run.sh", 2), ("changed", "src/link", 0),
    ]  # fmt: skip


def test_packages_differ_by_their_versions(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """However many layers they are in, and before they are installed; markers, extras and paths do not confuse it."""
    locked = ["Numpy==2.1", "gone==1", 'win==3 ; sys_platform == "win32"', "./tool.whl", "uvicorn[standard]==1.0"]
    layers: dict[str, Files] = {"packages, part 1 of 2": {"a": b"1"}, "package numpy 2.1": {"b": b"2"}}
    before = publish(store, image(cache, layers, locked))
    new = ["numpy==2.2", "more==1", "uvicorn[standard]==1.0", 'win==3 ; sys_platform == "win32"', "./tool.whl"]
    (difference,) = told(planned(bento, (Estimate("4 packages", "packages", 10),), new), before, store)
    assert difference.title == "packages"
    versions = [(one.kind, one.name, one.before and one.before.version, one.now and one.now.version)
                for one in difference.changes]  # fmt: skip
    assert versions == [
        ("removed", "gone", "1", None),
        ("added", "more", None, "1"),
        ("changed", "numpy", "2.1", "2.2"),
    ]


def test_packages_that_are_installed_anew_are_told(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Another base has other byte-code, of the same versions."""
    before = publish(store, image(cache, {"packages": {"a": b"1"}}, ["numpy==2.1"]))
    now = image(cache, {"packages": {"a": b"2"}}, ["numpy==2.1"])
    (difference,) = told(planned(bento, now, ["numpy==2.1"]), before, store)
    assert difference.changes == ()
    assert "the same versions" in difference.note


def test_a_base_differs_by_its_packages(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Debian's by their versions, before it is made; another one by its name."""
    before = publish(store, image(cache, {"Debian 12": {"a": b"1"}}))
    newer = {"debian": {"packages": [{"name": "libc6", "version": "2.36-10"}, DEBIAN["debian"]["packages"][1]]}}
    base = (Estimate("base", "base", 10),)
    (difference,) = told(planned(bento, base, (), newer), before, store)
    (change,) = difference.changes
    assert change == why.Change("libc6", why.Thing(version="2.36-9"), why.Thing(version="2.36-10"))
    other = {"image": "docker.io/library/python", "digest": f"sha256:{'ab' * 32}"}
    (difference,) = told(planned(bento, base, (), other), before, store)
    assert difference.note == "was assembled from Debian's packages, is docker.io/library/python@sha256:abababababab…"
    (difference,) = told(planned(bento, base, (), {}), before, store)
    assert "was assembled from Debian's packages" in difference.note


def test_a_model_differs_by_the_files_in_the_store(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Also before its layer is made, and where a file changed without changing its size."""
    before = publish(store, image(cache, {"model stars:v1": {"a": b"1"}, "model old:v1": {"b": b"2"}}))
    now = planned(bento, (Estimate("model stars:v2", "model", 10),))
    changed, removed = told(now, before, store)
    assert (changed.title, words(changed)) == ("model stars:v2", [("changed", "weights.bin", 10)])
    assert (removed.title, removed.note) == ("model old:v1", "is no longer packed")


def test_a_model_without_its_former_version_is_told(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """One that is new has only new files; one whose former version was deleted has nothing to compare with."""
    now = planned(bento, (Estimate("model stars:v2", "model", 10),))
    (added,) = told(now, publish(store, image(cache, {})), store)
    assert words(added) == [("added", "weights.bin", 10), ("added", "sub/same.txt", 4)]
    (deleted,) = told(now, publish(store, image(cache, {"model stars:v0": {"a": b"1"}})), store)
    assert (deleted.changes, deleted.note) == ((), "was v0, which is no longer in the model store")


def test_metadata_is_compared(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Each metric, hyperparameter and set of data by its name, and the description; a version follows from the rest."""

    def said(metadata: Metadata) -> Image:
        return image_of([], {"Labels": {**LABELS, **metadata.annotations}}, "linux/amd64", metadata.annotations)

    data = (Data("raw", "md5:1"), Data("new", "md5:1"))
    old = Metadata(version="1", metrics={"a": 1, "b": 2}, parameters={"lr": 1, "x": "y"}, data=data[:1])
    new = Metadata("", "2", "Echoes.", metrics={"a": 1, "b": 3}, parameters={"lr": 2}, data=data)
    settings, metadata = told(planned(bento, said(new)), publish(store, said(old)), store)
    assert [change.name for change in settings.changes] == ["org.opencontainers.image.description"]
    assert (metadata.title, [(change.kind, change.name) for change in metadata.changes]) == (
        "metadata",
        [
            ("added", "data new"),
            ("changed", "hyperparameter lr"),
            ("removed", "hyperparameter x"),
            ("changed", "metric b"),
        ],
    )


def test_settings_are_compared_and_not_shown(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """Which variables differ, but not what they hold; the labels of packages and base are told with those."""
    before = publish(store, image(cache, {}, ["a==1"], env=["A=old-secret", "B=1"]))
    now = planned(bento, image(cache, {}, ["a==2"], {"image": "python"}, env=["A=new-secret", "B=1"]))
    (difference,) = told(now, before, store)
    assert (difference.title, [change.name for change in difference.changes]) == ("settings", ["A"])
    (change,) = difference.changes
    assert (change.now and change.now.version, change.size) == (None, 0)


def test_what_is_gone_cannot_be_compared(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """A layer that is damaged or removed is said to be, and the others are compared."""
    one = image(cache, {"source echo:one": {"a": b"1"}, "user and environment": {"b": b"2"}})
    before = publish(store, one)
    cache.blob(one.layers[0].descriptor).unlink()
    now = image(cache, {"source echo:two": {"a": b"3"}, "user and environment": {"b": b"4"}})
    source, system = told(planned(bento, now), before, store)
    assert source.changes == ()
    assert "cannot be compared" in source.note
    assert words(system) == [("changed", "b", 1)]


def test_each_platform_has_its_reasons_and_all_have_some(bento: Bento, cache: LayerCache, store: LayoutStore) -> None:
    """What is the same for all is told once; a platform that is new is told, and so is one that is dropped."""
    both = ("linux/amd64", "linux/arm64")

    def of(platform: str, text: bytes, tag: str) -> Image:
        return image(cache, {"packages": {platform: text}, f"source echo:{tag}": {"b": text}}, platform=platform)

    before = publish(store, *(of(platform, b"1", "one") for platform in both))
    now = {platform: planned(bento, of(platform, b"2", "two")) for platform in (*both, "linux/riscv64")}
    found = why.differences({platform: now[platform] for platform in both}, before, store)
    assert [(one.title, owners) for one, owners in found] == [("packages", both), ("source echo:two", both)]
    found = why.differences({"linux/arm64": now["linux/arm64"], "linux/riscv64": now["linux/riscv64"]}, before, store)
    notes = {owners: one.note for one, owners in found if one.title == "image"}
    assert notes[("linux/riscv64",)] == "nothing was published for this platform"
    assert notes[("linux/amd64",)] == "is no longer built for this platform"


def test_an_image_by_somebody_else_is_not_understood(cache: LayerCache, store: LayoutStore) -> None:
    """One that Docker has built has no titles and no labels; it is no fault."""
    other = image_of([], {"Env": []}, "linux/amd64", {})
    with pytest.raises(StoreError, match="was not assembled by bentoship"):
        publish(store, other)
