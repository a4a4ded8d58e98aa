"""Images from layers, from Bento to registry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NoReturn

import pytest

from bentoship import assembly
from bentoship.backends.direct import DirectBackend
from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.errors import StoreError, UnsupportedBentoError
from bentoship.image.layer import Entry
from bentoship.layers import LayerCache
from bentoship.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from tests.support.bento import laid_out
from tests.support.cache import needs_apt

pytestmark = needs_apt


def never(*_: object) -> NoReturn:
    """What must not be asked for."""
    raise AssertionError


def backend_of(
    cache: LayerCache, layout: LayoutStore, folder: Path, bases: dict[str, Base], target: RegistryStore
) -> DirectBackend:
    """A backend with bases that are made already."""

    def base(_: Bento, platform: str) -> Base:
        return bases[platform]

    return DirectBackend(cache, layout, folder / "scratch", base, lambda _: target, base, never, list(bases))


class _Silent:
    def begin(self, missing: object) -> None: ...

    def advance(self, descriptor: object, count: int) -> None: ...


@pytest.fixture
def bento(tmp_path: Path, offered: str) -> Bento:
    """A Bento with one package, one model, a module and a script."""
    return laid_out(tmp_path, offered)


def test_an_image_is_made_named_and_sent(
    bento: Bento, base: Base, cache: Path, layout: LayoutStore, tmp_path: Path, repository: ImageReference
) -> None:
    """The layout has it under the Bento's version, then under its tags; the registry has what the layout has."""
    target = RegistryStore(repository, push=True)
    layers = LayerCache(cache / "layers")
    backend = backend_of(layers, layout, tmp_path, {"linux/amd64": base}, target)
    image = backend.containerize(bento)
    assert layout.resolve("one").digest == image.digest
    assert image.parts[-1].title == "source echo:one"
    references = [repository.with_tag("latest"), repository.with_tag("two")]
    backend.tag(image, references)
    assert {layout.resolve(name).digest for name in ("latest", "two")} == {image.digest}
    pushed = backend.push(image, references, _Silent())
    assert pushed.digest == target.resolve("two").digest == target.resolve("latest").digest == image.digest
    assert {part.outcome for part in pushed.parts} == {"sent"}
    assert [(part.title, part.size) for part in pushed.parts] == [(part.title, part.size) for part in image.parts]
    assert (pushed.sent > image.size, pushed.there) == (True, 0)
    again = backend.push(image, references, _Silent())
    assert ({part.outcome for part in again.parts}, again.sent) == ({"present"}, 0)


def test_a_bento_that_cannot_be_assembled_costs_no_base(bento: Bento, layout: LayoutStore, tmp_path: Path) -> None:
    """It is refused before a base is pulled or made."""

    refused = Bento(**{**vars(bento), "needs_dockerfile": ("runs `make`",)})
    platforms = ["linux/amd64"]
    cache = LayerCache(tmp_path / "cache")
    backend = DirectBackend(cache, layout, tmp_path / "scratch", never, never, never, never, platforms)
    with pytest.raises(UnsupportedBentoError):
        backend.containerize(refused)


def test_a_damaged_layer_is_never_sent_and_made_again(
    bento: Bento, base: Base, layout: LayoutStore, tmp_path: Path, repository: ImageReference
) -> None:
    """A blob that changed in the cache is noticed by its digest and removed; the next run makes it anew."""
    target = RegistryStore(repository, push=True)
    layers = LayerCache(tmp_path / "cache")
    backend = backend_of(layers, layout, tmp_path, {"linux/amd64": base_in(layers, base)}, target)
    image = backend.containerize(bento)
    (source,) = assembly.source_layer(bento, layers)
    content = bytearray(layers.blob(source.descriptor).read_bytes())
    content[-1] ^= 1
    for copy in (layers.blob(source.descriptor), layout.path(source.descriptor)):
        copy.write_bytes(content)
    references = [repository.with_tag("latest")]
    with pytest.raises(StoreError, match="run it again"):
        backend.push(image, references, _Silent())
    assert not target.exists(source.descriptor)
    again = backend.containerize(bento)
    assert backend.push(again, references, _Silent()).digest == image.digest


def base_in(layers: LayerCache, base: Base) -> Base:
    """The base with a layer of its own in another cache, in place of its large one."""
    small = layers.write([Entry("opt/base", content=b"base")], "base")
    return dataclasses.replace(base, layers=(small,))
