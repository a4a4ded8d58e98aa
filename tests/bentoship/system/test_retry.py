"""Trying again what may work the next time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from bentoship.errors import BentoshipError, CloudError, RegistryError, StoreError
from bentoship.system import retry
from bentoship.system.retry import CancelledError, Clock, persist


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.001)


class Failing:
    """An action that fails some times, and then gives how often it was tried."""

    def __init__(self, times: int, error: Callable[[], Exception]) -> None:
        self.left = times
        self.tried = 0
        self._error = error

    def __call__(self) -> int:
        self.tried += 1
        if self.left:
            self.left -= 1
            raise self._error()
        return self.tried


def passing(**more: float) -> Callable[[], RegistryError]:
    """Makes errors that may pass."""
    return lambda: RegistryError("Push", "busy", temporary=True, retry_after=more.get("retry_after", 0))


def test_what_works_is_done_once() -> None:
    """Nothing is repeated without a reason."""
    assert persist(Failing(0, passing()), patience=9) == 1


def test_what_passes_is_tried_again() -> None:
    """Until it works."""
    assert persist(Failing(7, passing()), patience=9) == 8


def test_patience_is_measured_in_seconds() -> None:
    """The last error is raised when they have passed; the pauses in them grow."""
    action = Failing(999, passing())
    began = time.monotonic()
    with pytest.raises(RegistryError, match="busy"):
        persist(action, patience=0.5)
    assert 0.4 <= time.monotonic() - began < 5
    assert 6 <= action.tried <= 14


def test_without_patience_everything_is_tried_once() -> None:
    """However temporary an error is."""
    action = Failing(1, passing())
    with pytest.raises(RegistryError, match="busy"):
        persist(action, patience=0)
    assert action.tried == 1


def test_pauses_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one ends with the patience, and none is longer than the longest."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 1.0)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    with pytest.raises(RegistryError):
        persist(Failing(999, passing()), patience=180, wait=wait)
    assert sum(pauses) == pytest.approx(180, abs=1)
    assert max(pauses) <= retry.LONGEST_PAUSE
    assert all(second > first for first, second in itertools.pairwise(pauses[1:4:2]))


def test_bytes_that_move_are_no_waiting() -> None:
    """Only the time in which nothing moves is counted."""
    clock = Clock()
    sent = itertools.count(1)

    def slow() -> None:
        for _ in range(4):
            time.sleep(0.1)
            clock.move(to=next(sent))
        raise RegistryError("Push", "cut", temporary=True)

    begun = Failing(2, lambda: RegistryError("Push", "cut", temporary=True))
    with pytest.raises(RegistryError):
        persist(lambda: slow() if begun.left else begun(), patience=0.0, clock=clock)
    assert clock.idle < 0.1


def test_progress_starts_the_count_anew() -> None:
    """What gets farther each time is tried as often as it takes."""
    clock = Clock()
    action = Failing(30, passing())

    def farther() -> int:
        clock.move(to=action.tried + 1)
        return action()

    assert persist(farther, patience=0.01, clock=clock) == 31


def test_the_same_place_again_is_no_progress() -> None:
    """A server that always breaks off after as many bytes would be tried for ever."""
    clock = Clock()
    action = Failing(999, passing())

    def as_far() -> int:
        clock.move(to=1000)
        return action()

    with pytest.raises(RegistryError):
        persist(as_far, patience=0.5, clock=clock)
    assert action.tried <= 14


def test_doubtful_errors_are_tried_again_a_few_times() -> None:
    """However much patience is left."""
    action = Failing(9, lambda: RegistryError("Push", "DIGEST_INVALID", temporary=True, retries=2))
    with pytest.raises(RegistryError, match="DIGEST_INVALID"):
        persist(action, patience=60)
    assert action.tried == 3


@pytest.mark.parametrize(
    "error",
    [lambda: RegistryError("Push", "denied"), lambda: StoreError("Read", "damaged"), lambda: KeyError("a mistake")],
)
def test_what_will_not_pass_is_not_tried_again(error: Callable[[], Exception]) -> None:
    """Refusals, damages and our own mistakes."""
    action = Failing(1, error)
    with pytest.raises((StoreError, KeyError)):
        persist(action, patience=60)
    assert action.tried == 1


def test_the_registrys_wish_to_wait_is_heard() -> None:
    """The pause is as long as it asked for."""
    began = time.monotonic()
    persist(Failing(1, passing(retry_after=0.3)), patience=9)
    assert time.monotonic() - began >= 0.3


def test_a_wish_to_wait_for_long_is_told_instead() -> None:
    """Nobody sits before a program that does nothing for an hour."""
    action = Failing(1, passing(retry_after=3600))
    with pytest.raises(RegistryError):
        persist(action, patience=180)
    assert action.tried == 1


def test_a_pause_ends_when_all_ends() -> None:
    """At once."""
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        persist(Failing(9, passing(retry_after=50)), patience=180, wait=cancelled.wait)
    assert time.monotonic() - began < 20


def test_a_policy_tells_whether_and_when_to_try_again() -> None:
    """By the error, the attempts that there were, and the time since the first; its pauses are kept."""
    asked: list[tuple[str, int, float]] = []

    def policy(error: BentoshipError, attempt: int, elapsed: float) -> float | None:
        asked.append((error.why, attempt, elapsed))
        return 0.05 if attempt < 3 else None

    action = Failing(9, lambda: CloudError("Ask", "not yet"))
    with pytest.raises(CloudError, match="not yet"):
        retry.retry(action, policy)
    assert action.tried == 3
    assert [(why, attempt) for why, attempt, _ in asked] == [("not yet", 1), ("not yet", 2), ("not yet", 3)]
    assert [elapsed >= 0.05 * (number - 1) for number, (_, _, elapsed) in enumerate(asked, 1)] == [True] * 3


def test_a_policy_is_not_asked_about_our_own_mistakes() -> None:
    """They are no failures of what was asked."""
    with pytest.raises(KeyError):
        retry.retry(Failing(1, lambda: KeyError("a mistake")), lambda *_: 0.0)
