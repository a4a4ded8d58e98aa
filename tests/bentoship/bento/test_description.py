"""What of a module decides what its service is."""

from __future__ import annotations

import threading

import pytest

from bentoship.bento.description import fingerprint, trace_calls

SOURCE = """\
import os
LIMIT = compute()

def compute():
    def inner():
        return 1
    return 2

class Service:
    size: int = 3

    @api(route="/x")
    def predict(self, text: str = "a") -> str:
        "Says something."
        def helper():
            return 4
        return text + "5"

    def stream(self):
        for n in range(6):
            print(n)
"""
RUN = {"<module>", "Service", "compute"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('return text + "5"', "return text.upper()"),
        ("print(n)", "print(n + 1)"),
        ("            return 4", "            return 44"),
        ("        return 1", "        return 11"),
        ("LIMIT = compute()", "\n# why\nLIMIT = compute()  # because"),
        ("        for n in range(6):\n            print(n)", "        def f():\n            yield 1"),
    ],
)
def test_what_is_not_run_decides_nothing(old: str, new: str) -> None:
    """Bodies of functions, comments and empty lines."""
    assert old in SOURCE
    assert fingerprint(SOURCE.replace(old, new).encode(), RUN) == fingerprint(SOURCE.encode(), RUN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = compute()", "LIMIT = compute() + 1"),
        ("    return 2", "    return 22"),
        ("size: int = 3", "size: int = 33"),
        ('route="/x"', 'route="/y"'),
        ("text: str =", "text: bytes ="),
        ('= "a"', '= "b"'),
        ("-> str", "-> int"),
        ("Says something", "Says nothing"),
        ("print(n)", "yield n"),
        ("def stream", "async def stream"),
        ("def stream", "def streams"),
        ("import os", "import sys"),
    ],
)
def test_what_is_run_or_seen_decides(old: str, new: str) -> None:
    """The module's and the classes' bodies, signatures, decorators, docstrings, and functions that were run."""
    assert old in SOURCE
    assert fingerprint(SOURCE.replace(old, new).encode(), RUN) != fingerprint(SOURCE.encode(), RUN)


def test_what_is_run_is_noticed() -> None:
    """In the block alone, in other threads that begin there, too."""

    def before() -> None: ...
    def within() -> None: ...
    def in_thread() -> None: ...

    before()
    with trace_calls() as run:
        within()
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
    before()
    names = {code.co_name for code in run}
    assert {"within", "in_thread"} <= names
    assert "before" not in names
