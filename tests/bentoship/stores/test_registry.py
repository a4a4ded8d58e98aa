"""A repository in a registry, against a real one."""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bentoship.credentials import Credentials
from bentoship.errors import RegistryError, StoreError
from bentoship.image.descriptor import INDEX, LAYER_TAR, MANIFEST, Descriptor
from bentoship.process import Network
from bentoship.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.images import noise, put, put_image, put_index
from tests.support.proxy import Fault, Proxy
from tests.support.registry import PASSWORD, USER, Registry

ALICE = Credentials(USER, PASSWORD, source="the tests")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl, which makes certificates, is missing")


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for a password."""
    with registries.running(tmp_path_factory.mktemp("guarded"), password=True) as running:
        yield running


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that speaks TLS."""
    with registries.running(tmp_path_factory.mktemp("encrypted"), tls=True) as running:
        yield running


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A store in the registry that asks for no login."""
    return RegistryStore(repository, push=True)


def refused(store: RegistryStore, content: bytes = b"content") -> RegistryError:
    """The error that a push ends with."""
    with pytest.raises(RegistryError) as caught:
        put(store, LAYER_TAR, content)
    return caught.value


def test_what_was_pushed_can_be_pulled(store: RegistryStore) -> None:
    """A blob comes back as it went in, and is there afterwards only."""
    content = noise(3_000_000, 1)
    descriptor = Descriptor.of(LAYER_TAR, content)
    assert not store.exists(descriptor)
    told: list[int] = []
    store.write(descriptor, io.BytesIO(content), told.append)
    assert sum(told) == len(content)
    assert store.exists(descriptor)
    with store.open(descriptor) as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == content


def test_images_and_indexes_are_tagged_and_resolved(store: RegistryStore) -> None:
    """A tag stands for what it was last given to; a digest for itself."""
    image = put_image(store)
    index = put_index(store, image)
    store.tag(image, "v1")
    store.tag(image, "latest")
    store.tag(index, "latest")
    assert store.exists(index)
    assert store.resolve("v1") == image
    assert store.resolve("latest") == index
    assert store.resolve(image.digest) == image
    with store.open(index) as stream:
        assert json.loads(stream.read())["mediaType"] == INDEX


def test_what_is_not_there_is_an_error_with_the_registrys_words(store: RegistryStore) -> None:
    """For tags, digests and blobs."""
    put_image(store)
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN") as caught:
        store.resolve("v1")
    assert caught.value.status == 404
    assert not caught.value.temporary
    missing = Descriptor.of(LAYER_TAR, b"missing")
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN"), store.open(missing):
        pass


@pytest.mark.parametrize("content", [b"contenT", b"conten", b"content and more"])
def test_a_blob_that_differs_from_its_descriptor_is_refused(store: RegistryStore, content: bytes) -> None:
    """By size here, by digest there; and the connection can be used again."""
    with pytest.raises(StoreError):
        store.write(Descriptor.of(LAYER_TAR, b"content"), io.BytesIO(content), lambda count: None)
    assert not store.exists(Descriptor.of(LAYER_TAR, b"content"))
    put(store, LAYER_TAR, b"content")
    assert store.exists(Descriptor.of(LAYER_TAR, b"content"))


def test_a_manifest_that_differs_from_its_descriptor_is_not_sent(store: RegistryStore) -> None:
    """The registry would take it, under another digest."""
    with pytest.raises(StoreError, match="does not fit"):
        store.write(Descriptor.of(MANIFEST, b"{}"), io.BytesIO(b"[]"), lambda count: None)


def test_a_blob_is_mounted_from_another_repository(store: RegistryStore, registry: Registry) -> None:
    """Without sending it; what isn't there either, or may not be read, is no error."""
    other = RegistryStore(ImageReference(registry.host, store.repository.partition("/")[2] + "-other"), push=True)
    layer = put(other, LAYER_TAR, b"mounted")
    assert store.mount(layer, other.repository.partition("/")[2])
    assert store.exists(layer)
    assert not store.mount(Descriptor.of(LAYER_TAR, b"nowhere"), other.repository.partition("/")[2])


def test_a_reader_asks_for_no_more_than_reading() -> None:
    """The scope of a token depends on what the store is for, and covers both sides of a mount."""
    with token_server() as server, registry_answering_bearer(server) as registry:
        repository = ImageReference(registry, "acme/tool")
        for push in (False, True):
            with pytest.raises(RegistryError):
                RegistryStore(repository, push=push).resolve("v1")
        RegistryStore(repository, push=True).mount(Descriptor.of(LAYER_TAR, b""), "acme/base")
    assert [query["scope"] for query in server.queries] == [
        ["repository:acme/tool:pull"],
        ["repository:acme/tool:pull,push"],
        ["repository:acme/tool:pull,push", "repository:acme/base:pull"],
    ]


# Logging in


def test_a_password_opens_the_registry(guarded: Registry) -> None:
    """Basic login works, and its colon and all reach the registry."""
    store = RegistryStore(ImageReference(guarded.host, "tests/basic"), ALICE, push=True)
    image = put_image(store)
    store.tag(image, "v1")
    assert store.resolve("v1") == image


def test_no_credentials_are_told_with_the_way_to_log_in(guarded: Registry) -> None:
    """In the registry's words, even though HEAD has none."""
    store = RegistryStore(ImageReference(guarded.host, "tests/nobody"), push=True)
    error = refused(store)
    assert error.status == 401
    assert "UNAUTHORIZED" in error.why
    assert "authentication required" in error.why
    assert f"docker login {guarded.host}" in error.hint
    with pytest.raises(RegistryError, match="UNAUTHORIZED"):
        store.exists(Descriptor.of(LAYER_TAR, b""))


def test_wrong_credentials_are_told_with_their_source(guarded: Registry) -> None:
    """And never with the password."""
    wrong = Credentials(USER, "hunter2", source="~/.docker/config.json")
    error = refused(RegistryStore(ImageReference(guarded.host, "tests/wrong"), wrong, push=True))
    assert error.status == 401
    assert "alice (from ~/.docker/config.json)" in error.hint
    assert "hunter2" not in str(error)
    assert not error.temporary


def test_login_comes_before_the_body(guarded: Registry) -> None:
    """Nobody sends a blob to be refused after it."""
    with proxies.before(guarded.host) as proxy:
        repository = ImageReference(proxy.host, "tests/early")
        refused(RegistryStore(repository, push=True))
        assert proxy.count("PUT") == 0
        put(RegistryStore(repository, ALICE, push=True), LAYER_TAR, b"early")
        bodies = [request for request in proxy.requests if request.method == "PUT"]
    assert len(bodies) == 1
    assert "Authorization" in bodies[0].headers


def test_credentials_are_asked_for_anew_when_they_are_refused(guarded: Registry) -> None:
    """Some hold for an hour: a push that takes longer logs in again, by itself."""
    given = iter([Credentials(USER, "expired"), ALICE])
    store = RegistryStore(ImageReference(guarded.host, "tests/renewed"), lambda: next(given), push=True)
    assert put(store, LAYER_TAR, b"renewed")


def test_a_token_that_ends_under_a_body_is_worth_another_attempt(proxy: Proxy, through: ImageReference) -> None:
    """The body cannot be sent twice here, but who calls can begin anew."""
    proxy.faults.append(Fault("PUT", "/uploads/", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
    store = RegistryStore(through, ALICE, push=True)
    error = refused(store)
    assert error.status == 401
    assert error.temporary
    put(store, LAYER_TAR, b"content")


@needs_openssl
def test_a_token_opens_the_registry(tmp_path: Path) -> None:
    """The real thing: the registry checks the token's signature and rights."""
    registries.make_certificate(tmp_path)
    with token_server(tmp_path) as server:
        options = {
            "realm": f"http://{server.host}/token?account=x",
            "service": "tests",
            "issuer": "tests",
            "rootcertbundle": str(tmp_path / "certificate.pem"),
        }
        with registries.running(tmp_path / "registry", token=options) as registry:
            repository = ImageReference(registry.host, "tests/token")
            store = RegistryStore(repository, ALICE, push=True)
            store.tag(put_image(store), "v1")
            assert len(server.queries) == 1
            assert server.queries[0]["service"] == ["tests"]
            other = RegistryStore(ImageReference(registry.host, "tests/mounted"), ALICE, push=True)
            layer = put(store, LAYER_TAR, b"mounted by token")
            assert other.mount(layer, "tests/token")
            by_identity = RegistryStore(repository, Credentials("", "", "an identity"), push=True)
            assert by_identity.resolve("v1").media_type == MANIFEST
            assert server.queries[-1]["grant_type"] == ["refresh_token"]
            assert server.queries[-1]["refresh_token"] == ["an identity"]
            assert RegistryStore(repository, push=False).resolve("v1")  # the token server gives all rights to nobody
            wrong = RegistryStore(repository, Credentials(USER, "wrong", source="the tests"), push=True)
            with pytest.raises(RegistryError, match="incorrect username or password") as caught:
                wrong.resolve("v1")
            assert caught.value.doing.startswith("Log in to")
            assert "alice (from the tests)" in caught.value.hint


def test_a_token_is_renewed_before_it_ends() -> None:
    """Long before a server would have to refuse it."""
    with token_server(lifetime=0.2) as server, registry_answering_bearer(server) as registry:
        store = RegistryStore(ImageReference(registry, "acme/tool"))
        for _ in range(2):
            store.exists(Descriptor.of(LAYER_TAR, b""))
            time.sleep(0.3)
    assert len(server.queries) == 2


def test_a_password_goes_to_no_token_server_in_the_clear() -> None:
    """Unless it is this machine itself."""
    challenge = 'Bearer realm="http://registry.invalid/token?secret=1",service="x"'
    with answering(401, {"WWW-Authenticate": challenge}) as host:
        store = RegistryStore(ImageReference(host, "acme/tool"), ALICE)
        with pytest.raises(RegistryError, match="not encrypted") as caught:
            store.resolve("v1")
    assert "secret" not in str(caught.value)


def test_authorization_stays_with_its_host(guarded: Registry) -> None:
    """A redirect elsewhere is followed without it, as a signed address wants it."""
    content = b"from elsewhere"
    with answering(200, body=content) as elsewhere, proxies.before(guarded.host) as proxy:
        location = {"Location": f"http://{elsewhere}/blob?signature=1"}
        proxy.faults.append(Fault("GET", "/blobs/", status=307, headers=location))
        store = RegistryStore(ImageReference(proxy.host, "tests/redirect"), ALICE)
        with store.open(Descriptor.of(LAYER_TAR, content)) as stream:
            assert stream.read() == content
        assert "Authorization" in next(r for r in proxy.requests if "/blobs/" in r.path).headers
        assert "Authorization" not in answering_headers[elsewhere][-1]


# Where uploads go


@pytest.mark.parametrize("location", ["relative", "relative to the folder", "elsewhere on the host"])
def test_an_upload_may_have_any_address(location: str) -> None:
    """Relative or absolute, inside /v2/ or outside, with a query or without."""
    where = {
        "relative": ("/v2/acme/tool/blobs/uploads/1?state=a", "/v2/acme/tool/blobs/uploads/1?state=a&digest="),
        "relative to the folder": ("1", "/v2/acme/tool/blobs/uploads/1?digest="),
        "elsewhere on the host": ("http://{host}/artifacts/1?x=y%2Fz", "/artifacts/1?x=y%2Fz&digest="),
    }
    given, expected = where[location]
    with proxies.before("127.0.0.1:9") as registry:
        registry.faults += [
            Fault("GET", "/v2/$", status=200),
            Fault("POST", status=202, headers={"Location": given.format(host=registry.host)}),
            Fault("PUT", status=201),
        ]
        layer = put(RegistryStore(ImageReference(registry.host, "acme/tool"), push=True), LAYER_TAR, b"content")
        assert registry.requests[-1].path == f"{expected}sha256%3A{layer.hex}"
        assert registry.requests[-1].headers["Content-Length"] == "7"
        assert "Transfer-Encoding" not in registry.requests[-1].headers


# What goes wrong


def test_nobody_listening_is_told() -> None:
    """And not tried again: that takes somebody to start it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        error = refused(RegistryStore(ImageReference(host, "acme/tool"), push=True))
    assert "connection refused" in error.why
    assert host in error.doing
    assert not error.temporary


def test_another_protocol_is_told() -> None:
    """At a port of something that is no web server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        error = refused(RegistryStore(ImageReference(host, "acme/tool"), push=True))
        thread.join()
    assert "does not speak HTTP" in error.why
    assert not error.temporary


def test_a_full_disk_is_not_tried_again(proxy: Proxy, through: ImageReference) -> None:
    """Though the registry answers as for a passing trouble."""
    body = b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /x: no space left on device"}]}'
    proxy.faults.append(Fault("PUT", status=500, body=body))
    error = refused(RegistryStore(through, push=True))
    assert "no space left on device" in error.why
    assert not error.temporary


def test_an_unknown_host_is_told() -> None:
    """As a name without an address."""
    error = refused(RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True))
    assert "no address is known for registry.invalid" in error.why


def test_what_is_no_registry_is_told() -> None:
    """A web server knows nothing of /v2/."""
    with answering(404, body=b"<html><h1>Not Found</h1></html>") as host:
        error = refused(RegistryStore(ImageReference(host, "acme/tool"), push=True))
    assert "does not answer as a registry" in error.why


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_troubles_that_pass_are_marked(proxy: Proxy, through: ImageReference, status: int) -> None:
    """So that a copy tries again."""
    proxy.faults.append(
        Fault("POST", status=status, body=b"<html><head><title>Oh no</title></head><h1>Oh</h1> no</html>")
    )
    error = refused(RegistryStore(through, push=True))
    assert error.temporary
    assert error.status == status
    assert "Oh no" in error.why
    assert f"HTTP {status}" in error.why


@pytest.mark.parametrize(
    ("fault", "words", "hint"),
    [
        (
            {"status": 403, "body": b'{"errors":[{"code":"DENIED","message":"no push for you","detail":"ask Bob"}]}'},
            "DENIED: no push for you: ask Bob (HTTP 403 Forbidden)",
            "docker login",
        ),
        (
            {"status": 404, "body": b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository \\"x\\" not found"}]}'},
            'NAME_UNKNOWN: repository "x" not found',
            "Check the name",
        ),
        (
            {"status": 500, "body": b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Err":28}}]}'},
            "UNKNOWN: unknown error",
            "disk is full",
        ),
        (
            {
                "times": 2,
                "status": 401,
                "body": b'{"errors":[{"code":"UNAUTHORIZED","message":"no","detail":[{"Type":"x"}]}]}',
            },
            "UNAUTHORIZED: no (HTTP 401 Unauthorized)",
            "docker login",
        ),
        ({"status": 413, "body": b"<h1>413 Request Entity Too Large</h1>"}, "Too Large", "raise that limit"),
        ({"status": 418, "body": b""}, "answered HTTP 418", ""),
        ({"status": 400, "body": b"[1]"}, "[1] (HTTP 400 Bad Request)", ""),
    ],
)
def test_refusals_are_told_in_the_registrys_words(
    proxy: Proxy, through: ImageReference, fault: dict[str, Any], words: str, hint: str
) -> None:
    """With what to do next, where there is something."""
    proxy.faults.append(Fault("POST", **fault))
    error = refused(RegistryStore(through, push=True))
    assert words in error.why
    assert hint in error.hint
    assert error.doing.startswith("Push blob sha256:")
    assert error.doing.endswith(str(through))


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)])
def test_a_wish_to_wait_is_kept(proxy: Proxy, through: ImageReference, header: str, seconds: float) -> None:
    """In seconds, whatever the header holds."""
    proxy.faults.append(Fault("POST", status=429, headers={"Retry-After": header}))
    assert refused(RegistryStore(through, push=True)).retry_after == seconds


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
    assert "was cut" in error.why
    put(store, LAYER_TAR, content)


def test_a_download_that_is_cut_is_worth_another_attempt(proxy: Proxy, through: ImageReference) -> None:
    """And is not taken for the whole."""
    store, content = RegistryStore(through, push=True), noise(2_000_000, 6)
    layer = put(store, LAYER_TAR, content)
    proxy.faults.append(Fault("GET", "/blobs/", cut_received=1_000_000))
    with store.open(layer) as stream, pytest.raises(RegistryError, match="was cut") as caught:
        list(iter(lambda: stream.read(1 << 16), b""))
    assert caught.value.temporary
    with store.open(layer) as stream:
        assert stream.read() == content


def test_a_damaged_download_is_an_error(proxy: Proxy, through: ImageReference) -> None:
    """Its digest is checked."""
    store = RegistryStore(through, push=True)
    layer = put(store, LAYER_TAR, b"content")
    proxy.faults.append(Fault("GET", "/blobs/", status=200, body=b"contenT"))
    with store.open(layer) as stream, pytest.raises(StoreError, match="damaged"):
        stream.read()


def test_a_registry_that_names_no_digest_is_read(proxy: Proxy, through: ImageReference) -> None:
    """Then the content tells."""
    store = RegistryStore(through, push=True)
    image = put_image(store)
    store.tag(image, "v1")
    proxy.faults.append(Fault("HEAD", "/manifests/v1", status=200))
    assert store.resolve("v1") == image


def test_what_is_no_image_is_not_resolved(proxy: Proxy, through: ImageReference) -> None:
    """Neither another document nor another content than the digest's."""
    store = RegistryStore(through)
    proxy.faults += [Fault("HEAD", status=200), Fault("GET", "/manifests/", status=200, body=b"<html></html>")]
    with pytest.raises(StoreError, match="not an OCI image"):
        store.resolve("v1")
    other = Descriptor.of(MANIFEST, b"{}")
    headers = {"Docker-Content-Digest": other.digest, "Content-Type": MANIFEST, "Content-Length": "2"}
    proxy.faults.append(Fault("HEAD", status=200, headers=headers))
    with pytest.raises(StoreError, match=other.digest):
        store.resolve("sha256:" + "0" * 64)


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


# TLS, and proxies


@needs_openssl
def test_a_trusted_certificate_is_enough(encrypted: Registry) -> None:
    """With it, TLS works on loopback, too, where it was asked for."""
    network = Network(ca_file=str(encrypted.certificate))
    store = RegistryStore(ImageReference(encrypted.host, "tests/tls"), push=True, plain_http=False, network=network)
    assert put(store, LAYER_TAR, b"encrypted")
    stored = ImageReference(f"localhost:{encrypted.port}", "tests/tls")
    assert RegistryStore(stored, plain_http=False, network=network).exists(Descriptor.of(LAYER_TAR, b"encrypted"))


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
    """By the file's name."""
    network = Network(ca_file=str(tmp_path / "none.pem"))
    error = refused(RegistryStore(repository, push=True, plain_http=False, network=network))
    assert "none.pem" in str(error)


def test_others_are_reached_through_the_proxy_and_this_machine_is_not(store: RegistryStore) -> None:
    """The proxy gets its password; what it says is told."""
    with answering(407, body=b"") as host:
        network = Network(proxies={"https": f"http://me:pa%20ss@{host}", "http": f"http://{host}"})
        error = refused(RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True, network=network))
        assert "proxy" in error.why
        assert "HTTPS_PROXY" in error.hint
        expected = "Basic " + base64.b64encode(b"me:pa ss").decode()
        assert answering_headers[host][0]["Proxy-Authorization"] == expected
        here = RegistryStore(ImageReference(store.repository.partition("/")[0], "tests/direct"), network=network)
        assert not here.exists(Descriptor.of(LAYER_TAR, b""))
        assert len(answering_headers[host]) == 1


def test_a_proxy_of_another_kind_is_told() -> None:
    """Without its password."""
    network = Network(proxies={"https": "socks5://me:hunter2@127.0.0.1:1080"})
    error = refused(RegistryStore(ImageReference("registry.invalid", "acme/tool"), push=True, network=network))
    assert "socks5://127.0.0.1:1080" in error.doing
    assert "hunter2" not in str(error)
    assert not error.temporary


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_what_was_pushed(store: RegistryStore) -> None:
    """Another program finds the image under its tag."""
    image = put_image(store)
    store.tag(image, "v1")
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{store.repository}:v1"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(shown)["Digest"] == image.digest


# Servers of a few lines

answering_headers: dict[str, list[Message]] = {}
"""The headers of what each of them was asked."""


@contextmanager
def answering(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Iterator[str]:
    """A server that answers all requests alike. Gives its "HOST:PORT"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            answering_headers[host].append(self.headers)
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_POST = do_CONNECT = do_GET  # noqa: N815 - the server looks for these names

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host = f"127.0.0.1:{server.server_port}"
        answering_headers[host] = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield host
        finally:
            server.shutdown()


class TokenServer:
    """A token server: where it is, and what it was asked."""

    def __init__(self) -> None:
        self.host = ""
        self.queries: list[dict[str, list[str]]] = []


@contextmanager
def token_server(folder: Path | None = None, *, lifetime: float = 300) -> Iterator[TokenServer]:
    """A token server that gives nobody and alice all rights, signed with key.pem and certificate.pem of a folder."""
    tokens = TokenServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

        def do_GET(self) -> None:
            self.answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            self.answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

        def answer(self, query: dict[str, list[str]]) -> None:
            tokens.queries.append(query)
            said = self.headers.get("Authorization")
            right = said in (None, "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
            scopes = [part for scope in query["scope"] for part in scope.split()]
            document: dict[str, Any] = {"details": "incorrect username or password"}
            if right:
                token = signed(folder, scopes) if folder else "a token"
                key = "access_token" if self.command == "POST" else "token"
                document = {key: token, "expires_in": lifetime}
            body = json.dumps(document).encode()
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        tokens.host = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield tokens
        finally:
            server.shutdown()


def signed(folder: Path, scopes: list[str]) -> str:
    """A token as the distribution registry checks it (its spec, "Token Authentication Implementation")."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    pem = (folder / "certificate.pem").read_text()
    der = "".join(re.findall(r"^[A-Za-z0-9+/=]+$", pem, re.MULTILINE))
    access = [dict(zip(("type", "name", "actions"), scope.split(":"), strict=True)) for scope in scopes]
    now = int(time.time())
    claims = {
        "iss": "tests",
        "sub": "",
        "aud": "tests",
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now,
        "jti": "1",
        "access": [{**right, "actions": str(right["actions"]).split(",")} for right in access],
    }
    header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    content = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", str(folder / "key.pem")]
    signature = subprocess.run(command, input=content.encode(), capture_output=True, check=True).stdout
    return f"{content}.{encoded(signature)}"


@contextmanager
def registry_answering_bearer(server: TokenServer) -> Iterator[str]:
    """A registry that wants a token, and holds nothing."""
    with proxies.before("127.0.0.1:9") as registry:
        challenge = f'Bearer realm="http://{server.host}/token",service="x"'
        registry.faults += [
            Fault("GET", "/v2/$", times=100, status=401, headers={"WWW-Authenticate": challenge}),
            Fault("POST", times=100, status=202),
            Fault(".*", times=100, status=404),
        ]
        yield registry.host
