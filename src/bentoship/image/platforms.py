"""Platforms: how they are written, and which image of an index is for which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from bentoship.image.descriptor import Descriptor
from bentoship.image.document import parse_json
from bentoship.system.values import dataclass

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a container whose image does not set one (the default of Docker, containerd and podman)."""


@dataclass(frozen=True)
class Architecture:
    """The names of a platform's processor.

    Args:
        machine: the kernel's name (`uname -m`), which wheels also use, such as "x86_64".
        debian: Debian's name, such as "amd64".
    """

    machine: str
    debian: str


ARCHITECTURES: Mapping[str, Architecture] = {
    "linux/amd64": Architecture("x86_64", "amd64"),
    "linux/arm64": Architecture("aarch64", "arm64"),
}
"""The platforms for which images can be assembled."""

# arm64 has only one variant, which Docker's own images name and many others omit.
_VARIANTS = {"linux/arm64": "v8"}


def platform_of(machine: str) -> str | None:
    """Return the platform of a Linux machine by its kernel's name ("x86_64"); None when it is not supported."""
    return next((platform for platform, known in ARCHITECTURES.items() if known.machine == machine), None)


def platform_fields(platform: str) -> dict[str, str]:
    """Return a platform as an index holds it: "linux/arm64" is architecture arm64, variant v8, os linux.

    The default variant is that of Docker's official images (OCI image spec, image-index.md, "Platform Variants").
    """
    system, architecture, *variant = platform.split("/")
    variant = variant or ([_VARIANTS[platform]] if platform in _VARIANTS else [])
    return {"architecture": architecture, "os": system, **({"variant": variant[0]} if variant else {})}


def platform_name(described: Mapping[str, Any]) -> str:
    """Return a platform's usual name, without a default variant: "linux/arm64", "linux/arm/v7"."""
    plain = f"{described['os']}/{described['architecture']}"
    variant = described.get("variant") or ""
    return plain if variant in ("", _VARIANTS.get(plain)) else f"{plain}/{variant}"


def manifests_by_platform(index: bytes) -> dict[str, Descriptor]:
    """Return the images of an index by platform. Raises KeyError, TypeError or ValueError when it is not an index."""
    listed = [entry for entry in parse_json(index)["manifests"] if entry.get("platform")]
    # Of two images for the same platform, the first wins.
    named = {platform_name(entry["platform"]): Descriptor.from_dict(entry) for entry in reversed(listed)}
    # Entries that are not images, such as attestations, have the platform "unknown".
    return {name: named[name] for name in sorted(named) if not name.startswith("unknown/")}


Item = TypeVar("Item")


def with_owners(
    by_platform: Mapping[str, Sequence[Item]], key: Callable[[Item], str]
) -> list[tuple[Item, tuple[str, ...]]]:
    """Return each item of several platforms' images once, with the platforms that have it; those of all come last.

    Args:
        by_platform: the items of each platform's image.
        key: identifies an item across platforms.
    """
    unique = {key(item): item for items in by_platform.values() for item in items}
    keys = {platform: set(map(key, items)) for platform, items in by_platform.items()}
    found = [
        (item, tuple(platform for platform, owned in keys.items() if identity in owned))
        for identity, item in unique.items()
    ]
    return sorted(found, key=lambda pair: len(pair[1]) == len(by_platform))


def with_platforms(title: str, owners: Sequence[str], platforms: Collection[str]) -> str:
    """Return a title, followed by the platforms that it applies to unless those are all."""
    return title if set(owners) == set(platforms) else f"{title} for {', '.join(owners)}"
