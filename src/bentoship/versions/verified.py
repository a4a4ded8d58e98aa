"""Whether an image worked when it was last verified, by its attestations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bentoship.errors import BentoshipError
from bentoship.image import keys
from bentoship.stores.artifacts import Referrer
from bentoship.versions.times import parse_time
from bentoship.versions.version import Version

_WORDS = {"true": True, "false": False}


def verified(found: Iterable[Referrer]) -> bool | None:
    """Return whether an image worked when it was last verified; None when it never was.

    Args:
        found: what refers to the image.
    """
    results = [one.annotations for one in found if one.annotations.get(keys.VERIFIED) in _WORDS]
    if not results:
        return None
    return _WORDS[max(results, key=_when)[keys.VERIFIED]]


def _when(annotations: Mapping[str, str]) -> float:
    """Return when an attestation was made, in seconds; 0 for one without a time, so that any other is newer."""
    made = parse_time(annotations.get(keys.CREATED))
    return made.timestamp() if made else 0.0


def check_verified(version: Version) -> str:
    """Check that a version worked when it was last verified, and return that in words. Raises BentoshipError."""
    if version.verified:
        return "verified"
    why = "it did not work when it was last verified" if version.verified is False else "it was never verified"
    hint = "`invoke publish --verify` publishes an image, runs it and records whether it works."
    raise BentoshipError(f"Check that {version.digest} is verified", why, hint)
