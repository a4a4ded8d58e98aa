"""Trying again what may work the next time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from bentoship.errors import BentoshipError, CloudError, RegistryError, StoreError
from bentoship.stores import retry
from bentoship.stores.retry import CancelledError, persist


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
    assert persist(Failing(0, passing()), attempts=5) == 1


def test_what_passes_is_tried_again() -> None:
    """Until it works."""
    assert persist(Failing(3, passing()), attempts=5) == 4


def test_attempts_are_counted() -> None:
    """The last error is told."""
    action = Failing(9, passing())
    with pytest.raises(RegistryError, match="busy"):
        persist(action, attempts=3)
    assert action.tried == 3


@pytest.mark.parametrize(
    "error",
    [lambda: RegistryError("Push", "denied"), lambda: StoreError("Read", "damaged"), lambda: KeyError("a mistake")],
)
def test_what_will_not_pass_is_not_tried_again(error: Callable[[], Exception]) -> None:
    """Refusals, damages and our own mistakes."""
    action = Failing(1, error)
    with pytest.raises((StoreError, KeyError)):
        persist(action, attempts=5)
    assert action.tried == 1


def test_the_registrys_wish_to_wait_is_heard() -> None:
    """The pause is as long as it asked for."""
    began = time.monotonic()
    persist(Failing(1, passing(retry_after=0.3)), attempts=2)
    assert time.monotonic() - began >= 0.3


def test_a_wish_to_wait_for_long_is_told_instead() -> None:
    """Nobody sits before a program that does nothing for an hour."""
    action = Failing(1, passing(retry_after=3600))
    with pytest.raises(RegistryError):
        persist(action, attempts=5)
    assert action.tried == 1


def test_a_pause_ends_when_all_ends() -> None:
    """At once."""
    cancelled = threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        persist(Failing(9, passing(retry_after=50)), attempts=5, cancelled=cancelled)
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
