"""What publish would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.assembly import plan
from bentoship.bases import Base, Outline
from bentoship.bento import Bento
from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.image.layer import Estimate
from bentoship.layers.cache import LayerCache
from tests.support.synthetic import assembled, laid_out, recipe_of


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with one package and one small model."""
    return laid_out(tmp_path)


def planned(bento: Bento, outline: Outline, cache: LayerCache) -> plan.PlannedImage:
    """The plan for one platform."""
    return plan.planned_image(recipe_of(bento, outline, cache), cache)


def unmade(size: int, platform: str = "linux/amd64") -> Outline:
    """A base that is yet to be made, of so many bytes."""
    return Outline(platform, (Estimate("base", "base", size),), 36, {"debian": {}})


def test_after_assembling_the_plan_is_the_image(bento: Bento, base: Base, tmp_path: Path) -> None:
    """The same image with the same layers, to the byte."""
    cache = LayerCache(tmp_path / "cache")
    image = assembled(bento, base, cache, tmp_path)
    told = planned(bento, base.outline, cache)
    assert list(told.layers) == list(image.layers)
    assert all(one.descriptor and one.size == one.descriptor.size for one in told.layers)
    assert told.image == image
    assert told.recipe.lock.lines == ("tool==1.0",)
    assert told.recipe.outline.origin == base.origin


def test_what_is_made_is_sent_to_the_byte(bento: Bento, base: Base, tmp_path: Path) -> None:
    """With the configuration and the manifest; nothing once all of it is there."""
    cache = LayerCache(tmp_path / "cache")
    image = assembled(bento, base, cache, tmp_path)
    told = {"linux/amd64": planned(bento, base.outline, cache)}
    source = image.layers[-1].descriptor
    changed = plan.push_plan(told, lambda one: one != source and one.media_type == LAYER_GZIP)
    assert changed.digest == image.descriptor.digest
    assert [part.state for part in changed.layers] == ["present"] * (len(image.layers) - 1) + ["new"]
    assert changed.size == source.size + len(image.config) + len(image.manifest)
    assert plan.push_plan(told, lambda one: True).size == 0
    whole = plan.push_plan(told, lambda one: one == image.descriptor)
    assert ({part.state for part in whole.layers}, whole.size) == ({"present"}, 0)


def test_the_registry_is_asked_for_each_part_once(bento: Bento, base: Base, tmp_path: Path) -> None:
    """Documents, too, which count for what is complete and for what has to be sent."""
    cache = LayerCache(tmp_path / "cache")
    image = assembled(bento, base, cache, tmp_path)
    asked: list[Descriptor] = []

    def exists(descriptor: Descriptor) -> bool:
        asked.append(descriptor)
        return False

    plan.push_plan({"linux/amd64": planned(bento, base.outline, cache)}, exists)
    assert sorted(one.digest for one in asked) == sorted(
        one.digest for one in (image.descriptor, image.config_descriptor, *(layer.descriptor for layer in image.layers))
    )


def test_before_it_sizes_are_estimates(bento: Bento, tmp_path: Path) -> None:
    """What is not made yet has a size without a descriptor; what is small is made; there is no digest."""
    told = planned(bento, unmade(25_000_000), LayerCache(tmp_path / "cache"))
    assert [one.descriptor is None for one in told.layers] == [True, True, True, False, False]
    assert told.layers[0].size == 25_000_000
    assert (told.recipe.outline.origin, told.image) == ({"debian": {}}, None)
    shipment = plan.push_plan({"linux/amd64": told}, lambda one: False)
    assert (shipment.digest, shipment.size) == (None, sum(one.size for one in told.layers))


def test_layers_of_an_image_are_known_before_they_are_pulled(bento: Bento, tmp_path: Path) -> None:
    """A base in a registry tells its layers, and so what of it the target has, or can take from elsewhere."""
    base = [Descriptor(LAYER_GZIP, f"sha256:{number:064x}", 1000 + number) for number in range(3)]
    layers = tuple(Estimate("base", "base", descriptor.size, descriptor) for descriptor in base)
    told = planned(bento, Outline("linux/amd64", layers), LayerCache(tmp_path / "cache"))
    assert [one.descriptor for one in told.layers[:3]] == base
    images = {"linux/amd64": told}
    shipment = plan.push_plan(images, lambda one: one == base[1], {base[2].digest})
    assert [part.state for part in shipment.layers[:4]] == ["new", "present", "mountable", "new"]
    assert shipment.size == sum(one.size for one in told.layers) - base[1].size - base[2].size


def test_a_registry_that_cannot_be_asked_leaves_it_open(bento: Bento, tmp_path: Path) -> None:
    """What it may have is unknown, and counts as what has to be sent; what is not made yet is new."""
    told = planned(bento, unmade(10), LayerCache(tmp_path / "cache"))
    shipment = plan.push_plan({"linux/amd64": told}, lambda one: None)
    assert [part.state for part in shipment.layers] == ["new", "new", "new", "unknown", "unknown"]
    assert shipment.size == sum(one.size for one in told.layers)


def test_a_large_model_is_estimated(bento: Bento, tmp_path: Path) -> None:
    """Gigabytes are not packed to tell their size."""
    with (bento.models[0].path / "weights.bin").open("wb") as stream:
        stream.truncate(20_000_000)
    told = planned(bento, unmade(1), LayerCache(tmp_path / "cache"))
    (model,) = [one for one in told.layers if one.title.startswith("model")]
    assert (model.size, model.descriptor) == (20_000_000, None)


def test_each_platform_is_shown_and_what_they_share_once(bento: Bento, tmp_path: Path) -> None:
    """Each layer comes with the platforms that have it."""
    outlines = {platform: unmade(10, platform) for platform in ("linux/amd64", "linux/arm64")}
    cache = LayerCache(tmp_path / "cache")
    images = {platform: planned(bento, outline, cache) for platform, outline in outlines.items()}
    parts = plan.push_plan(images, lambda one: False).layers
    own = ["base", "user and environment", "1 packages"]
    told = [(part.layer.title, part.platforms) for part in parts]
    assert told[:-2] == [(title, (platform,)) for platform in outlines for title in own]
    assert told[-2:] == [(title, tuple(outlines)) for title in ("model stars:v1", "source echo:one")]
