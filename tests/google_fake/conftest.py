"""The stand-in for Google Cloud, and Google's own clients on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.google_fake.clients import Clients
from tests.support.google import Google


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is reached through this machine's proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    """Google Cloud, with nothing in it and no API for images enabled."""
    with Google(tmp_path / "google") as google:
        yield google


@pytest.fixture
def clients(google: Google) -> Clients:
    """The clients of its service account."""
    return Clients(google.api_port, google.token())
