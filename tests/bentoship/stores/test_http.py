"""Connections to registries, and how they fail."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import http
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system import retry
from bentoship.system.network import Network
from tests.support.forwarding import forwarding
from tests.support.images import noise, put
from tests.support.proxy import Fault, Proxy
from tests.support.registry import PASSWORD, USER, Registry, make_certificate, needs_openssl, refused
from tests.support.servers import answering, endless

ALICE = Credentials(USER, PASSWORD)


def test_nobody_listening_is_told() -> None:
    """It may be starting again, which is worth another attempt."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        error = refused(RegistryStore(ImageReference(host, "acme/tool"), push=True))
    assert "connection refused" in error.why
    assert host in error.doing
    assert error.temporary


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 fine\r\n\r\n"])
def test_another_protocol_is_told(greeting: bytes) -> None:
    """At a port of something that is no web server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(greeting)
                connection.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        error = refused(RegistryStore(ImageReference(host, "acme/tool"), push=True))
        thread.join()
    assert "does not speak HTTP" in error.why
    assert not error.temporary


def test_an_unknown_host_is_told() -> None:
    """As a name without an address."""
    error = refused(RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True))
    assert "the host name registry.invalid cannot be resolved" in error.why


@pytest.mark.parametrize(
    "fault",
    [Fault("PUT", cut_sent=100_000), Fault("POST", cut_sent=0), Fault("GET", "/v2/$", cut_sent=0)],
    ids=["in the body", "before the body", "at the login"],
)
def test_a_cut_connection_is_worth_another_attempt(proxy: Proxy, through: ImageReference, fault: Fault) -> None:
    """Wherever it was cut, the next attempt works with the same store."""
    proxy.faults.append(fault)
    store, content = RegistryStore(through, push=True), noise(30_000_000, 5)
    error = refused(store, content)
    assert error.temporary
    assert "was interrupted" in error.why
    put(store, LAYER_TAR, content)


def test_a_download_that_is_cut_is_worth_another_attempt(proxy: Proxy, through: ImageReference) -> None:
    """And is not taken for the whole."""
    store, content = RegistryStore(through, push=True), noise(2_000_000, 6)
    layer = put(store, LAYER_TAR, content)
    proxy.faults.append(Fault("GET", "/blobs/", cut_received=1_000_000))
    with store.open(layer) as stream, pytest.raises(RegistryError, match="was interrupted") as caught:
        list(iter(lambda: stream.read(1 << 16), b""))
    assert caught.value.temporary
    with store.open(layer) as stream:
        assert stream.read() == content


def test_what_is_waited_for_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the error, and for how long; not for each attempt."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    told: list[str] = []
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        store = RegistryStore(ImageReference(host, "acme/tool"), session=Session(patience=1.0, tell=told.append))
        with pytest.raises(RegistryError, match="connection refused"):
            store.reach()
    assert told == [f"Reach the registry {host}: connection refused; trying again for up to 1 s"]


def test_interrupt_ends_what_other_threads_wait_for(proxy: Proxy, through: ImageReference) -> None:
    """At once, not after a time-out; and the store works afterwards."""
    store = RegistryStore(through, push=True)
    store.exists(Descriptor.of(LAYER_TAR, b"content"))
    proxy.faults.append(Fault("POST", stall=True))
    ended: list[RegistryError] = []
    thread = threading.Thread(target=lambda: ended.append(refused(store)), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not proxy.count("POST") and time.monotonic() < deadline:
        time.sleep(0.01)
    store.interrupt()
    thread.join(5)
    assert not thread.is_alive()
    assert ended
    put(store, LAYER_TAR, b"content")


@needs_openssl
def test_a_trusted_certificate_is_enough(encrypted: Registry) -> None:
    """With it, TLS works on loopback, too, where it was asked for."""
    network = Network(ca_file=str(encrypted.certificate))
    store = RegistryStore(
        ImageReference(encrypted.host, "tests/tls"), push=True, plain_http=False, session=Session(network)
    )
    assert put(store, LAYER_TAR, b"encrypted")
    stored = ImageReference(f"localhost:{encrypted.port}", "tests/tls")
    assert RegistryStore(stored, plain_http=False, session=Session(network)).exists(
        Descriptor.of(LAYER_TAR, b"encrypted")
    )


@needs_openssl
def test_an_unknown_certificate_is_told(encrypted: Registry) -> None:
    """With the setting that names another authority; nothing is sent in the clear instead."""
    error = refused(RegistryStore(ImageReference(encrypted.host, "tests/tls"), push=True, plain_http=False))
    assert "is not trusted" in error.why
    assert "SSL_CERT_FILE" in error.hint
    assert not error.temporary


@needs_openssl
def test_tls_where_http_was_expected_is_told(encrypted: Registry) -> None:
    """With the way to say so."""
    error = refused(RegistryStore(ImageReference(encrypted.host, "tests/tls"), push=True))
    assert f"https://{encrypted.host}/" in error.hint


def test_http_where_tls_was_expected_is_told(repository: ImageReference) -> None:
    """With the way to say so; it never happens silently."""
    error = refused(RegistryStore(repository, push=True, plain_http=False))
    assert f"{repository.host} speaks HTTP, not TLS" in error.why
    assert f"http://{repository.host}/" in error.hint


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path, repository: ImageReference) -> None:
    """By the file's name, and by the names of all settings that it may come from."""
    network = Network(ca_file=str(tmp_path / "none.pem"))
    error = refused(RegistryStore(repository, push=True, plain_http=False, session=Session(network)))
    assert "none.pem" in str(error)
    assert all(name in error.hint for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))


def test_others_are_reached_through_the_proxy_and_this_machine_is_not(store: RegistryStore) -> None:
    """The proxy gets its password; what it says is told."""
    with answering(407, body=b"") as server:
        network = Network(proxies={"https": f"http://me:pa%20ss@{server.host}", "http": f"http://{server.host}"})
        error = refused(
            RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True, session=Session(network))
        )
        assert "proxy" in error.why
        assert "HTTPS_PROXY" in error.hint
        expected = "Basic " + base64.b64encode(b"me:pa ss").decode()
        assert server.asked[0]["Proxy-Authorization"] == expected
        here = RegistryStore(
            ImageReference(store.repository.partition("/")[0], "tests/direct"), session=Session(network)
        )
        assert not here.exists(Descriptor.of(LAYER_TAR, b""))
        assert len(server.asked) == 1


def test_a_proxy_of_another_kind_is_told() -> None:
    """Without its password, and with the settings that it may come from."""
    network = Network(proxies={"https": "socks5://me:hunter2@127.0.0.1:1080"})
    error = refused(RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True, session=Session(network)))
    assert "socks5://127.0.0.1:1080" in error.doing
    assert "hunter2" not in str(error)
    assert all(name in error.hint for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"))
    assert not error.temporary


@needs_openssl
def test_a_redirect_never_leads_out_of_tls(tmp_path: Path) -> None:
    """Elsewhere it is refused, without the query that may be secret; on the same host it stays encrypted."""
    make_certificate(tmp_path)
    network = Network(ca_file=str(tmp_path / "certificate.pem"))
    with answering(200, body=b"content") as plain:
        elsewhere = {"Location": f"http://localhost:{plain.host.partition(':')[2]}/blob?secret=1"}
        with answering(307, elsewhere, tls=tmp_path) as encrypted:
            store = RegistryStore(
                ImageReference(encrypted.host, "acme/tool"), plain_http=False, session=Session(network)
            )
            with pytest.raises(RegistryError, match="which is not encrypted") as caught:
                store.exists(Descriptor.of(LAYER_TAR, b"content"))
        assert "secret" not in str(caught.value)
        assert plain.asked == []
    with answering(307, {"Location": "http://127.0.0.1/again"}, tls=tmp_path) as encrypted:
        store = RegistryStore(ImageReference(encrypted.host, "acme/tool"), plain_http=False, session=Session(network))
        with pytest.raises(RegistryError, match="HTTP 307"):
            store.exists(Descriptor.of(LAYER_TAR, b"content"))
        assert len(encrypted.asked) > 2


def test_an_exchange_ends_with_all_of_the_answer() -> None:
    """One that breaks off, or does not come in time, is none."""
    client = http.Http(Network())
    with answering(200, body=b"all of it") as server:
        assert client.exchange("Ask", "GET", f"http://{server.host}/", {}).data == b"all of it"
    with (
        answering(200, {"Content-Length": "99", "Connection": "close"}, b"a part") as server,
        pytest.raises(RegistryError, match="was interrupted") as caught,
    ):
        client.exchange("Ask", "GET", f"http://{server.host}/", {})
    assert caught.value.temporary
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(RegistryError, match="stopped responding"):
            client.exchange("Ask", "GET", f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, timeout=0.2)
    assert 0.2 <= time.monotonic() - began < 10


ENDLESS = {
    "ping": (401, {"WWW-Authenticate": "Basic"}, True),
    "errors": (500, {}, False),
    "pages": (404, {"Content-Type": "text/html"}, False),
    "refusals": (401, {"WWW-Authenticate": "Basic"}, False),
    "manifests": (200, {"Content-Type": MANIFEST}, False),
    "large manifests": (200, {"Content-Type": MANIFEST, "Content-Length": str(1 << 40)}, False),
    "redirects": (307, {"Location": "/v2/"}, False),
}


@pytest.mark.parametrize(("status", "headers", "ping"), ENDLESS.values(), ids=ENDLESS)
def test_a_response_without_an_end_is_not_read_to_it(status: int, headers: dict[str, str], ping: bool) -> None:
    """Whatever it is for; what waits in the buffers of two sockets is sent nevertheless."""
    with endless(status, headers, ping=ping) as server:
        store = RegistryStore(ImageReference(server.host, "acme/tool"), ALICE)
        with suppress(StoreError):
            store.resolve("latest")
        with suppress(StoreError), store.open(Descriptor(MANIFEST, f"sha256:{'0' * 64}", 1000)) as content:
            content.read(1 << 20)
        client = http.Http(Network())
        with pytest.raises(RegistryError, match="larger than"):
            client.exchange("Ask", "GET", f"http://{server.host}/", {})
        assert server.sent < 64 << 20


def test_a_token_without_an_end_is_none() -> None:
    """A megabyte of one is read."""
    with endless(200, {}) as server:
        challenge = f'Bearer realm="http://{server.host}/token",service="x"'
        with answering(401, {"WWW-Authenticate": challenge}) as registry:
            error = refused(RegistryStore(ImageReference(registry.host, "acme/tool"), push=True))
        assert "holds no token" in error.why
        assert server.sent < 64 << 20


@pytest.mark.parametrize("realm", ["http://[", "http://a:b/", "file:///etc/passwd", "http://\\u0000", "x" * 10_000])
def test_a_token_server_at_no_address_is_refused(realm: str) -> None:
    """With one error."""
    with answering(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}) as registry:
        refused(RegistryStore(ImageReference(registry.host, "acme/tool"), push=True))


def test_connections_are_kept_but_not_when_they_lay_idle(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall may have dropped them meanwhile, without telling either side."""
    with forwarding(registry.host) as forwarder:
        store = RegistryStore(ImageReference(forwarder.host, "tests/idle"), push=True)
        layer = put(store, LAYER_TAR, b"kept")
        assert store.exists(layer)
        assert forwarder.connections == 1
        monkeypatch.setattr(http, "IDLE_TIMEOUT", 0.0)
        assert store.exists(layer)
        assert forwarder.connections == 2
