"""Parallel work that can be cancelled."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_GRACE = 1.0
"""Seconds that threads get to end after a failure. One that still hangs dies with the process."""

Item = TypeVar("Item")
Done = TypeVar("Done")


def map_in_order(work: Callable[[Item], Done], items: Iterable[Item], *, jobs: int = 2) -> Iterator[Done]:
    """Yield the result of a function for each item, in order, working ahead on the next ones.

    Args:
        work: the function.
        items: its arguments.
        jobs: how many run at a time, and how many results wait at most.

    Raises: what the function raises.
    """
    with ThreadPoolExecutor(jobs) as pool:
        following: deque[Future[Done]] = deque()
        for item in items:
            following.append(pool.submit(work, item))
            if len(following) > jobs:
                yield following.popleft().result()
        while following:
            yield following.popleft().result()


@contextmanager
def repeating(work: Callable[[], None], every: float) -> Iterator[None]:
    """Call a function again and again in a thread as long as the block lasts.

    Args:
        work: the function.
        every: seconds before each call.
    """
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def in_parallel(
    work: Callable[[Item], Done],
    items: Sequence[Item],
    *,
    jobs: int,
    cancelled: threading.Event,
    interrupt: Callable[[], None] = lambda: None,
) -> list[Done]:
    """Return the results of a function for each item, in order, several running at a time.

    The first failure, or Ctrl-C, cancels the rest.

    Args:
        work: the function, which should check `cancelled` from time to time.
        items: its arguments, started in this order.
        jobs: how many run at a time.
        cancelled: set when the rest is cancelled.
        interrupt: wakes threads that are blocked; may be called repeatedly.

    Raises: what the first failing call raised.
    """
    todo = deque(enumerate(items))
    results: dict[int, Done] = {}
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    # Daemon threads, unlike those of concurrent.futures: the interpreter does not wait for them at exit.
    threads = [
        threading.Thread(target=_work, args=(work, todo, results, ended, cancelled), daemon=True)
        for _ in range(min(jobs, len(items)))
    ]
    try:
        for thread in threads:
            thread.start()
        # Woken by each thread, not by each result, for which this one would take the interpreter from the others.
        for _ in threads:
            if error := ended.get():
                raise error
    except BaseException:
        cancelled.set()
        _end(threads, interrupt)
        raise
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(items))]


def _work(
    work: Callable[[Item], Done],
    todo: deque[tuple[int, Item]],
    results: dict[int, Done],
    ended: queue.SimpleQueue[BaseException | None],
    cancelled: threading.Event,
) -> None:
    """Call a function for numbered items until there are none left or one has failed."""
    try:
        while not cancelled.is_set():
            try:
                number, item = todo.popleft()
            except IndexError:
                break
            results[number] = work(item)
        ended.put(None)
    except BaseException as error:
        ended.put(error)


def _end(threads: Sequence[threading.Thread], interrupt: Callable[[], None]) -> None:
    """Wake threads until they have ended or the grace period is over."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(thread.is_alive() for thread in threads):
        interrupt()
        for thread in threads:
            if thread.is_alive():
                thread.join(0.02)
