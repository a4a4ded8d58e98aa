"""Times as annotations and documents have them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bentoship.versions.times import parse_time, rfc3339

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose zone is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("text", ["2026-01-02T12:00:00Z", "2026-01-02T14:00:00+02:00", "2026-01-02T12:00:00"])
def test_a_time_is_read_in_utc(text: str) -> None:
    """Whatever its zone, and this machine's; without one it is in UTC already."""
    assert parse_time(text) == NOON


@pytest.mark.parametrize("value", ["", "noon", "2026-13-01", "0001-01-01T00:00:00+05:00", None, 7, []])
def test_anything_else_is_no_time(value: object) -> None:
    """Such as one before the calendar begins."""
    assert parse_time(value) is None


def test_a_time_is_written_in_utc_to_the_second() -> None:
    """And read back as the same."""
    moment = NOON.astimezone(timezone(timedelta(hours=9))) + timedelta(milliseconds=5)
    assert rfc3339(moment) == "2026-01-02T12:00:00Z"
    assert parse_time(rfc3339(moment)) == NOON
