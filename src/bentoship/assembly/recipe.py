"""The recipe of the image for one platform, resolved once: plan only reads it, assemble builds it."""

from collections.abc import Sequence
from dataclasses import replace

from bentoship.bases import Base, Outline
from bentoship.bento import Bento
from bentoship.errors import UnsupportedBentoError
from bentoship.image.layer import Layer
from bentoship.layers.cache import LayerCache
from bentoship.packages.job import Job
from bentoship.packages.locks import Lock, resolve, with_wheels
from bentoship.packages.target import Target
from bentoship.system.values import dataclass

_USUAL_GLIBC = 36
"""Debian 12's minor version of glibc, for which packages are selected while only the layers of a base are known."""


@dataclass(frozen=True)
class Recipe:
    """What the image for one platform is made of.

    Args:
        bento: the Bento that it serves.
        outline: the outline of its base.
        lock: its Python packages, locked for the target that they have to run on.
    """

    bento: Bento
    outline: Outline
    lock: Lock

    @property
    def platform(self) -> str:
        """Return its platform, such as "linux/amd64"."""
        return self.outline.platform

    def job(self, base: Base, cache: LayerCache) -> Job:
        """Return the job of installing its packages."""
        below = [layer.diff_id for layer in base.layers]
        return Job(self.bento.path, below, base.compiler, self.lock.target, cache)

    def made_packages(self, cache: LayerCache) -> tuple[Layer, ...] | None:
        """Return the layers with its packages if they are cached, else None."""
        base = self.outline.base
        return self.job(base, cache).made(self.lock.installed) if base else None


def check(bento: Bento) -> None:
    """Raise UnsupportedBentoError, with every reason, if a Bento cannot be assembled from layers."""
    if bento.needs_dockerfile:
        raise UnsupportedBentoError(
            f"Assemble {bento.tag} without a Dockerfile",
            "; ".join(bento.needs_dockerfile),
            "Remove them from the Bento, or build it with BentoML and Docker: BACKEND=docker.",
        )


def check_packages(bento: Bento, platforms: Sequence[str], cache: LayerCache) -> None:
    """Check that a Bento's packages have wheels for each platform, as far as that is known without its base.

    Raises: PackagesError as `recipes` and `with_packages` do.
    """
    with_packages(bento, recipes(bento, [Outline(platform, ()) for platform in platforms], cache), cache)


def recipes(bento: Bento, outlines: Sequence[Outline], cache: LayerCache) -> list[Recipe]:
    """Return a Bento's recipe for each platform.

    Args:
        bento: a Bento, which need not be in the store.
        outlines: the outlines of its base, one per platform.
        cache: the cache, which also keeps locks.

    Raises:
        PackagesError: the Bento's requirements cannot be satisfied with wheels for a platform.
    """
    targets = [Target(one.platform, bento.python_version, one.glibc or _USUAL_GLIBC) for one in outlines]
    locks = resolve(bento.path, targets, cache.folder / "locks")
    return [Recipe(bento, outline, lock) for outline, lock in zip(outlines, locks, strict=True)]


def with_packages(bento: Bento, recipes: Sequence[Recipe], cache: LayerCache) -> list[Recipe]:
    """Return recipes whose packages all have wheels for their platforms; those that an index has none of are built.

    Raises: PackagesError, which names all that have none.
    """
    missing = [recipe for recipe in recipes if recipe.made_packages(cache) is None]
    locks = with_wheels(bento.path, [recipe.lock for recipe in missing], cache.folder / "locks")
    found = {recipe.platform: lock for recipe, lock in zip(missing, locks, strict=True)}
    return [replace(recipe, lock=found.get(recipe.platform, recipe.lock)) for recipe in recipes]
