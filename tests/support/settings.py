"""Settings of tests, from a folder and an environment of their own."""

from pathlib import Path

from bentoship import settings


def load(folder: Path, **environ: str) -> settings.Settings:
    """Settings from a folder and an environment of the test's own."""
    return settings.load(folder, {"HOME": str(folder), **environ})
