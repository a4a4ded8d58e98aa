"""Where the base system of an image comes from: a registry, or Debian's packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bentoship.bases.facts import Facts
from bentoship.image.layer import Estimate, Layer
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.layers.bytecode import Interpreter


DEBIAN = "debian"


@dataclass(frozen=True)
class Base:
    """The system that everything else is put on.

    Args:
        layers: its layers, lowest first, with their blobs in the blob cache.
        config: the `config` object of its image configuration (Env, Labels, Healthcheck, …).
        platform: such as "linux/amd64".
        facts: what was found in its files, so that they need not be read again.
        rootfs: a folder with its files unpacked, to look at; it may have been changed since.
        origin: what it was made of: an image and its digest, or each Debian package with its version and hash.
        compiler: gives a Python that compiles as the base's own does, and runs here, or raises BaseImageError; files
            of the base that were changed since are restored first.
        name: the image's name with the tag that it was pulled by; empty where it was made here.
    """

    layers: tuple[Layer, ...]
    config: Mapping[str, Any]
    platform: str
    facts: Facts
    rootfs: Path
    origin: Mapping[str, Any]
    compiler: Callable[[], Interpreter] = field(compare=False)
    name: str = ""

    @property
    def outline(self) -> Outline:
        """Return the outline of this base."""
        return Outline(self.platform, self.layers, self.facts.glibc, self.origin, self)


@dataclass(frozen=True)
class Outline:
    """What is known of a base without making or pulling it.

    Args:
        platform: such as "linux/amd64".
        layers: those that it has or will have, lowest first.
        glibc: the minor version of its C library, 36 for 2.36; None where only its files show it.
        origin: what it is made of, as `Base.origin`; empty where only its layers are known.
        base: the base itself, where it exists already.
    """

    platform: str
    layers: tuple[Layer | Estimate, ...]
    glibc: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    base: Base | None = None


class BaseSource(Protocol):
    """One way to get a base for a Bento."""

    def outline(self, platform: str) -> Outline:
        """Return what is known of the base, without making or downloading anything large. Raises BaseImageError."""

    def make(self, platform: str) -> Base:
        """Return the base for a platform, made or pulled unless it exists. Raises BaseImageError."""


def choose_base(setting: str, bentofile: str, python: str, *, has_debian: bool) -> str:
    """Return which base a Bento gets: "debian", or the name of an image; by a rule, not by what is reachable.

    Args:
        setting: BASE_IMAGE; empty when unset.
        bentofile: what the Bento asks for; empty when it does not.
        python: the Bento's Python, such as "3.11".
        has_debian: whether this host can assemble Debian's packages with that Python.
    """
    return setting or bentofile or (DEBIAN if has_debian else f"python:{python}-slim")


def reason_for_base(setting: str, bentofile: str, wish: str, *, debian: str, chosen: str) -> str:
    """Return which base a Bento gets, and why, in words.

    Args:
        setting, bentofile: as of `choose_base`.
        wish: what asks for its Python, such as "the Bento wants Python 3.11".
        debian: the release that has that Python, such as "Debian 12 (bookworm) with Python 3.11"; empty for none.
        chosen: what `choose_base` returns.
    """
    shown = (debian or "Debian's packages") if chosen == DEBIAN else chosen
    if setting:
        return f"{shown}, as BASE_IMAGE says"
    if bentofile:
        return f"{shown}, as the Bento says"
    return (
        f"{shown}, since {wish}" if debian else f"{shown}, since {wish}, for which this machine has no Debian packages"
    )
