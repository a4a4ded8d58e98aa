"""How the tests are shared among processes."""

from __future__ import annotations

import gc
from typing import Any

import pytest


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole modules as far as possible: what a module's tests share is then made once."""
    from xdist.scheduler import WorkStealingScheduling  # type: ignore[import-untyped]

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_finish() -> None:
    """Collect garbage again, which modules under test turn off: sockets in cycles would stay open."""
    gc.enable()
