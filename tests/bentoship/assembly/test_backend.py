"""Images from layers, from Bento to registry."""

from __future__ import annotations

import dataclasses
import os
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from bentoship.assembly import image as assembly
from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.backend import Pushed
from bentoship.bases import Base, Outline
from bentoship.bento import Bento
from bentoship.errors import PackagesError, StoreError, UnsupportedBentoError
from bentoship.image.descriptor import INDEX, LAYER_GZIP, Descriptor
from bentoship.image.layer import Entry
from bentoship.image.platforms import manifests_by_platform
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.stores import Reader, Registry
from bentoship.stores.graph import read_manifest
from bentoship.stores.layout import LayoutStore
from tests.support.folders import FolderRegistry
from tests.support.synthetic import GivenBases, laid_out, synthetic_base
from tests.support.wheels import make_requirements, make_source, make_wheel

REPOSITORY = ImageReference("registry.invalid", "team/echo")


@pytest.fixture
def target(tmp_path: Path) -> FolderRegistry:
    """The repository that images go to."""
    return FolderRegistry(tmp_path / "registry", REPOSITORY.path)


def never(*_: object) -> NoReturn:
    """What must not be asked for."""
    raise AssertionError


def backend_of(
    cache: LayerCache, layout: LayoutStore, folder: Path, bases: dict[str, Base], target: Registry | None
) -> DirectBackend:
    """A backend with bases that are made already."""
    registry = (lambda _: target) if target else never
    place = Workplace(cache, layout, folder / "scratch")
    return DirectBackend(place, list(bases), lambda _: GivenBases(bases), registry, never)


class _Silent:
    def begin(self, missing: object) -> None: ...

    def advance(self, descriptor: object, count: int) -> None: ...


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with one package, one model, a module and a script."""
    return laid_out(tmp_path)


def test_an_image_is_made_named_and_sent(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """The layout has it under the Bento's version, then under its tags; the registry has what the layout has."""
    layers = LayerCache(cache / "layers")
    backend = backend_of(layers, layout, tmp_path, {"linux/amd64": base}, target)
    image = backend.containerize(bento)
    assert layout.resolve("one").digest == image.digest
    assert image.layers[-1].title == "source echo:one"
    references = [REPOSITORY.with_tag("latest"), REPOSITORY.with_tag("two")]
    backend.tag(image, references)
    assert {layout.resolve(name).digest for name in ("latest", "two")} == {image.digest}
    pushed = backend.push(image, references, _Silent())
    assert pushed.digest == target.resolve("two").digest == target.resolve("latest").digest == image.digest
    assert {layer.outcome for layer in pushed.layers} == {"sent"}
    sent, made = ([(layer.title, layer.size) for layer in of.layers] for of in (pushed, image))
    assert sent == made
    assert (pushed.sent > image.size, pushed.there) == (True, 0)
    again = backend.push(image, references, _Silent())
    assert ({layer.outcome for layer in again.layers}, again.sent) == ({"present"}, 0)


def test_several_platforms_make_an_index(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """Its tags stand for the index, which holds an image for each; what they share is sent once."""
    layers = LayerCache(tmp_path / "cache")
    bases = both(layers, base)
    backend = backend_of(layers, layout, tmp_path, bases, target)
    image = backend.containerize(bento)
    assert layout.resolve("one").media_type == INDEX
    assert list(image.images) == list(bases)
    assert image.size < sum(one.size for one in image.images.values())
    titles = [layer.title for layer in image.layers]
    assert titles[:2] == ["base for linux/amd64", "base for linux/arm64"]
    assert titles[-2:] == ["model stars:v1", "source echo:one"]
    pushed = backend.push(image, [REPOSITORY.with_tag("latest")], _Silent())
    assert pushed.digest == target.resolve("latest").digest == image.digest
    assert {layer.outcome for layer in pushed.layers} == {"sent"}
    listed = manifests_by_platform(read_manifest(target, target.resolve("latest")))
    assert {name: one.digest for name, one in listed.items()} == {n: one.digest for n, one in image.images.items()}
    for platform in bases:
        alone = backend_of(layers, layout, tmp_path, {platform: bases[platform]}, target).containerize(bento)
        assert alone.digest == listed[platform].digest


def test_platforms_share_packages_that_are_no_program(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path
) -> None:
    """Their layer has byte-code, and is the same for all."""
    layers = LayerCache(cache / "layers")
    arm = synthetic_base(tmp_path, layers, platform="linux/arm64")
    image = backend_of(layers, layout, tmp_path, {"linux/amd64": base, "linux/arm64": arm}, None).containerize(bento)
    assert [layer.title for layer in image.layers][-3:] == ["packages", "model stars:v1", "source echo:one"]
    [packages] = [layer for layer in image.layers if layer.title == "packages"]
    with tarfile.open(layout.path(Descriptor(LAYER_GZIP, packages.digest, packages.size))) as archive:
        assert any(name.endswith(".pyc") for name in archive.getnames())


def test_no_base_is_made_for_packages_that_cannot_be_had(bento: Bento, layout: LayoutStore, tmp_path: Path) -> None:
    """Wheels are asked for first, for all platforms."""
    for name in ("one", "two"):
        make_wheel(tmp_path / "wheels", name, tag="py3-none-manylinux_2_28_x86_64")
        make_source(tmp_path / "wheels", name)
    make_requirements(bento.path, tmp_path / "wheels", "tool==1.0", "one==1.0", "two==1.0")

    place = Workplace(LayerCache(tmp_path / "cache"), layout, tmp_path / "scratch")
    outlines = {platform: Outline(platform, (), glibc=36) for platform in ("linux/amd64", "linux/arm64")}
    backend = DirectBackend(place, list(outlines), lambda _: GivenBases({}, outlines), never, never)
    with pytest.raises(PackagesError, match=r"no wheel for linux/arm64 of one==1\.0, two==1\.0\n"):
        backend.containerize(bento)


def test_a_damaged_layer_of_one_of_several_images_is_made_again(
    bento: Bento, base: Base, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """It is found below the index, too."""
    layers = LayerCache(tmp_path / "cache")
    backend = backend_of(layers, layout, tmp_path, both(layers, base), target)
    image = backend.containerize(bento)
    (source,) = assembly.source_layer(bento, layers)
    for copy in (layers.blob(source.descriptor), layout.path(source.descriptor)):
        copy.unlink()
        copy.write_bytes(bytes(source.descriptor.size))
    with pytest.raises(StoreError, match="run the same command again"):
        backend.push(image, [REPOSITORY.with_tag("latest")], _Silent())
    assert backend.push(backend.containerize(bento), [REPOSITORY.with_tag("latest")], _Silent()).digest == image.digest


def test_a_bento_that_cannot_be_assembled_costs_no_base(bento: Bento, layout: LayoutStore, tmp_path: Path) -> None:
    """It is refused before a base is pulled or made."""

    refused = Bento(**{**vars(bento), "needs_dockerfile": ("runs `make`",)})
    place = Workplace(LayerCache(tmp_path / "cache"), layout, tmp_path / "scratch")
    backend = DirectBackend(place, ["linux/amd64"], never, never, never)
    with pytest.raises(UnsupportedBentoError):
        backend.containerize(refused)


def test_a_damaged_layer_is_never_sent_and_made_again(
    bento: Bento, base: Base, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """A blob that changed in the cache is noticed by its digest and removed; the next run makes it again."""
    layers = LayerCache(tmp_path / "cache")
    backend = backend_of(layers, layout, tmp_path, {"linux/amd64": base_in(layers, base)}, target)
    image = backend.containerize(bento)
    (source,) = assembly.source_layer(bento, layers)
    content = bytearray(layers.blob(source.descriptor).read_bytes())
    content[-1] ^= 1
    for copy in (layers.blob(source.descriptor), layout.path(source.descriptor)):
        copy.write_bytes(content)
    references = [REPOSITORY.with_tag("latest")]
    with pytest.raises(StoreError, match="run the same command again"):
        backend.push(image, references, _Silent())
    assert not target.exists(source.descriptor)
    again = backend.containerize(bento)
    assert backend.push(again, references, _Silent()).digest == image.digest


def test_what_another_repository_has_is_not_sent(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """The registry takes it from there; what is remembered wrongly is sent."""
    layers = LayerCache(cache / "layers")
    first = backend_of(layers, layout, tmp_path, {"linux/amd64": base}, target)
    image = first.containerize(bento)
    first.push(image, [REPOSITORY.with_tag("latest")], _Silent())
    other = ImageReference(REPOSITORY.host, "team/other")
    sibling = FolderRegistry(target.root, other.path)
    digests = [layer.digest for layer in image.layers]
    known = {**dict.fromkeys(digests, REPOSITORY.path), digests[1]: "team/nowhere"}
    place = Workplace(layers, layout, tmp_path / "scratch")
    second = DirectBackend(place, ["linux/amd64"], never, lambda _: sibling, never, holders=lambda _: known)
    pushed = second.push(image, [other.with_tag("latest")], _Silent())
    outcomes = [layer.outcome for layer in pushed.layers]
    assert outcomes == ["mounted", "sent", *["mounted"] * (len(outcomes) - 2)]
    assert pushed.there == sum(layer.size for layer in pushed.layers) - pushed.layers[1].size
    assert sibling.resolve("latest").digest == image.digest


class _Slow(FolderRegistry):
    """A registry to which everything takes a while."""

    def write(self, descriptor: Descriptor, content: Reader, advance: Callable[[int], None]) -> None:
        time.sleep(0.1)
        super().write(descriptor, content, advance)


def test_of_two_runs_one_sends_what_both_have(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """At the same time, to two repositories of a registry: each blob is sent to one, and mounted in the other."""
    layers = LayerCache(cache / "layers")
    image = backend_of(layers, layout, tmp_path, {"linux/amd64": base}, None).containerize(bento)

    def push(path: str) -> Pushed:
        registry = _Slow(target.root, path)
        backend = backend_of(layers, layout, tmp_path, {"linux/amd64": base}, registry)
        return backend.push(image, [ImageReference(REPOSITORY.host, path, "latest")], _Silent())

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(push, ["team/one", "team/other"])
    outcomes = [{a.outcome, b.outcome} for a, b in zip(one.layers, other.layers, strict=True)]
    assert outcomes == [{"sent", "mounted"}] * len(image.layers)


def test_a_model_that_cannot_be_compressed_is_sent_from_where_it_lies(
    bento: Bento, base: Base, layout: LayoutStore, tmp_path: Path, target: FolderRegistry
) -> None:
    """There is no second copy of it; one that was changed under its name is noticed, and sent by its new digest."""
    weights = bento.models[0].path / "weights.bin"
    weights.write_bytes(os.urandom(3_000_000))
    cache = LayerCache(tmp_path / "cache")
    backend = backend_of(cache, layout, tmp_path, {"linux/amd64": base_in(cache, base)}, target)
    references = [REPOSITORY.with_tag("latest")]
    image = backend.containerize(bento)
    (model,) = assembly.model_layer(bento.models[0], cache)
    (title,) = (layer.title for layer in image.layers if layer.digest == model.descriptor.digest)
    assert title == "model stars:v1"
    for folder in (layout.folder, cache.folder):
        assert all(path.stat().st_size < 3_000_000 for path in folder.rglob("*"))
    before = weights.stat()
    weights.write_bytes(os.urandom(3_000_000))
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(StoreError, match="run the same command again"):
        backend.push(image, references, _Silent())
    assert not target.exists(model.descriptor)
    again = backend.containerize(bento)
    assert backend.push(again, references, _Silent()).digest == again.digest != image.digest
    (model,) = assembly.model_layer(bento.models[0], cache)
    with target.open(model.descriptor) as content:
        assert weights.read_bytes() in content.read()


def both(layers: LayerCache, base: Base) -> dict[str, Base]:
    """Bases for two platforms, with a small layer each; both have the files of the one."""
    found = {}
    for platform in ("linux/amd64", "linux/arm64"):
        small = layers.write([Entry("opt/base", content=platform.encode())], "base", "base")
        found[platform] = dataclasses.replace(base, layers=(small,), platform=platform)
    return found


def base_in(layers: LayerCache, base: Base) -> Base:
    """The base with a layer of its own in another cache, in place of its large one."""
    small = layers.write([Entry("opt/base", content=b"base")], "base", "base")
    return dataclasses.replace(base, layers=(small,))
