"""Whether an image worked when it was last verified, by its attestations."""

from __future__ import annotations

from collections.abc import Iterable

from bentoship.errors import BentoshipError
from bentoship.image import keys
from bentoship.stores.artifacts import Referrer
from bentoship.versions.evidence.reading import newest
from bentoship.versions.version import Version

_WORDS = {"true": True, "false": False}


def verified(found: Iterable[Referrer]) -> bool | None:
    """Return whether an image worked when it was last verified; None when it never was.

    Args:
        found: what refers to the image.
    """
    last = newest([one for one in found if one.annotations.get(keys.VERIFIED) in _WORDS])
    return _WORDS[last.annotations[keys.VERIFIED]] if last else None


def check_verified(version: Version) -> str:
    """Check that a version worked when it was last verified, and return that in words. Raises BentoshipError."""
    if version.verified:
        return "verified"
    why = "it did not work when it was last verified" if version.verified is False else "it was never verified"
    hint = f"`invoke verify --version {version.digest}` runs it, and records whether it works."
    raise BentoshipError(f"Check that {version.digest} is verified", why, hint)
