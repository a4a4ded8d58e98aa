"""Platforms and the images for them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from bentoship.image.descriptor import MANIFEST, Descriptor
from bentoship.image.platforms import (
    ARCHITECTURES,
    manifests_by_platform,
    platform_fields,
    platform_name,
    platform_of,
    with_owners,
    with_platforms,
)


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64", "linux/arm/v7", "windows/amd64"])
def test_a_platform_is_written_as_it_is_described(platform: str) -> None:
    """There and back."""
    assert platform_name(platform_fields(platform)) == platform


def test_a_machine_s_platform_is_found_by_its_kernel_s_name() -> None:
    """Of those that images are made for."""
    machines = ["x86_64", "aarch64", "riscv64"]
    assert [platform_of(machine) for machine in machines] == ["linux/amd64", "linux/arm64", None]


def test_others_names_of_an_architecture() -> None:
    """What apt and an index call it is the same; the kernel and wheels have names of their own."""
    for platform, architecture in ARCHITECTURES.items():
        assert platform_fields(platform)["architecture"] == architecture.debian
        assert platform_of(architecture.machine) == platform


def test_a_variant_that_goes_without_saying_may_be_left_out() -> None:
    """arm64 is arm64/v8."""
    assert platform_name({"os": "linux", "architecture": "arm64"}) == platform_name(platform_fields("linux/arm64"))
    assert platform_fields("linux/arm64") == {"architecture": "arm64", "os": "linux", "variant": "v8"}


def test_the_first_image_for_a_platform_counts() -> None:
    """Attestations and what has no platform are no images."""
    described = [{"os": "linux", "architecture": name} for name in ("arm64", "amd64", "amd64", "unknown")]
    described[3]["os"] = "unknown"
    digests = [f"sha256:{number:064x}" for number in range(5)]
    entries = [
        {"mediaType": MANIFEST, "digest": digest, "size": 7, **({"platform": platform} if platform else {})}
        for digest, platform in zip(digests, [*described, None], strict=True)
    ]
    assert manifests_by_platform(json.dumps({"manifests": entries}).encode()) == {
        "linux/amd64": Descriptor(MANIFEST, digests[1], 7),
        "linux/arm64": Descriptor(MANIFEST, digests[0], 7),
    }


@dataclass(frozen=True)
class Thing:
    """Something with a title."""

    title: str
    key: str


def test_what_is_shared_comes_once_and_last() -> None:
    """What is not names its platform; of one platform all stays as it is, but for what another one had."""
    one = [Thing("base", "1"), Thing("model", "2")]
    other = [Thing("base", "3"), Thing("model", "2")]
    owned = with_owners({"a": one, "b": other}, lambda thing: thing.key)
    assert owned == [(one[0], ("a",)), (other[0], ("b",)), (one[1], ("a", "b"))]
    titles = [with_platforms(thing.title, names, ("a", "b")) for thing, names in owned]
    assert titles == ["base for a", "base for b", "model"]
    [(base, names), _] = owned = with_owners({"a": one}, lambda thing: thing.key)
    assert owned == [(thing, ("a",)) for thing in one]
    assert with_platforms(base.title, names, ("a",)) == "base"
    assert with_platforms(base.title, ("b",), ("a",)) == "base for b"
