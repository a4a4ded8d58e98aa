"""What goes wrong on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.google.errors import RefusalError


@dataclass(frozen=True)
class Answer:
    """What is answered over HTTP instead of the real answer.

    Args:
        status: of the answer.
        body: of it.
        headers: of it.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong, and with which calls.

    Args:
        call: whose name it is, a regular expression: of the APIs "GetRepository", or "CreateRepository (operation)" for
            how the operation ends that was begun well; of HTTP "PUT /v2/PROJECT/…".
        error: what is answered; None for the real answer. A RefusalError by the APIs, an Answer over HTTP.
        times: how many of them, from the first on.
        hang: seconds to wait before the answer, at most until everything ends.
    """

    call: str
    error: RefusalError | Answer | None = None
    times: int = 1
    hang: float = 0.0


class Faults:
    """The faults to come; safe to share between threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, call: str, error: RefusalError | Answer | None = None, *, times: int = 1, hang: float = 0.0) -> None:
        """Let the next calls go wrong. Args: as those of Fault."""
        with self._lock:
            self._faults.append(Fault(call, error, times, hang))

    def take(self, call: str) -> Fault | None:
        """What is to go wrong with this call."""
        with self._lock:
            for fault in self._faults:
                if fault.times > 0 and re.fullmatch(fault.call, call):
                    fault.times -= 1
                    return fault
        return None
