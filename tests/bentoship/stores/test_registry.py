"""A repository in a registry, against a real one."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import pytest

from bentoship.errors import InvalidReferenceError, RegistryError, StoreError
from bentoship.image.descriptor import INDEX, LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from tests.support import proxy as proxies
from tests.support import registry as registries
from tests.support.images import noise, put, put_image, put_index
from tests.support.proxy import Fault, Proxy
from tests.support.registry import Registry


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


def test_what_may_be_missing_is_looked_for(proxy: Proxy, through: ImageReference) -> None:
    """A missing tag or digest is no error then; a refused request is one."""
    store = RegistryStore(through, push=True)
    image = put_image(store)
    store.tag(image, "v1")
    found = store.find("v1")
    assert found
    assert (found[0], store.digest_of("v1")) == (image, image.digest)
    for name in ("v2", "sha256:" + "0" * 64):
        assert store.find(name) is None
        assert store.digest_of(name) is None
    proxy.faults.append(Fault(path="/manifests/v1", status=403, times=9))
    for look in (store.find, store.digest_of):
        with pytest.raises(RegistryError) as caught:
            look("v1")
        assert caught.value.status == 403


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
    with pytest.raises(StoreError, match="does not match"):
        store.write(Descriptor.of(MANIFEST, b"{}"), io.BytesIO(b"[]"), lambda count: None)


def test_a_blob_is_mounted_from_another_repository(store: RegistryStore, registry: Registry) -> None:
    """Without sending it; what isn't there either, or may not be read, is no error."""
    other = RegistryStore(ImageReference(registry.host, store.repository.partition("/")[2] + "-other"), push=True)
    layer = put(other, LAYER_TAR, b"mounted")
    assert store.mount(layer, other.repository.partition("/")[2])
    assert store.exists(layer)
    assert not store.mount(Descriptor.of(LAYER_TAR, b"nowhere"), other.repository.partition("/")[2])


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


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_what_was_pushed(store: RegistryStore) -> None:
    """Another program finds the image under its tag."""
    image = put_image(store)
    store.tag(image, "v1")
    command = ["skopeo", "inspect", "--no-creds", "--tls-verify=false", f"docker://{store.repository}:v1"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert json.loads(shown)["Digest"] == image.digest


def test_whether_an_account_is_known_is_told_early(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Logging in needs no repository; a wrong password is refused in the registry's words."""
    with registries.running(tmp_path_factory.mktemp("closed"), password=True) as closed:
        anywhere = ImageReference(closed.host, "any")
        RegistryStore(anywhere, Credentials(registries.USER, registries.PASSWORD), push=True).reach()
        with pytest.raises(RegistryError, match="Log in") as caught:
            RegistryStore(anywhere, Credentials(registries.USER, "wrong"), push=True).reach()
    assert caught.value.status == 401


def test_a_registry_that_is_not_there_is_told_early() -> None:
    """Before anything is made for it."""
    with pytest.raises(RegistryError, match="Reach the registry"):
        RegistryStore(ImageReference("registry.invalid", "any"), push=True).reach()


@pytest.mark.parametrize("name", ["sha256:zz", "sha256:8990da37e3c0", "../../other/manifests/v1", "a b?c", ""])
def test_what_is_no_name_is_not_asked_for(through: ImageReference, proxy: Proxy, name: str) -> None:
    """It could lead anywhere; for the beginning of a digest distribution fails, and is asked again for minutes."""
    store = RegistryStore(through, push=True)
    for ask in (store.read, store.resolve, store.delete, lambda text: store.read_changed(text, "")):
        with pytest.raises(InvalidReferenceError):
            ask(name)
    assert proxy.requests == []
