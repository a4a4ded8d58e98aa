"""Where the base system of an image comes from: a registry, or Debian's packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoship.image.layer import Layer


@dataclass(frozen=True)
class Base:
    """The system that everything else is put on.

    Args:
        layers: its layers, lowest first, with their blobs in the blob cache.
        config: the `config` object of its image configuration (Env, Labels, Healthcheck, …).
        platform: such as "linux/amd64".
        rootfs: a folder with its files unpacked, to read and to run its Python from; owners are not kept.
        origin: what it was made of: an image and its digest, or each Debian package with its version and hash.
    """

    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    platform: str
    rootfs: Path
    origin: Mapping[str, Any]
