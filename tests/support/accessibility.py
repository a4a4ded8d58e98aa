"""Others' checks of whether a page is accessible."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bentoship.system.files import digest_of

_AXE = "axe-core@4.14.1"
_DIGEST = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""Of its axe.min.js, Deque's checks of accessibility; its licence (MPL-2.0) and size keep it out of the repository."""


def axe(folder: Path) -> str:
    """The script of axe-core, which npm fetches once; the test is skipped where it cannot be. Args: folder: to use."""
    file = Path.home() / ".cache" / "bentoship-tests" / "axe.min.js"
    if not file.exists() or digest_of(file) != _DIGEST:
        if not shutil.which("npm"):
            pytest.skip("npm, which fetches axe-core, is missing")
        done = subprocess.run(
            ["npm", "pack", "--silent", _AXE], cwd=folder, capture_output=True, text=True, timeout=120
        )
        if done.returncode:
            pytest.skip(f"axe-core cannot be fetched: {done.stderr}")
        with tarfile.open(folder / done.stdout.strip()) as files:
            script = files.extractfile("package/axe.min.js")
            assert script
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(script.read())
        assert digest_of(file) == _DIGEST
    return file.read_text("utf-8")
