"""The base of Debian's packages, in place of the small one that other tests have."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.bases import Base
from bentoship.bases.debian import DebianSource
from bentoship.debian.apt import Apt
from bentoship.layers.cache import LayerCache
from tests.support.cache import kept, of_run, with_packages


@pytest.fixture(scope="session")
def offered() -> str:
    """The minor version of the Python that Debian's packages have here."""
    versions = {package.name: package.version for package in Apt(kept() / "apt").resolve(["python3"])}
    return ".".join(versions["python3"].split(".")[:2])


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A cache folder with the packages that earlier runs have downloaded."""
    return with_packages(of_run(tmp_path_factory, worker_id))


@pytest.fixture(scope="session")
def base(cache: Path, offered: str) -> Base:
    """The base for amd64."""
    return DebianSource(cache, offered, LayerCache(cache / "layers")).make("linux/amd64")
