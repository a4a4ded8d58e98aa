"""Doing several things at once, and ending them at once."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_GRACE = 1.0
"""Seconds that threads get to end after a failure. One that hangs in the system then dies with the process."""

Item = TypeVar("Item")
Done = TypeVar("Done")


def map_in_order(work: Callable[[Item], Done], items: Iterable[Item], *, jobs: int = 2) -> Iterator[Done]:
    """Yield the result of a work for each item, in their order; it is done for the next ones while one is used.

    Args:
        work: what to do.
        items: for which.
        jobs: for how many at a time, which is also how many results wait at most.

    Raises: what the work raised.
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
    """Do a work again and again in a thread as long as the block lasts.

    Args:
        work: what to do.
        every: seconds before each time.
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
    """Do a work for each item, several at a time, and give the results in the order of the items.

    The first failure, or Ctrl-C, ends the work on all items.

    Args:
        work: what to do; it is to look at `cancelled` from time to time.
        items: for which, begun in this order.
        jobs: how many at a time.
        cancelled: set when the rest has become useless.
        interrupt: wakes threads that wait for something outside; may be called repeatedly.

    Raises: what the first failing work raised.
    """
    todo = deque(enumerate(items))
    done: queue.SimpleQueue[tuple[int, Done] | BaseException] = queue.SimpleQueue()
    # Daemons, unlike the threads of concurrent.futures: the interpreter does not wait for them at its end.
    threads = [
        threading.Thread(target=_work, args=(work, todo, done, cancelled), daemon=True)
        for _ in range(min(jobs, len(items)))
    ]
    results: dict[int, Done] = {}
    try:
        for thread in threads:
            thread.start()
        for _ in items:
            outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            number, results[number] = outcome
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
    done: queue.SimpleQueue[tuple[int, Done] | BaseException],
    cancelled: threading.Event,
) -> None:
    """Do a work for items, each with its number, until there are no more or one has failed."""
    while not cancelled.is_set():
        try:
            number, item = todo.popleft()
        except IndexError:
            return
        try:
            done.put((number, work(item)))
        except BaseException as error:
            done.put(error)
            return


def _end(threads: Sequence[threading.Thread], interrupt: Callable[[], None]) -> None:
    """Wake threads until they have ended, or their grace is over."""
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and any(thread.is_alive() for thread in threads):
        interrupt()
        for thread in threads:
            if thread.is_alive():
                thread.join(0.02)
