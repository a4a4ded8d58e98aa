"""Registries that differ from the specification, and are taken as Docker, containerd and crane take them."""

from __future__ import annotations

import pytest

from bentoship.errors import RegistryError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.stores.transfer import copy
from tests.support import proxy as proxies
from tests.support.images import put, put_image
from tests.support.proxy import Fault, Proxy
from tests.support.servers import answering, token_server

CONTENT = b"content"
BLOB = Descriptor.of(LAYER_TAR, CONTENT)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("what", ["/blobs/", "/manifests/"])
def test_what_is_taken_may_have_any_status_of_success(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy, what: str, status: int
) -> None:
    """Quay answered a manifest with 202; the blob or manifest is there, whatever the number."""
    image = put_image(layout)
    proxy.faults.append(Fault("PUT", what, times=99, as_status=status))
    copy(layout, shaky, image, tags=["v1"])
    assert shaky.resolve("v1") == image


@pytest.mark.parametrize("status", [400, 403, 405, 500, 501])
def test_where_head_is_not_allowed_get_is_sent(
    layout: LayoutStore, shaky: RegistryStore, proxy: Proxy, status: int
) -> None:
    """Both for what is there and for what is not."""
    image = put_image(layout)
    proxy.faults.append(Fault("HEAD", times=999, status=status))
    copy(layout, shaky, image, tags=["v1"])
    assert shaky.exists(image)
    assert shaky.resolve("v1") == image
    assert not shaky.exists(BLOB)


@pytest.mark.parametrize(("length", "there"), [("7", True), ("0", False), ("6", False)])
def test_a_blob_of_another_length_is_not_there(shaky: RegistryStore, proxy: Proxy, length: str, there: bool) -> None:
    """A registry that has lost it may still answer for it."""
    proxy.faults.append(Fault("HEAD", status=200, headers={"Content-Length": length}))
    assert shaky.exists(BLOB) == there


def test_an_upload_may_begin_elsewhere(layout: LayoutStore, repository: ImageReference) -> None:
    """A relative Location then starts at that host; credentials stay with the one that they are for."""
    with proxies.before(repository.host) as front, proxies.before(repository.host) as back:
        front.chance = lambda request: (
            Fault(status=307, headers={"Location": f"http://{back.host}{request.path}"})
            if request.method == "POST"
            else None
        )
        back.faults.append(Fault("POST", times=99, relative=True))
        account = Credentials("alice", "secret")
        front.faults.append(Fault("GET", "/v2/$", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
        store = RegistryStore(ImageReference(front.host, repository.path), account, push=True)
        image = put_image(layout)
        copy(layout, store, image, tags=["v1"])
        assert store.resolve("v1") == image
        assert front.count("PUT", "/blobs/uploads/") == 0
        assert back.count("PUT", "/blobs/uploads/") == 3
        assert all("Authorization" in request.headers for request in front.requests[1:])
        assert not any("Authorization" in request.headers for request in back.requests)


def test_an_upload_may_be_redirected(layout: LayoutStore, shaky: RegistryStore, proxy: Proxy) -> None:
    """The body goes to where it was led, by the next attempt."""
    image = put_image(layout)
    proxy.chance = lambda request: (
        Fault(status=307, headers={"Location": f"{request.path}&again=1"})
        if request.method == "PUT" and "/uploads/" in request.path and "again=1" not in request.path
        else None
    )
    copy(layout, shaky, image, tags=["v1"])
    assert shaky.resolve("v1") == image
    assert proxy.count("PUT", "again=1") == 3


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://169.254.169.254/latest", "a link-local address"),
        ("http://[fe80::1]/x", "a link-local address"),
        ("ftp://127.0.0.1/x", "not an HTTP URL"),
        ("http://[broken", "an invalid URL"),
    ],
)
@pytest.mark.parametrize("where", ["of an upload", "of a redirect"])
def test_a_location_leads_into_no_other_network(where: str, location: str, why: str) -> None:
    """A registry on this machine has no business with a cloud's metadata server."""
    upload = where == "of an upload"
    with proxies.before("127.0.0.1:9") as registry:
        registry.faults += [
            Fault("GET", "/v2/$", status=200),
            Fault("POST", status=202 if upload else 307, headers={"Location": location}),
        ]
        store = RegistryStore(ImageReference(registry.host, "acme/tool"), push=True)
        with pytest.raises(RegistryError, match=why):
            put(store, LAYER_TAR, CONTENT)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "[::1]", "localhost", "100.64.0.1"])
def test_a_public_registry_names_no_private_address(address: str) -> None:
    """Reached through a proxy, which stands for the internet here, with the registry's own address unknown."""
    with proxies.before("127.0.0.1:9") as internet:
        internet.faults += [
            Fault("GET", "/v2/$", status=200),
            Fault("POST", status=202, headers={"Location": f"http://{address}:9/upload"}),
        ]
        network = proxies.network(internet)
        store = RegistryStore(
            ImageReference("registry.invalid", "acme/tool"), push=True, plain_http=True, session=Session(network)
        )
        with pytest.raises(RegistryError, match="address, but is not itself at one"):
            put(store, LAYER_TAR, CONTENT)
        assert internet.count("PUT") == 0


@pytest.mark.parametrize("named", ["repository:tenant/tool:pull,push", "repository:tenant/tool:pull"])
def test_a_token_is_asked_for_the_scope_of_the_challenge(named: str) -> None:
    """Beside the one that is needed by the spec: a registry may call its repositories otherwise."""
    with token_server() as server, proxies.before("127.0.0.1:9") as registry:
        challenge = f'Bearer realm="http://{server.host}/token",service="x"'
        registry.faults += [
            Fault("GET", "/v2/$", status=401, headers={"WWW-Authenticate": challenge}),
            Fault("HEAD", status=401, headers={"WWW-Authenticate": f'{challenge},scope="{named}"'}),
            Fault("HEAD", status=404),
        ]
        store = RegistryStore(ImageReference(registry.host, "acme/tool"), push=True)
        assert not store.exists(BLOB)
    assert [query["scope"] for query in server.queries] == [
        ["repository:acme/tool:pull,push"],
        ["repository:acme/tool:pull,push", named],
    ]


def test_a_scope_that_was_asked_for_is_not_asked_for_twice() -> None:
    """A challenge for less than the token is for changes nothing."""
    with token_server() as server, proxies.before("127.0.0.1:9") as registry:
        challenge = 'Bearer realm="/token",service="x",scope="repository:acme/tool:pull"'
        registry.upstream = server.host  # the realm is relative to the registry
        registry.faults += [
            Fault("GET", "/v2/$", status=401, headers={"WWW-Authenticate": challenge}),
            Fault("HEAD", status=401, headers={"WWW-Authenticate": challenge}),
            Fault("HEAD", status=404),
        ]
        assert not RegistryStore(ImageReference(registry.host, "acme/tool"), push=True).exists(BLOB)
    assert [query["scope"] for query in server.queries] == [["repository:acme/tool:pull,push"]] * 2


def test_a_registry_token_is_sent_as_it_is() -> None:
    """Without asking a token server."""
    with answering(401, {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:9/",service="x"'}) as server:
        account = Credentials("", "", registry_token="token")
        with pytest.raises(RegistryError, match="401"):
            RegistryStore(ImageReference(server.host, "acme/tool"), account).exists(BLOB)
        assert server.asked[-1]["Authorization"] == "Bearer token"


def test_an_identity_token_works_without_oauth() -> None:
    """At a token server that knows no POST, it is a password."""
    with token_server() as server, proxies.before(server.host) as tokens, proxies.before("127.0.0.1:9") as registry:
        tokens.faults.append(Fault("POST", status=405))
        challenge = f'Bearer realm="http://{tokens.host}/token",service="x"'
        registry.faults += [
            Fault("GET", "/v2/$", status=401, headers={"WWW-Authenticate": challenge}),
            Fault("HEAD", status=404),
        ]
        account = Credentials("alice", "", identity_token="wonder:land")
        assert not RegistryStore(ImageReference(registry.host, "acme/tool"), account).exists(BLOB)
        assert tokens.requests[-1].headers["Authorization"].startswith("Basic ")
