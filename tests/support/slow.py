"""Cases of one kind of which a few run each time, and all in `.ci/full`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


def cases(named: Mapping[str, object], *always: str) -> list[Any]:
    """Return cases as pytest's parameters; all but some are marked as slow. Args: always: the names of those."""
    assert set(always) <= named.keys()
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)), id=name, marks=() if name in always else pytest.mark.slow
        )
        for name, case in named.items()
    ]
