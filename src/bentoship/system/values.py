"""Data classes of values, made in a quarter of the time that the standard library takes.

For each frozen class, `dataclasses.dataclass` compiles six functions, which takes 0.4 ms. A publish makes sixty such
classes, so that this was a tenth of an unchanged one. Here `__init__` alone is compiled, and the rest is shared. That
nothing is assigned to a field is checked by mypy, which sees the standard library's decorator, but not at run time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool) -> Callable[[type[Class]], type[Class]]:
        """Return a decorator that makes a data class, as `dataclasses.dataclass(frozen=True)` does."""
        assert frozen
        return _made


Class = TypeVar("Class")


def _made(cls: type[Class]) -> type[Class]:
    made: Any = dataclasses.dataclass(eq=False, repr=False)(cls)
    made.__eq__, made.__hash__, made.__repr__ = _equals, _hash, _repr
    return cls


def _equals(one: Any, other: object) -> Any:
    return _compared(one) == _compared(other) if other.__class__ is one.__class__ else NotImplemented


def _compared(one: Any) -> list[Any]:
    return [getattr(one, field.name) for field in dataclasses.fields(one) if field.compare]


def _hash(one: Any) -> int:
    # A field says whether it is hashed, or else it is where it is compared.
    hashed = (field for field in dataclasses.fields(one) if (field.compare if field.hash is None else field.hash))
    return hash(tuple(getattr(one, field.name) for field in hashed))


def _repr(one: Any) -> str:
    shown = (f"{field.name}={getattr(one, field.name)!r}" for field in dataclasses.fields(one) if field.repr)
    return f"{one.__class__.__qualname__}({', '.join(shown)})"
