"""Where the base system of an image comes from: a registry, or Debian's packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.bases.facts import Facts
from bentoship.image.layer import Layer

if TYPE_CHECKING:
    from bentoship.layers.bytecode import Interpreter


@dataclass(frozen=True)
class Base:
    """The system that everything else is put on.

    Args:
        layers: its layers, lowest first, with their blobs in the blob cache.
        config: the `config` object of its image configuration (Env, Labels, Healthcheck, …).
        platform: such as "linux/amd64".
        facts: what its files tell, which need not be looked at for that.
        rootfs: a folder with its files unpacked, to look at; somebody may have changed it since.
        origin: what it was made of: an image and its digest, or each Debian package with its version and hash.
        compiler: gives a Python that compiles as the base's own does, and runs here, or raises BaseImageError; what of
            its files was changed is made anew for it.
    """

    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    platform: str
    facts: Facts
    rootfs: Path
    origin: Mapping[str, Any]
    compiler: Callable[[], Interpreter] = field(compare=False)


@dataclass(frozen=True)
class Unmade:
    """A base that is still to be put together.

    Args:
        platform: such as "linux/amd64".
        size: about how many bytes it will weigh.
        glibc: the minor version of its C library: 36 for 2.36.
        origin: what it will be made of, as a base tells it.
    """

    platform: str
    size: int
    glibc: int
    origin: Mapping[str, Any] = field(default_factory=dict)
