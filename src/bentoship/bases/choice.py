"""Which base a Bento gets: a rule, never what happens to be reachable."""

from __future__ import annotations

DEBIAN = "debian"


def choose_base(setting: str, bentofile: str, python: str, *, has_apt: bool) -> str:
    """The base: "debian", or the name of an image.

    Args:
        setting: BASE_IMAGE; empty when unset.
        bentofile: what the Bento asks for; empty when it does not.
        python: the Bento's Python, such as "3.11".
        has_apt: whether this host can assemble Debian's packages.
    """
    return setting or bentofile or (DEBIAN if has_apt else f"python:{python}-slim")
