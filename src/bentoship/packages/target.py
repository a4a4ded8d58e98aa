"""What packages are installed for, and where an image has them."""

from __future__ import annotations

from bentoship.image.platforms import ARCHITECTURES
from bentoship.system.values import dataclass

VENV = "app/.venv"

_UV_KNOWS = (17, 28, *range(31, 41))
"""The minor versions of glibc that uv can lock and install for; what a lower one needs, a higher one runs."""


@dataclass(frozen=True)
class Target:
    """What packages are installed for.

    Args:
        platform: such as "linux/amd64"; "darwin/arm64" for a Mac that imports a service.
        python: the minor version, such as "3.11".
        glibc: the minor version of the base's C library: 36 for 2.36.
    """

    platform: str
    python: str
    glibc: int

    @property
    def uv_platform(self) -> str:
        """Return the platform's name in uv (`--python-platform`)."""
        system, _, architecture = self.platform.partition("/")
        machine = ARCHITECTURES[f"linux/{architecture}"].machine
        if system == "darwin":
            return f"{machine}-apple-darwin"
        known = max((minor for minor in _UV_KNOWS if minor <= self.glibc), default=self.glibc)
        return f"{machine}-manylinux_2_{known}"

    @property
    def site_packages(self) -> str:
        """Return where modules are in the image."""
        return f"{VENV}/lib/python{self.python}/site-packages"

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}, glibc 2.{self.glibc}"
