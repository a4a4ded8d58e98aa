"""Google's provider, on the stand-in for Google Cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentoship.providers.google import GoogleRegistry
from bentoship.settings import google as google_settings
from bentoship.settings.given import Given
from bentoship.stores.http import Http
from bentoship.system.network import network_settings
from tests.support.google import Google

Provider = Callable[..., GoogleRegistry]

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Google Cloud, with nothing in it and no API for images enabled; its key is what there is for credentials."""
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "https_proxy",
        "http_proxy",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    with Google(tmp_path / "google") as google:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
        yield google


@pytest.fixture
def provider(google: Google) -> Provider:
    """Makes the provider, with further settings; messages, if given, gets what it tells meanwhile."""

    def make(messages: list[str] | None = None, **given: str) -> GoogleRegistry:
        read = Given({**google.environment, **given}, {})
        settings = google_settings.read(read, complete=True)
        assert not read.mistakes
        return GoogleRegistry(
            settings, Http(network_settings()), lambda _, text: None if messages is None else messages.append(text)
        )

    return make
