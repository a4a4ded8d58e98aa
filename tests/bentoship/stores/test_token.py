"""Logging in to a registry."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st

from bentoship.errors import RegistryError
from bentoship.image.descriptor import LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Challenge
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.fuzzing import fuzz, texts
from tests.support.images import put, put_image
from tests.support.proxy import Fault, Proxy
from tests.support.registry import PASSWORD, USER, Registry, needs_openssl, refused
from tests.support.servers import answering, registry_answering_bearer, token_server

ALICE = Credentials(USER, PASSWORD, source="the tests")


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Basic realm="x"', Challenge("basic", "x")),
        ("basic", Challenge("basic")),
        (
            'Bearer realm="https://auth.example/token?a=b,c",service="it\'s \\"x\\"",scope="repository:a/b:pull,push"',
            Challenge("bearer", "https://auth.example/token?a=b,c", 'it\'s "x"', "repository:a/b:pull,push"),
        ),
        ("Bearer realm=https://auth.example/token, service=x", Challenge("bearer", "https://auth.example/token", "x")),
        ('Basic realm="x", Bearer realm="y",service="z"', Challenge("bearer", "y", "z")),
        ('Bearer realm="y",service="z", Basic realm="x"', Challenge("bearer", "y", "z")),
        ("Negotiate", Challenge()),
        ("", Challenge()),
    ],
)
def test_challenges_are_read_however_they_are_written(header: str, challenge: Challenge) -> None:
    """One or several, quoted or not; a token is preferred to a password."""
    assert Challenge.parse(header) == challenge


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
    """The body cannot be sent twice here, but who calls can start over."""
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
        options = server.settings(tmp_path, query="?account=x")
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


def test_a_password_goes_to_no_token_server_in_the_clear() -> None:
    """Unless it is this machine itself."""
    challenge = 'Bearer realm="http://registry.invalid/token?secret=1",service="x"'
    with answering(401, {"WWW-Authenticate": challenge}) as server:
        store = RegistryStore(ImageReference(server.host, "acme/tool"), ALICE)
        with pytest.raises(RegistryError, match="not encrypted") as caught:
            store.resolve("v1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("account", [ALICE, None])
def test_a_registry_without_its_token_server_is_told(account: Credentials | None) -> None:
    """By its name, since the token server's is what is missing."""
    with answering(401, {"WWW-Authenticate": 'Bearer service="x"'}) as server:
        store = RegistryStore(ImageReference(server.host, "acme/tool"), account)
        with pytest.raises(RegistryError, match=f"{server.host} asks for a token but names no token server"):
            store.resolve("v1")


@pytest.mark.parametrize("token", ["a\nb", "\u2603", 5, ["a"], ""])
def test_a_token_that_no_header_can_have_is_refused(token: object) -> None:
    """A token server may answer with anything."""
    with (
        answering(200, body=json.dumps({"token": token}).encode()) as tokens,
        answering(401, {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token"'}) as server,
        pytest.raises(RegistryError, match="the token server's response holds no token"),
    ):
        RegistryStore(ImageReference(server.host, "acme/tool")).resolve("v1")


@pytest.mark.parametrize("lifetime", ["1" + "0" * 400, '"1e999"', "true", "null", "-1"])
def test_a_token_may_last_for_anything(lifetime: str) -> None:
    """What is no number of seconds counts as the minute that the specification has."""
    body = f'{{"token": "a token", "expires_in": {lifetime}}}'.encode()
    with (
        answering(200, body=body) as tokens,
        answering(401, {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token"'}) as server,
        pytest.raises(RegistryError) as caught,
    ):
        RegistryStore(ImageReference(server.host, "acme/tool")).resolve("v1")
    assert caught.value.status == 401  # with the token, too
    assert server.asked[-1]["Authorization"] == "Bearer a token"


def test_authorization_stays_with_its_host(guarded: Registry) -> None:
    """A redirect elsewhere is followed without it, as a signed address wants it."""
    content = b"from elsewhere"
    with answering(200, body=content) as elsewhere, proxies.before(guarded.host) as proxy:
        location = {"Location": f"http://{elsewhere.host}/blob?signature=1"}
        proxy.faults.append(Fault("GET", "/blobs/", status=307, headers=location))
        store = RegistryStore(ImageReference(proxy.host, "tests/redirect"), ALICE)
        with store.open(Descriptor.of(LAYER_TAR, content)) as stream:
            assert stream.read() == content
        assert "Authorization" in next(r for r in proxy.requests if "/blobs/" in r.path).headers
        assert "Authorization" not in elsewhere.asked[-1]


@fuzz(texts('Bearer basic=,"\\\\ realm service scope'), examples=200)
def test_any_header_is_a_challenge(header: str) -> None:
    """Or says nothing."""
    found = Challenge.parse(header)
    assert found.scheme in {"", "basic", "bearer"}


@fuzz(st.tuples(*[st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), min_size=1)] * 3))
def test_a_challenge_is_read_as_it_was_written(values: tuple[str, str, str]) -> None:
    """Whatever is in its quotes."""
    names = ("realm", "service", "scope")
    quoted = (re.sub(r'(["\\])', r"\\\1", value) for value in values)
    header = "Bearer " + ",".join(f'{name}="{text}"' for name, text in zip(names, quoted, strict=True))
    assert Challenge.parse(header) == Challenge("bearer", *values)


@pytest.mark.parametrize("header", ["Bearer " + "a=" * 30_000, "bearer " * 9_000, "Bearer " + "a" * 60_000])
def test_a_long_challenge_is_soon_read(header: str) -> None:
    """A header may have 64 kB."""
    began = time.monotonic()
    Challenge.parse(header)
    assert time.monotonic() - began < 5
