"""Versions of installed packages, above all of BentoML."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from bentoship.errors import BentoError

SUPPORTED_BENTOML = ((1, 4, 20), (1, 5))
"""The first version of BentoML that works, and the first that may not; pyproject.toml has the same range.

Earlier ones need a package (fs) that no longer imports; a later minor version may change what the adapter relies on.
"""


def bentoml_version() -> str:
    """Return the version of the installed BentoML."""
    return installed_version("bentoml")


def installed_version(package: str) -> str:
    """Return a package's version, from the name of its .dist-info folder: importlib.metadata takes 10 ms to import.

    Args:
        package: its name, which is also that of its module.
    """
    spec = find_spec(package)
    folders = Path(spec.origin).parents[1].glob(f"{package}-*.dist-info") if spec and spec.origin else iter(())
    if folder := next(folders, None):
        return folder.stem.removeprefix(f"{package}-")
    from importlib.metadata import version  # from a folder of sources

    return version(package)


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version: (1, 4, 39)."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def check_bentoml(found: str = "") -> None:
    """Check that a BentoML is a supported one. Raises BentoError.

    Args:
        found: its version, of an environment with the service's own packages; empty for the installed one.
    """
    own, found = not found, found or bentoml_version()
    first, beyond = SUPPORTED_BENTOML
    if not first <= numbers_of(found) < beyond:
        supported = f">={'.'.join(map(str, first))},<{'.'.join(map(str, beyond))}"
        if not own:
            why = f"its requirements ask for BentoML {found}, but bentoship builds with {supported} alone"
            raise BentoError("Build the Bento", why, "Require one of these.")
        why = f"BentoML {found} is installed, but only {supported} is supported"
        raise BentoError("Build the Bento", why, f'Install another one: `pip install "bentoml{supported}"`.')
