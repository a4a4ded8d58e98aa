"""Images from layers, from Bento to registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentoship.backends.direct import DirectBackend
from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.errors import UnsupportedBentoError
from bentoship.layers import LayerCache
from bentoship.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from tests.support.bento import laid_out
from tests.support.cache import needs_apt

pytestmark = needs_apt


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
    backend = DirectBackend(LayerCache(cache / "layers"), layout, tmp_path / "scratch", lambda _: base)
    image = backend.containerize(bento)
    assert layout.resolve("one") == image.descriptor
    backend.tag(image, ["latest", "two"])
    assert {layout.resolve(name).digest for name in ("latest", "two")} == {image.descriptor.digest}
    target = RegistryStore(repository, push=True)
    result = backend.push(image, ["latest", "two"], target, _Silent())
    assert {outcome for _, outcome in result.outcomes} == {"sent"}
    assert target.resolve("latest").digest == image.descriptor.digest
    with target.open(image.descriptor) as content:
        assert json.loads(content.read()) == json.loads(image.manifest)
    again = backend.push(image, ["latest"], target, _Silent())
    assert {outcome for _, outcome in again.outcomes} == {"present"}


def test_a_bento_that_cannot_be_assembled_costs_no_base(bento: Bento, layout: LayoutStore, tmp_path: Path) -> None:
    """It is refused before a base is pulled or made."""

    def never(_: Bento) -> Base:
        raise AssertionError

    refused = Bento(**{**vars(bento), "needs_dockerfile": ("runs `make`",)})
    backend = DirectBackend(LayerCache(tmp_path / "cache"), layout, tmp_path / "scratch", never)
    with pytest.raises(UnsupportedBentoError):
        backend.containerize(refused)
