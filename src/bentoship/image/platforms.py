"""Platforms: how they are written, and which image of an index is for one."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bentoship.image.descriptor import Descriptor

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a container looks for programs when its image does not say (the default of Docker, containerd and podman)."""


@dataclass(frozen=True)
class Architecture:
    """What others call the processor of a platform.

    Args:
        machine: the kernel's name (`uname -m`), which Python's wheels use, too: "x86_64".
        debian: Debian's: "amd64".
    """

    machine: str
    debian: str


ARCHITECTURES: Mapping[str, Architecture] = {
    "linux/amd64": Architecture("x86_64", "amd64"),
    "linux/arm64": Architecture("aarch64", "arm64"),
}
"""The platforms that images are made for."""

# On arm64 there is but one, which Docker's own images name and many others leave out.
_VARIANTS = {"linux/arm64": "v8"}


def platform_of(machine: str) -> str | None:
    """Return the platform of a Linux machine by its kernel's name ("x86_64"); None when no image is made for it."""
    return next((platform for platform, known in ARCHITECTURES.items() if known.machine == machine), None)


def platform_fields(platform: str) -> dict[str, str]:
    """A platform as an index and a configuration hold it: "linux/arm64" is architecture arm64, variant v8, os linux.

    The variant is that of Docker's official images (OCI image spec, image-index.md, "Platform Variants").
    """
    system, architecture, *variant = platform.split("/")
    variant = variant or ([_VARIANTS[platform]] if platform in _VARIANTS else [])
    return {"architecture": architecture, "os": system, **({"variant": variant[0]} if variant else {})}


def platform_name(described: Mapping[str, Any]) -> str:
    """How people write a platform, without a variant that goes without saying: "linux/arm64", "linux/arm/v7"."""
    plain = f"{described['os']}/{described['architecture']}"
    variant = described.get("variant") or ""
    return plain if variant in ("", _VARIANTS.get(plain)) else f"{plain}/{variant}"


def manifests_by_platform(index: bytes) -> dict[str, Descriptor]:
    """The images that an index lists, by their platforms. Raises KeyError, TypeError or ValueError when it is none."""
    listed = [entry for entry in json.loads(index)["manifests"] if entry.get("platform")]
    # Of two for the same platform, the first counts.
    named = {platform_name(entry["platform"]): Descriptor.from_dict(entry) for entry in reversed(listed)}
    # What is no image, such as an attestation, is for "unknown".
    return {name: named[name] for name in sorted(named) if not name.startswith("unknown/")}


Item = TypeVar("Item")


def with_owners(
    by_platform: Mapping[str, Sequence[Item]], key: Callable[[Item], str]
) -> list[tuple[Item, tuple[str, ...]]]:
    """What the images for several platforms consist of, each once, with those that have it: first what not all have.

    Args:
        by_platform: for each platform what its image consists of.
        key: what is the same of an item for all platforms that share it.
    """
    items = {key(item): item for items in by_platform.values() for item in items}
    keys = {platform: set(map(key, items)) for platform, items in by_platform.items()}
    found = [(item, tuple(name for name, of in keys.items() if one in of)) for one, item in items.items()]
    return sorted(found, key=lambda pair: len(pair[1]) == len(by_platform))


def with_platforms(title: str, owners: Sequence[str], platforms: Collection[str]) -> str:
    """A title, with the platforms that it is for unless those are all."""
    return title if len(owners) == len(platforms) else f"{title} for {', '.join(owners)}"
