"""What an image consists of."""

from __future__ import annotations

import io
import json

import pytest

from bentoship.errors import StoreError
from bentoship.image.descriptor import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import Image, image_of, index_of
from bentoship.stores.graph import read_image, read_images
from bentoship.stores.layout import LayoutStore
from tests.support.images import put

LAYER = Layer(Descriptor(LAYER_GZIP, f"sha256:{1:064x}", 100), f"sha256:{2:064x}", "source echo:one", "source")
AMD, ARM = (image_of([LAYER], {}, platform, {}) for platform in ("linux/amd64", "linux/arm64"))


def kept(layout: LayoutStore, image: Image) -> Descriptor:
    """The manifest of an image whose documents are in a store."""
    layout.write(image.config_descriptor, io.BytesIO(image.config), lambda _: None)
    layout.write(image.descriptor, io.BytesIO(image.manifest), lambda _: None)
    return image.descriptor


def test_an_image_is_read_from_its_store(layout: LayoutStore) -> None:
    """By its manifest; of one that is no index it is the only one."""
    root = kept(layout, AMD)
    assert read_image(layout, root) == AMD
    assert read_images(layout, root) == {"linux/amd64": AMD}


def test_the_images_of_an_index_are_read_by_platform(layout: LayoutStore) -> None:
    """All of them."""
    for image in (AMD, ARM):
        kept(layout, image)
    root = put(layout, INDEX, index_of([AMD, ARM]))
    assert read_images(layout, root) == {"linux/amd64": AMD, "linux/arm64": ARM}


@pytest.mark.parametrize("config", [b"{}", b"[", b'{"rootfs": {"diff_ids": []}}'])
def test_a_damaged_image_is_told(layout: LayoutStore, config: bytes) -> None:
    """A configuration that does not fit the manifest is the store's fault, not a crash."""
    entry = put(layout, CONFIG, config).to_dict()
    manifest = {**json.loads(AMD.manifest), "config": entry}
    root = put(layout, MANIFEST, json.dumps(manifest).encode())
    with pytest.raises(StoreError, match="the image is damaged"):
        read_image(layout, root)


def test_an_index_that_is_none_is_told(layout: LayoutStore) -> None:
    """As an image is."""
    root = put(layout, INDEX, b'{"manifests": [{"platform": {"os": "linux"}}]}')
    with pytest.raises(StoreError, match="the image is damaged"):
        read_images(layout, root)
