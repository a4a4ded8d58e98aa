"""The published example, and the engines that run it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.system.files import file_lock
from tests.support.cache import of_run
from tests.support.engines import ENGINES, Engine, require
from tests.support.published import Published, publishing
from tests.support.shared import shared
from tests.support.site import echo_site, shared_cache


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Published]:
    """The project's example in a local registry."""
    with publishing(of_run(tmp_path_factory, worker_id) / "published") as published:
        yield published


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """Caches with a registry that stops when the tests have ended."""
    folder = shared_cache(tmp_path_factory.mktemp("caches"), of_run(tmp_path_factory, worker_id))
    yield folder
    assert echo_site(tmp_path_factory.mktemp("end"), folder).invoke("stop-registry").returncode == 0


@pytest.fixture(scope="session", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, published: Published, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Engine]:
    """Each engine in turn; it has pulled the published image."""
    require(request.param)
    folder = of_run(tmp_path_factory, worker_id) / request.param
    folder.mkdir(exist_ok=True)
    engine = ENGINES[request.param](folder)
    image = published.reference
    with shared(folder, lambda: engine.pull(image), lambda: engine.remove(image)):
        yield engine


@pytest.fixture
def verifying(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """No other process of the tests verifies the published image, and so leaves something meanwhile."""
    with file_lock(of_run(tmp_path_factory, worker_id) / "verifying.lock"):
        yield
