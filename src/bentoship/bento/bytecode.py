"""Byte-code that the import of a service writes: beside packages, as ever, and not in the user's project."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import SourceFileLoader


def leave_no_byte_code(is_own: Callable[[str], bool]) -> None:
    """Write byte-code for packages only, and none among the user's files, where git would see it.

    Args:
        is_own: returns whether a path is among the user's files.
    """
    set_data = SourceFileLoader.set_data

    def set_foreign_data(self: SourceFileLoader, path: str, data: bytes, *, _mode: int = 0o666) -> None:
        if not is_own(path):
            set_data(self, path, data, _mode=_mode)

    # Python has no other way to disable byte-code for some modules only.
    SourceFileLoader.set_data = set_foreign_data  # type: ignore[method-assign,assignment]  # a hook
