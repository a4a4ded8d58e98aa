"""What publish would do."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import plan
from bentoship.assembly import assemble
from bentoship.bases import Base, Unmade
from bentoship.bento import Bento
from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.layers import LayerCache
from tests.support.bento import laid_out
from tests.support.cache import needs_apt

pytestmark = needs_apt


@pytest.fixture
def bento(tmp_path: Path, offered: str) -> Bento:
    """A Bento with one package and one small model."""
    return laid_out(tmp_path, offered)


def planned(bento: Bento, outline: plan.Outline, cache: LayerCache) -> list[plan.PlannedLayer]:
    """The plan for amd64."""
    return plan.planned_layers(bento, {"linux/amd64": outline}, cache)


def test_after_assembling_the_plan_is_the_image(bento: Bento, base: Base, tmp_path: Path) -> None:
    """The same layers, in the same order, to the byte."""
    cache = LayerCache(tmp_path / "cache")
    image = assemble(bento, base, cache, tmp_path)
    layers = planned(bento, base, cache)
    assert [(one.title, one.descriptor) for one in layers] == [(one.title, one.descriptor) for one in image.layers]
    assert all(one.made and one.descriptor and one.size == one.descriptor.size for one in layers)


def test_before_it_sizes_are_estimates(bento: Bento, tmp_path: Path) -> None:
    """What is not made yet has a size without a descriptor; what is small is made."""
    layers = planned(bento, Unmade("linux/amd64", 25_000_000, glibc=36), LayerCache(tmp_path / "cache"))
    assert [one.descriptor is None for one in layers] == [True, True, True, False, False]
    assert layers[0].size == 25_000_000


def test_layers_of_an_image_are_known_before_they_are_pulled(bento: Bento, tmp_path: Path) -> None:
    """A base in a registry tells its layers, and so what of it the target has."""
    base = [Descriptor(LAYER_GZIP, f"sha256:{number:064x}", 1000 + number) for number in range(2)]
    layers = planned(bento, base, LayerCache(tmp_path / "cache"))
    assert [one.descriptor for one in layers[:2]] == base
    surveyed = plan.survey(layers, lambda descriptor: descriptor == base[1])
    assert [there for _, there in surveyed] == [False, True, False, False, False, False]


def test_a_large_model_is_estimated(bento: Bento, tmp_path: Path) -> None:
    """Gigabytes are not packed to tell their size."""
    with (bento.models[0].path / "weights.bin").open("wb") as stream:
        stream.truncate(20_000_000)
    layers = planned(bento, Unmade("linux/amd64", 1, glibc=36), LayerCache(tmp_path / "cache"))
    (model,) = [one for one in layers if one.title.startswith("model")]
    assert (model.size, model.descriptor) == (20_000_000, None)


def test_each_platform_is_shown_and_what_they_share_once(bento: Bento, tmp_path: Path) -> None:
    """Titles name the platform of what is not shared."""
    outlines = {platform: Unmade(platform, 10, glibc=36) for platform in ("linux/amd64", "linux/arm64")}
    layers = plan.planned_layers(bento, outlines, LayerCache(tmp_path / "cache"))
    titles = [layer.title for layer in layers]
    assert titles[-2:] == ["model stars:v1", "source echo:one"]
    own = ["base", "user and environment", "1 packages"]
    assert titles[:-2] == [f"{title} for {platform}" for platform in outlines for title in own]
