"""The output of each task: the only package that prints.

Its modules are imported when they are first used: listing the tasks needs none of them.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bentoship.commands import (
        catalog,
        cleanup,
        cloud,
        compare,
        doctor,
        evidence,
        init,
        manifest,
        plan,
        promote,
        publish,
        resolve,
        retention,
        several,
        verify,
        versions,
        words,
    )

__all__ = [
    "catalog", "cleanup", "cloud", "compare", "doctor", "evidence", "init", "manifest", "plan", "promote",
    "publish", "resolve", "retention", "several", "verify", "versions", "words",
]  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
