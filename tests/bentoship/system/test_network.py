"""How this machine reaches others."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bentoship.system.network import Network, network_settings, places

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


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("::1", "loopback"),
        ("localhost", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.17.0.2", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("8.8.8.8", "public"),
        ("2001:4860:4860::8888", "public"),
        ("registry.invalid", "public"),
    ],
)
def test_an_address_is_in_one_place(host: str, place: str) -> None:
    """However it is written; a host whose addresses are unknown counts as public."""
    assert places(host) == {place}


def test_a_name_is_where_its_addresses_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all of their places; where a proxy looks it up, they are unknown here."""
    found = [(2, 1, 6, "", (address, 0)) for address in ("10.0.0.1", "169.254.169.254")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert places("registry.example") == {"private", "link-local"}
    assert places("registry.example", resolve=False) == {"public"}
