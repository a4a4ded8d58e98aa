"""Doing several things at once, and ending them at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from bentoship.system.parallel import in_parallel, map_in_order, repeating


def test_results_come_in_the_order_of_the_items() -> None:
    """Whichever was done first."""

    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number * 10

    assert in_parallel(slow_first, range(5), jobs=3, cancelled=threading.Event()) == [0, 10, 20, 30, 40]
    assert in_parallel(slow_first, [], jobs=3, cancelled=threading.Event()) == []


def test_no_more_run_at_once_than_are_allowed() -> None:
    """And no fewer, when there is enough to do."""
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def work(number: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(10)
        with lock:
            running -= 1

    in_parallel(work, range(6), jobs=2, cancelled=threading.Event())
    assert most == 2


def test_the_first_failure_ends_all() -> None:
    """What waits is woken, what is yet to begin never does, and the failure is told."""
    cancelled, woken, begun = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("no luck")
        assert woken.wait(30)

    with pytest.raises(ValueError, match="no luck"):
        in_parallel(work, range(20), jobs=3, cancelled=cancelled, interrupt=woken.set)
    assert cancelled.is_set()
    assert len(begun) <= 4


def test_a_thread_that_cannot_be_woken_is_not_waited_for() -> None:
    """Not for long, at least."""
    for_ever = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("no luck")
        for_ever.wait(60)

    began = time.monotonic()
    with pytest.raises(ValueError, match="no luck"):
        in_parallel(work, range(2), jobs=2, cancelled=threading.Event())
    for_ever.set()
    assert time.monotonic() - began < 20


def test_the_process_does_not_wait_for_a_thread_that_hangs() -> None:
    """Ctrl-C ends it, whatever its threads are at."""
    script = """
import threading, time
from bentoship.system.parallel import in_parallel
def work(number):
    if number == 0:
        raise KeyboardInterrupt
    time.sleep(600)
in_parallel(work, range(2), jobs=2, cancelled=threading.Event())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, timeout=60)
    assert b"KeyboardInterrupt" in done.stderr


def test_work_goes_ahead_in_order() -> None:
    """Results come in the order of the items, and no more of them wait than may."""
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    results = map_in_order(work, range(20), jobs=3)
    assert next(results) == 0
    assert len(begun) <= 4
    assert list(results) == [item * item for item in range(1, 20)]


def test_a_failure_ahead_is_raised_in_its_turn() -> None:
    """What comes before it is given."""
    results = map_in_order(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_work_is_repeated_as_long_as_the_block_lasts() -> None:
    """In one other thread, which is gone afterwards."""
    threads: list[threading.Thread] = []
    with repeating(lambda: threads.append(threading.current_thread()), 0.001):
        end = time.monotonic() + 10
        while len(threads) < 3:
            assert time.monotonic() < end
            time.sleep(0.001)
    (thread,) = set(threads)
    assert thread is not threading.current_thread()
    assert not thread.is_alive()


def test_a_work_is_not_repeated_before_its_time() -> None:
    """What is over at once never has it done, and does not wait for it."""
    done: list[int] = []
    began = time.monotonic()
    with repeating(lambda: done.append(1), 30):
        pass
    assert (done, time.monotonic() - began < 10) == ([], True)
