"""What an image is made of, as an SBOM lists it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Literal

from bentoship.system.values import dataclass

Kind = Literal["python", "debian", "system", "image", "model", "file"]


@dataclass(frozen=True)
class Component:
    """A part of an image that has a name of its own.

    Args:
        kind: a Python or Debian package, the system that the latter are of, a base image, a model, or a file of one.
        name: as its ecosystem calls it ("numpy", "libc6", "debian").
        version: as its ecosystem writes it; empty when unknown.
        sha256: the digests, in hex, of the archives that it may have come from, or of a file.
        license: as it states that itself: an SPDX expression or a name; empty when unknown.
        details: further names of a package URL: `arch`, `distro`.
        origin: where it was downloaded, for a Python package that no index has; the distribution of a Debian one.
        layer: the digest of the layer that holds it alone; empty for none.
        parts: the files of a model.
    """

    kind: Kind
    name: str
    version: str = ""
    sha256: Sequence[str] = ()
    license: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    layer: str = ""
    parts: Sequence[Component] = ()


@dataclass(frozen=True)
class Contents:
    """What an image is made of, listed when it is asked for.

    Args:
        key: differs whenever the components do.
        components: lists them.
    """

    key: str
    components: Callable[[], Sequence[Component]]
