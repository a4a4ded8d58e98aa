"""Why a Bento cannot be built, as the process that imports its service reports it."""

from __future__ import annotations

from enum import Enum

from bentoship.system.values import dataclass

EXPORT = 'bentoml models export NAME:VERSION "$PWD/model/"'
"""The command that exports a model into a project. In some Pythons BentoML takes a relative path from the root."""


class FailureKind(str, Enum):  # noqa: UP042  # StrEnum came with Python 3.11
    """The kinds of reasons why a Bento cannot be built."""

    UNKNOWN_KEY = "unknown key"
    LOCK = "lock"
    MISSING_MODEL = "missing model"
    SERVICE = "service"
    NOT_PACKED = "not packed"
    LAYOUT = "layout"
    WHEEL = "wheel"
    OTHER = "other"


@dataclass(frozen=True)
class Failure:
    """The reason why a Bento could not be built.

    Args:
        kind: the kind of reason.
        message: the cause, in the words of the program that failed.
        missing: the module that a service imports and that may be the cause, as it is not installed or another version.
    """

    kind: FailureKind
    message: str
    missing: str = ""
