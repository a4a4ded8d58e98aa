"""The registry that tells what it took in."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from benchmarks.registry import running
from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import Image, image_of
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support.cache import needs_apt

pytestmark = needs_apt
CONTENT = b"a layer" * 1000


def push(host: str, path: str) -> Image:
    """Push an image of one layer."""
    store = RegistryStore(ImageReference(host, path), push=True)
    layer = Descriptor.of(LAYER_TAR, CONTENT)
    image = image_of([Layer(layer, layer.digest, "content", "base")], {}, "linux/amd64", {})
    parts = ((layer, CONTENT), (image.config_descriptor, image.config), (image.descriptor, image.manifest))
    for descriptor, content in parts:
        if not store.exists(descriptor):
            store.write(descriptor, io.BytesIO(content), lambda _: None)
    store.tag(image.descriptor, "latest")
    return image


def test_what_is_sent_is_told_once(tmp_path: Path) -> None:
    """Each blob with its size; what is there already is not sent, and so not told."""
    layer = Descriptor.of(LAYER_TAR, CONTENT)
    with running(tmp_path) as registry:
        image = push(registry.host, "side/image")
        taken = registry.taken()
        stored = registry.image("side/image")
        assert taken[layer.digest] == len(CONTENT)
        assert (stored.digest, stored.layers) == (image.descriptor.digest, frozenset({layer.digest}))
        assert stored.size == len(CONTENT) + len(image.config) + len(image.manifest)
        push(registry.host, "side/image")
        assert layer.digest not in registry.taken()


def test_what_is_forgotten_is_sent_anew(tmp_path: Path) -> None:
    """A side that is to start over finds nothing of its own there, and the other finds all of it."""
    layer = Descriptor.of(LAYER_TAR, CONTENT)
    with running(tmp_path) as registry:
        push(registry.host, "one/image")
        push(registry.host, "other/image")
        registry.forget("one")
        with pytest.raises(StoreError):
            registry.image("one/image")
        registry.taken()
        push(registry.host, "other/image")
        assert layer.digest not in registry.taken()
        push(registry.host, "one/image")
        assert registry.taken()[layer.digest] == len(CONTENT)
