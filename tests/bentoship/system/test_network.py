"""How this machine reaches others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.system.network import Network, network_settings

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about the network."""
    for name in (*NAMES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


def test_without_settings_all_is_reached_directly() -> None:
    """With the certificates of the system."""
    network = network_settings()
    assert network.proxy("https", "ghcr.io") is None
    assert network.ca_folder is None


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_for_all_but_the_exceptions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY lists them, with what lies below them."""
    monkeypatch.setenv(name, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "acme.example,localhost")
    network = network_settings()
    assert network.proxy("https", "ghcr.io") == "http://proxy.example:3128"
    assert network.proxy("https", "ghcr.io:443") == "http://proxy.example:3128"
    assert network.proxy("https", "registry.acme.example:5000") is None
    assert network.proxy("https", "localhost:5000") is None


def test_a_proxy_without_a_scheme_is_spoken_to_by_http() -> None:
    """As curl does it."""
    assert Network(proxies={"https": "proxy.example:3128"}).proxy("https", "ghcr.io") == "http://proxy.example:3128"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_may_be_named(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By any of the names that other programs read."""
    monkeypatch.setenv(name, str(tmp_path / "own.pem"))
    assert network_settings().ca_file == str(tmp_path / "own.pem")
