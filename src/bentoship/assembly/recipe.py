"""What the image for one platform is made of, resolved once: plan reads it and makes nothing, assemble makes it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bentoship.bases import Base, Outline
from bentoship.bento import Bento
from bentoship.errors import UnsupportedBentoError
from bentoship.image.layer import Layer
from bentoship.layers.cache import LayerCache
from bentoship.packages.install import Target
from bentoship.packages.layers import made_layers
from bentoship.packages.locks import Lock, check_wheels, resolve
from bentoship.packages.package import Job

_USUAL_GLIBC = 36
"""Debian 12's, which packages are chosen for while nothing is known of a base but its layers."""


@dataclass(frozen=True)
class Recipe:
    """An image to be.

    Args:
        bento: what it serves.
        outline: what is known of its base.
        lock: its Python packages, for what they have to run on.
    """

    bento: Bento
    outline: Outline
    lock: Lock

    @property
    def platform(self) -> str:
        """Return what it is for, such as "linux/amd64"."""
        return self.outline.platform

    def job(self, base: Base, cache: LayerCache) -> Job:
        """Return what its packages are installed for."""
        return Job(self.bento.path, base, self.lock.target, cache)

    def made_packages(self, cache: LayerCache) -> tuple[Layer, ...] | None:
        """Return the layers with its packages; None unless they were made before."""
        base = self.outline.base
        return made_layers(self.job(base, cache), self.lock.lines) if base else None


def check(bento: Bento) -> None:
    """Refuse a Bento that cannot be assembled from layers, with every reason. Raises UnsupportedBentoError."""
    if bento.needs_dockerfile:
        raise UnsupportedBentoError(
            f"Put {bento.tag} together without a Dockerfile",
            "; ".join(bento.needs_dockerfile),
            "Drop them from the Bento, or build it with BentoML and Docker: BACKEND=docker.",
        )


def recipes(bento: Bento, outlines: Sequence[Outline], cache: LayerCache) -> list[Recipe]:
    """Return a Bento's recipe for each platform.

    Args:
        bento: a Bento, which need not be in the store.
        outlines: what is known of its base, for each platform.
        cache: keeps locks.

    Raises:
        PackagesError: for a platform no set of wheels satisfies the Bento's requirements.
    """
    targets = [Target(one.platform, bento.python_version, one.glibc or _USUAL_GLIBC) for one in outlines]
    locks = resolve(bento.path, targets, cache.folder / "locks")
    return [Recipe(bento, outline, lock) for outline, lock in zip(outlines, locks, strict=True)]


def check_packages(bento: Bento, recipes: Iterable[Recipe], cache: LayerCache) -> None:
    """See that the packages that are still to be installed can be had, for all platforms. Raises PackagesError."""
    check_wheels(bento.path, [recipe.lock for recipe in recipes if recipe.made_packages(cache) is None])
