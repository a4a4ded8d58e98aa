"""Properties tried with values that hypothesis makes up: a few hundred each time, and many others in `.ci/full`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ", "1"))
"""How many times as many values are tried; from 2 on they are others each time, and the seed is printed."""


def fuzz(*values: st.SearchStrategy[Any], examples: int = 100) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Have a test called with values that are made up.

    Args:
        values: what the test's last parameters get.
        examples: how many of them, with FUZZ=1.
    """
    setting = settings(
        max_examples=examples * TIMES,
        database=None,
        deadline=None,
        derandomize=TIMES == 1,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: setting(given(*values)(test))


def texts(alphabet: str = "") -> st.SearchStrategy[str]:
    """Return any texts: of these characters above all, which mean something to the parser, and of all others."""
    some = st.text(st.sampled_from(alphabet), max_size=25) if alphabet else st.nothing()
    return some | st.text(max_size=15) | st.lists(some | st.text(max_size=5), max_size=4).map("".join)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
"""Any value of JSON, and the numbers that Python adds to those."""


def near(document: Any) -> st.SearchStrategy[Any]:
    """Return documents like one that is right, with some of its parts gone, repeated, or anything else."""
    if isinstance(document, dict):
        parts = st.fixed_dictionaries({}, optional={key: near(value) for key, value in document.items()})
        whole = st.fixed_dictionaries({key: near(value) for key, value in document.items()})
        return _mostly(whole | parts)
    if isinstance(document, list):
        one = st.one_of(*map(near, document)) if document else ANY
        return _mostly(st.tuples(*map(near, document)).map(list) | st.lists(one, max_size=3))
    return _mostly(st.just(document))


def _mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda chance: ANY if chance == 0 else usual)
