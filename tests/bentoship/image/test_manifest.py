"""Configuration and manifest."""

import hashlib
import json

import pytest

from bentoship.image.descriptor import CONFIG, INDEX, LAYER_GZIP, MANIFEST, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.manifest import Image, image_of, index_of
from bentoship.image.platforms import manifests_by_platform

LAYERS = [
    Layer(
        Descriptor(LAYER_GZIP, f"sha256:{number:064x}", 100 + number),
        f"sha256:{number + 8:064x}",
        f"layer {number}",
        "base",
    )
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
    assert manifest["layers"] == [
        {**layer.descriptor.to_dict(), "annotations": {"org.bentoship.layer.kind": "base"}} for layer in LAYERS
    ]
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in LAYERS]
    assert len(config["history"]) == len(LAYERS)
    assert (config["os"], config["architecture"], config["config"]) == ("linux", "amd64", {"User": "bentoml"})


def test_the_same_inputs_give_the_same_bytes() -> None:
    """No time, and no order of a mapping, is in the documents."""
    one = image_of(LAYERS, {"User": "x"}, "linux/amd64", {"a": "1", "b": "2"})
    other = image_of(LAYERS, {"User": "x"}, "linux/amd64", {"b": "2", "a": "1"})
    assert one == other
    assert json.loads(one.config)["created"] == "1980-01-02T00:00:00Z"


@pytest.mark.parametrize("platform", ["linux/arm64", "linux/arm64/v8"])
def test_a_variant_is_told_apart(platform: str) -> None:
    """arm64 has a field for v8, as Docker's official images have it."""
    config = json.loads(image_of(LAYERS, {}, platform, {}).config)
    assert (config["architecture"], config["variant"]) == ("arm64", "v8")


def test_an_index_lists_images_with_their_platforms() -> None:
    """The same whichever is named first; it says of them what they have in common."""
    amd = image_of(LAYERS, {}, "linux/amd64", {"title": "x", "base": "1"})
    arm = image_of(LAYERS[:1], {}, "linux/arm64", {"title": "x", "base": "2"})
    content = index_of([arm, amd])
    assert content == index_of([amd, arm])
    document = json.loads(content)
    assert (document["schemaVersion"], document["mediaType"]) == (2, INDEX)
    assert document["annotations"] == {"title": "x"}
    assert document["manifests"] == [
        {**amd.descriptor.to_dict(), "platform": {"architecture": "amd64", "os": "linux"}},
        {**arm.descriptor.to_dict(), "platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}},
    ]
    assert manifests_by_platform(content) == {"linux/amd64": amd.descriptor, "linux/arm64": arm.descriptor}


def test_an_image_is_read_back_as_it_was_written() -> None:
    """With its layers, their titles and kinds, whatever it lies in."""
    image = image_of(LAYERS, {"User": "x"}, "linux/arm64", {"a": "1"})
    assert Image.parse(image.manifest, image.config) == image
    assert image.settings == {"User": "x"}


def test_an_image_that_a_builder_made_tells_its_commands() -> None:
    """Steps without a layer have none; layers without steps have no titles; all of it counts as a base."""
    made = image_of(LAYERS, {}, "linux/amd64", {})
    config = json.loads(made.config)
    manifest = json.loads(made.manifest)
    for entry in manifest["layers"]:
        del entry["annotations"]
    steps: list[dict[str, object]] = [
        {"created_by": "ADD rootfs"},
        {"created_by": "ENV A=1", "empty_layer": True},
        {"created_by": "RUN make"},
    ]
    for history, titles in ((steps, ["ADD rootfs", "RUN make"]), (steps[:1], ["layer", "layer"])):
        text = json.dumps({**config, "history": [{**step, "comment": "buildkit"} for step in history]})
        read = Image.parse(json.dumps(manifest).encode(), text.encode())
        assert [(layer.title, layer.kind) for layer in read.layers] == [(title, "base") for title in titles]
        assert read.config_descriptor == made.config_descriptor


@pytest.mark.parametrize(
    ("manifest", "config"), [(b"{", b"{}"), (b"{}", b"{}"), (b"[]", b"{}"), (b'{"layers": 1}', b"1")]
)
def test_what_is_no_image_is_not_read(manifest: bytes, config: bytes) -> None:
    """Whoever asked tells where it came from."""
    with pytest.raises((KeyError, TypeError, AttributeError, ValueError)):
        Image.parse(manifest, config)
