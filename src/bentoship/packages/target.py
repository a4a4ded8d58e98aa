"""What packages are installed for, and where an image has them."""

from dataclasses import dataclass

from bentoship.image.platforms import ARCHITECTURES

VENV = "app/.venv"


@dataclass(frozen=True)
class Target:
    """What packages are installed for.

    Args:
        platform: such as "linux/amd64".
        python: the minor version, such as "3.11".
        glibc: the minor version of the base's C library: 36 for 2.36.
    """

    platform: str
    python: str
    glibc: int

    @property
    def uv_platform(self) -> str:
        """Return the platform's name in uv (`--python-platform`)."""
        return f"{ARCHITECTURES[self.platform].machine}-manylinux_2_{self.glibc}"

    @property
    def site_packages(self) -> str:
        """Return where modules are in the image."""
        return f"{VENV}/lib/python{self.python}/site-packages"

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}, glibc 2.{self.glibc}"
