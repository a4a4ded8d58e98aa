"""Calls to Google's APIs: servers that are not reached are told at once, by the cause, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bentoship.errors import CloudError, RegistryError
from bentoship.image.reference import ImageReference
from bentoship.providers.google import GoogleRegistry, account, apis
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system.network import network_settings
from tests.support.google import Answer, Google, hosts, keys, web
from tests.support.google.apis import Handler
from tests.support.images import put_image
from tests.support.servers import answering
from tests.support.threads import in_a_thread

Provider = Callable[..., GoogleRegistry]
GOOGLES = "https://{service}.googleapis.com"


@pytest.fixture
def itself(google: Google) -> Iterator[Mapping[str, str]]:
    """A proxy with an authority of its own, which shows its own certificates for Google's names."""
    google.add_repository()
    with google.as_itself() as environment:
        yield environment


def refusal(ours: GoogleRegistry) -> CloudError:
    """What the first call ends with."""
    with pytest.raises(CloudError) as caught:
        ours.create_registry()
    return caught.value


def test_a_name_that_nobody_knows(provider: Provider) -> None:
    """Is not asked for again."""
    error = refusal(provider(GCP_API_ENDPOINT="https://{service}.nowhere.invalid"))
    assert error.why == "the host name artifactregistry.nowhere.invalid cannot be resolved"
    assert "network" in error.hint


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("https://oauth2.nowhere.invalid", "the host name oauth2.nowhere.invalid cannot be resolved"),
        ("http://127.0.0.1:9", "127.0.0.1:9: connection refused"),
    ],
)
def test_who_gives_out_tokens_is_not_there(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, why: str
) -> None:
    """It is named as all other servers are."""
    monkeypatch.setenv(
        "GOOGLE_APPLICATION_CREDENTIALS", str(google.service_account_key(tmp_path / "key.json", origin=origin))
    )
    error = refusal(provider())
    assert error.why == why
    assert "network" in error.hint


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_answers(provider: Provider, scheme: str) -> None:
    """The address is told, and the setting that has it."""
    error = refusal(provider(GCP_API_ENDPOINT=f"{scheme}://127.0.0.1:9"))
    assert error.why == "127.0.0.1:9: connection refused"
    assert "GCP_API_ENDPOINT" in error.hint


def test_another_protocol(google: Google, provider: Provider) -> None:
    """The setting is named that says which it is."""
    for address, why in (
        (google.api_endpoint.replace("http:", "https:"), "speaks HTTP, not TLS"),
        (google.token_origin, "does not respond like a Google API (HTTP 404)"),
    ):
        error = refusal(provider(GCP_API_ENDPOINT=address))
        assert why in error.why
        assert "GCP_API_ENDPOINT" in error.hint


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://127.0.0.1:9", "the proxy connection failed ([Errno 111] Connection refused)"),
        ("http://user:secret@127.0.0.1:9", "the proxy connection failed ([Errno 111] Connection refused)"),
        ("http://nowhere.invalid:3128", "the proxy connection failed ([Errno -2] Name or service not known)"),
        ("socks5://127.0.0.1:9", "only http:// and https:// proxies are supported"),
    ],
)
def test_a_proxy_that_is_not_there(provider: Provider, monkeypatch: pytest.MonkeyPatch, proxy: str, why: str) -> None:
    """Is named, with the setting, and without its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = refusal(provider(GCP_API_ENDPOINT=GOOGLES))
    assert error.why == why
    assert "HTTPS_PROXY" in error.hint
    assert proxy.replace("user:secret@", "") in str(error)
    assert "secret" not in str(error)


def test_a_proxy_that_lets_nobody_through(
    provider: Provider, itself: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status is told; it knows Google's names only."""
    monkeypatch.setenv("HTTPS_PROXY", itself["HTTPS_PROXY"])
    error = refusal(provider(GCP_API_ENDPOINT="https://{service}.example.com"))
    assert "connection failed (Tunnel connection failed: 403 " in error.why
    assert "HTTPS_PROXY" in error.hint


def test_a_proxy_that_wants_an_account(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """How it is given is told."""

    class Refusing(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_CONNECT(self) -> None:
            self.send_error(407)

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as proxy, in_a_thread(proxy):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
        error = refusal(provider(GCP_API_ENDPOINT=GOOGLES))
    assert "407 Proxy Authentication Required" in error.why
    assert error.hint == "The proxy requires a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"


def through(provider: Provider, google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes each kind of call by way of the proxy."""
    by_key = str(google.key)
    for_itself = str(google.service_account_key(folder / "itself.json", origin=hosts.ORIGIN))

    def call(kind: str) -> None:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", for_itself if kind == "token" else by_key)
        ours = provider(GCP_API_ENDPOINT=GOOGLES)
        if kind != "push":
            ours.create_registry()
            return
        there = ImageReference("europe-west6-docker.pkg.dev", f"{google.project.id}/{google.repository}/image")
        put_image(RegistryStore(there, ours.credentials, push=True, session=Session(network_settings())))

    return call


@pytest.mark.parametrize("kind", ["token", "api", "push"])
def test_a_proxy_with_an_authority_of_its_own(
    google: Google,
    provider: Provider,
    itself: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """The setting for its certificate is named, and with it everything goes through."""
    call = through(provider, google, tmp_path, monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", itself["HTTPS_PROXY"])
    with pytest.raises((CloudError, RegistryError), match=r"(?i)certificate") as caught:
        call(kind)
    assert "SSL_CERT_FILE" in caught.value.hint
    monkeypatch.setenv("SSL_CERT_FILE", itself["SSL_CERT_FILE"])
    call(kind)


def test_servers_that_do_not_answer(google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are not waited for beyond a deadline: APIs, and those that give out tokens."""
    monkeypatch.setattr(apis, "CALL_TIMEOUT", 0.5)
    monkeypatch.setattr(account, "TIMEOUT", 0.5)
    google.faults.add("GetRepository", hang=60)
    error = refusal(provider())
    assert "stopped responding" in error.why
    assert google.calls == ["GetRepository"]
    assert "network" in error.hint
    google.faults.add("POST /token", hang=60)
    error = refusal(provider())
    assert "stopped responding" in error.why
    assert "network" in error.hint


def test_a_certificate_that_has_expired(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a machine whose clock is far off, all have; APIs and the registry tell so."""
    private, certificate = keys.certificate(-1)
    (tmp_path / "key.pem").write_text(private)
    (tmp_path / "certificate.pem").write_text(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with web.serving(google.state, Handler, 0, tmp_path) as port:
        error = refusal(provider(GCP_API_ENDPOINT=f"https://localhost:{port}"))
    assert "expired" in error.why
    assert "clock" in error.hint
    with answering(200, tls=tmp_path) as server:
        there = ImageReference(server.host.replace("127.0.0.1", "localhost"), "image")
        with pytest.raises(RegistryError, match="expired") as caught:
            RegistryStore(there, plain_http=False, session=Session(network_settings())).reach()
    assert "clock" in caught.value.hint


def test_certificates_that_cannot_be_read(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are named, with the setting."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    error = refusal(provider(GCP_API_ENDPOINT="https://127.0.0.1:9"))
    assert "missing.pem" in str(error)
    assert "SSL_CERT_FILE" in error.hint


@pytest.mark.parametrize(
    ("answer", "calls", "why"),
    [
        (Answer(200, b"{", {"Content-Length": "99", "Connection": "close"}), 4, "was interrupted"),
        (Answer(502, b"<html>Bad Gateway</html>"), 4, "responded with HTTP 502 Bad Gateway"),
        (Answer(404, b"<html>Not Found</html>"), 1, "does not respond like a Google API (HTTP 404)"),
        (Answer(200, b"<html>Log in to this network</html>"), 1, "does not respond like a Google API (HTTP 200)"),
    ],
)
def test_what_passes_is_tried_again_and_what_lasts_is_not(
    google: Google, provider: Provider, answer: Answer, calls: int, why: str
) -> None:
    """Connections that are cut and gateways in trouble do; another server that answers does not."""
    google.add_repository()
    google.faults.add(r"GET .*/mlops-registry", answer, times=9)
    error = refusal(provider())
    assert why in error.why
    assert google.count("GET", "/mlops-registry") == calls
