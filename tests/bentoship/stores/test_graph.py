"""What an image consists of."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext, suppress
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import strategies as st

from bentoship.errors import StoreError
from bentoship.image.descriptor import CONFIG, INDEX, LAYER_GZIP, LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import Image, image_of, index_of, variables
from bentoship.stores.graph import below, children, manifests_of, media_type, read_blob, read_image, read_images
from bentoship.stores.layout import LayoutStore
from bentoship.stores.verified import Verified
from tests.support.fuzzing import ANY, fuzz, near
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


def test_a_blob_is_read_no_further_than_it_is_long() -> None:
    """Whatever is sent; one that is too large is not read at all."""
    endless = Mock(read=Mock(side_effect=lambda size: b"x" * size))
    blob = Descriptor(LAYER_TAR, f"sha256:{1:064x}", 100_000)
    store: Any = Mock(open=Mock(return_value=nullcontext(Verified(endless, blob, "Read it"))))
    with pytest.raises(StoreError, match="100000 bytes is too large"):
        read_blob(store, blob, "Read it", 99_999)
    assert not endless.read.called
    with pytest.raises(StoreError, match="is damaged: 131072 bytes instead of 100000"):
        read_blob(store, blob, "Read it")


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


DIGEST = {"digest": f"sha256:{'0' * 64}", "size": 3, "mediaType": LAYER_TAR, "annotations": {"a": "b"}}
MANIFEST_LIKE = near({"mediaType": MANIFEST, "config": DIGEST, "layers": [DIGEST, DIGEST], "annotations": {"a": "b"}})
INDEX_LIKE = near({"manifests": [{**DIGEST, "platform": {"os": "linux", "architecture": "amd64", "variant": "v8"}}]})
CONFIG_LIKE = near(
    {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["A=b"], "Labels": {"a": "b"}, "User": "a", "Cmd": ["b"], "WorkingDir": "/"},
        "rootfs": {"diff_ids": ["sha256:1", "sha256:2"]},
        "history": [{"created_by": "a", "comment": "b"}, {"empty_layer": True}],
    }
)


@fuzz(MANIFEST_LIKE, CONFIG_LIKE, examples=200)
def test_any_image_is_one_or_damaged(tmp_path_factory: pytest.TempPathFactory, manifest: Any, config: Any) -> None:
    """And what is read of one can be used as it is."""
    layout = LayoutStore(tmp_path_factory.getbasetemp() / "fuzzed")
    if isinstance(manifest, dict) and manifest.get("config") == DIGEST:
        manifest["config"] = put(layout, CONFIG, json.dumps(config).encode()).to_dict()
    root = put(layout, MANIFEST, json.dumps(manifest).encode())
    try:
        image = read_image(layout, root)
    except StoreError:
        return
    assert all(map(str.isprintable, variables(image.settings))) or image.settings
    assert "/".join((image.platform, *(layer.title + layer.kind for layer in image.layers), *image.annotations))
    assert "".join(image.settings.get("Labels") or {}) == "".join(image.settings.get("Labels") or {})
    assert image.descriptor.digest == root.digest


@fuzz(MANIFEST_LIKE | INDEX_LIKE | ANY, st.sampled_from([MANIFEST, INDEX]), examples=200)
def test_any_document_has_parts_or_is_damaged(
    tmp_path_factory: pytest.TempPathFactory, document: Any, kind: str
) -> None:
    """By whatever name it goes."""
    layout = LayoutStore(tmp_path_factory.getbasetemp() / "fuzzed")
    content = json.dumps(document).encode()
    root = put(layout, kind, content)
    media_type(content)
    for read in (children, lambda _: manifests_of(layout, root), lambda _: list(below(layout, root))):
        with suppress(StoreError):
            read(content)


@pytest.mark.parametrize("config", ['{"mediaType": []}', '{"mediaType": {}}', '{"mediaType": null}'])
def test_a_configuration_of_no_type_is_of_no_manifest(config: str) -> None:
    """So that all who ask what it is of get a text."""
    assert media_type(f'{{"mediaType": "{MANIFEST}", "config": {config}, "layers": []}}'.encode()) is None
    assert media_type(b'{"config": {}, "layers": []}') == MANIFEST
