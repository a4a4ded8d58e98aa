"""Time limits."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from bentoship.system.deadline import Overdue, time_limit, within
from bentoship.system.process import environment, run


def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    """With the child process that it waits for; what handled the signal before does so again."""
    before = signal.getsignal(signal.SIGALRM)
    code = f"import time; time.sleep(3); open({str(tmp_path / 'done')!r}, 'w')"
    began = time.monotonic()
    with pytest.raises(Overdue), time_limit(0.2):
        run([sys.executable, "-c", code], env=environment())
    assert time.monotonic() - began < 3
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_limit_can_be_lifted() -> None:
    """Then the block takes as long as it takes."""
    with time_limit(0.05) as lift:
        lift()
        time.sleep(0.1)


def test_what_others_do_takes_no_longer() -> None:
    """Neither does what never ends; results and errors are handed on, in whichever thread."""
    assert within(5, lambda: "done") == "done"
    with pytest.raises(KeyError):
        within(5, lambda: {"a": 1}["x"])
    over = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        within(0.1, over.wait)
    over.set()
