"""Configuration and manifest."""

import hashlib
import json

from bentoship.image.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import image_of

LAYERS = [
    Layer(Descriptor(LAYER_GZIP, f"sha256:{number:064x}", 100 + number), f"sha256:{number + 8:064x}", f"layer {number}")
    for number in range(2)
]


def test_the_documents_fit_together() -> None:
    """The manifest points at the configuration and the layers, in order, by digest and size."""
    image = image_of(LAYERS, {"User": "bentoml"}, "linux/amd64", {"b": "2", "a": "1"})
    manifest, config = json.loads(image.manifest), json.loads(image.config)
    assert manifest["mediaType"] == MANIFEST
    assert manifest["config"]["mediaType"] == CONFIG
    assert manifest["config"]["digest"] == f"sha256:{hashlib.sha256(image.config).hexdigest()}"
    assert manifest["config"]["size"] == len(image.config)
    assert manifest["layers"] == [layer.descriptor.to_dict() for layer in LAYERS]
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in LAYERS]
    assert len(config["history"]) == len(LAYERS)
    assert (config["os"], config["architecture"], config["config"]) == ("linux", "amd64", {"User": "bentoml"})
    assert image.size == 201 + len(image.config) + len(image.manifest)


def test_the_same_inputs_give_the_same_bytes() -> None:
    """No time, and no order of a mapping, is in the documents."""
    one = image_of(LAYERS, {"User": "x"}, "linux/amd64", {"a": "1", "b": "2"})
    other = image_of(LAYERS, {"User": "x"}, "linux/amd64", {"b": "2", "a": "1"})
    assert one == other
    assert json.loads(one.config)["created"] == "1980-01-02T00:00:00Z"


def test_a_variant_is_told_apart() -> None:
    """linux/arm64/v8 has a field for v8."""
    config = json.loads(image_of(LAYERS, {}, "linux/arm64/v8", {}).config)
    assert (config["architecture"], config["variant"]) == ("arm64", "v8")
