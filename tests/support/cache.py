"""Folders that test processes share: what is dear to make is made once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt")


def kept() -> Path:
    """For downloads: kept from one run of the tests to the next. Whoever changes it holds a lock."""
    folder = Path.home() / ".cache" / "bentoship-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def of_run(factory: pytest.TempPathFactory, worker: str) -> Path:
    """For what the code under test makes: shared by the processes of one run of the tests, and new in each run.

    Args:
        factory: pytest's `tmp_path_factory`.
        worker: xdist's `worker_id`; "master" when there is but one process.
    """
    base = factory.getbasetemp()
    folder = (base if worker == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def with_packages(folder: Path) -> Path:
    """Let a cache folder have what apt has for all tests."""
    (kept() / "apt").mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (folder / "apt").symlink_to(kept() / "apt")
    return folder
