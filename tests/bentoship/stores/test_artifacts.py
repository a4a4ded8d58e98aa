"""Artifacts that refer to images, in the real distribution registry, which has no API for them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from bentoship.errors import StoreError
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.reference import ImageReference
from bentoship.stores import artifacts
from bentoship.stores.artifacts import attach, fallback_tag, push, referrers
from bentoship.stores.graph import read_manifest
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image, put_index
from tests.support.proxy import Fault, Proxy

KIND = "application/vnd.example.note.v1+json"


def note(text: bytes, kind: str = KIND, **annotations: str) -> Artifact:
    """An artifact with one blob."""
    return Artifact(kind, [Blob("application/json", text)], annotations)


def test_an_artifact_is_tagged_and_read_back(store: RegistryStore) -> None:
    """Byte for byte."""
    artifact = note(b'{"a": 1}', author="alice")
    pushed = push(store, artifact, "note")
    assert store.read("note") == (pushed, artifact.manifest)
    with store.open(artifact.blobs[0].descriptor) as stream:
        assert stream.read() == b'{"a": 1}'
    assert push(store, artifact) == pushed


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "/blobs/uploads/", status=429, headers={"Retry-After": "0"}, times=2),
        Fault("POST", "/blobs/uploads/", status=503, times=2),
        Fault("PUT", "/blobs/uploads/", cut_sent=3, times=2),
        Fault("PUT", "/blobs/uploads/", lost=True, times=2),
    ],
)
def test_an_artifact_is_pushed_again_after_a_failure(shaky: RegistryStore, proxy: Proxy, fault: Fault) -> None:
    """As long as patience allows, as an image is: all of it is in memory."""
    proxy.faults.append(replace(fault))
    artifact = note(b'{"a": 1}')
    assert shaky.read(push(shaky, artifact, "note").digest)[1] == artifact.manifest
    assert proxy.faults[0].times == 0


def test_an_upload_of_an_artifact_may_be_redirected(shaky: RegistryStore, proxy: Proxy) -> None:
    """As that of a layer."""
    proxy.chance = lambda request: (
        Fault(status=307, headers={"Location": f"{request.path}&again=1"})
        if request.method == "PUT" and "/uploads/" in request.path and "again=1" not in request.path
        else None
    )
    assert shaky.exists(push(shaky, note(b"1"), "note"))


def test_what_refers_to_an_image_is_found(store: RegistryStore) -> None:
    """All of it with its annotations, or one kind alone; the same artifact twice is one."""
    image = put_image(store)
    assert referrers(store, image.digest) == []
    first = attach(store, Artifact(KIND, [], {"n": "1"}, image))
    second = attach(store, Artifact("application/vnd.example.other", [], {}, image))
    attach(store, Artifact(KIND, [], {"n": "1"}, image))
    assert referrers(store, image.digest) == [first, second]
    assert referrers(store, image.digest, KIND) == [first]
    assert first.annotations == {"n": "1"}
    assert tags(store) == [fallback_tag(image.digest)]


def test_what_others_have_deleted_is_listed_no_more(store: RegistryStore) -> None:
    """A registry refuses an index of it, which would keep everything else from being attached, too."""
    image = put_image(store)
    first, second = (attach(store, Artifact(KIND, [], {"n": n}, image)) for n in "12")
    assert store.delete(first.descriptor.digest)
    third = attach(store, Artifact(KIND, [], {"n": "3"}, image))
    assert referrers(store, image.digest) == [second, third]


def test_an_index_of_a_stranger_is_read_as_far_as_it_is_one(store: RegistryStore) -> None:
    """A tag of that name may point at anything."""
    image = put_image(store)
    store.tag(put_image(store, seed=2), fallback_tag(image.digest))
    assert referrers(store, image.digest) == []
    added = attach(store, Artifact(KIND, [], {}, image))
    assert referrers(store, image.digest) == [added]


def test_an_index_under_the_tag_for_its_own_referrers_lists_none(store: RegistryStore) -> None:
    """As `cosign copy` leaves it: the images of an index do not refer to it."""
    index = put_index(store, put_image(store), put_image(store, seed=2))
    store.tag(index, fallback_tag(index.digest))
    assert referrers(store, index.digest) == []
    added = attach(store, Artifact(KIND, [], {}, index))
    assert referrers(store, index.digest) == [added]


def test_clients_that_attach_at_once_lose_nothing(
    store: RegistryStore, repository: ImageReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has read the index before another writes it writes over that, which is noticed a moment later."""
    image = put_image(store)
    first = attach(store, Artifact(KIND, [], {"n": "1"}, image))
    before = store.read(fallback_tag(image.digest))
    undone = list[float]()

    def undo(seconds: float, most: int) -> None:
        undone.append(seconds)
        if len(undone) <= most:
            store.write_tagged(*before, fallback_tag(image.digest))

    monkeypatch.setattr(artifacts, "time", SimpleNamespace(sleep=partial(undo, most=1), monotonic=time.monotonic))
    second = attach(RegistryStore(repository, push=True), Artifact(KIND, [], {"n": "2"}, image))
    assert referrers(store, image.digest) == [first, second]
    assert len(undone) == 2
    assert all(0 < seconds < 5 for seconds in undone)
    monkeypatch.setattr(artifacts, "time", SimpleNamespace(sleep=partial(undo, most=99), monotonic=time.monotonic))
    with pytest.raises(StoreError, match="other clients keep writing the same index"):
        attach(store, Artifact(KIND, [], {"n": "3"}, image))


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b""])
def test_a_page_for_people_is_no_api(store: RegistryStore, through: ImageReference, proxy: Proxy, body: bytes) -> None:
    """As a web server answers for each path that it does not know: the fallback counts."""
    image = put_image(store)
    added = attach(store, Artifact(KIND, [], {}, image))
    proxy.faults.append(Fault("GET", "/referrers/", status=200, body=body))
    asking = RegistryStore(through)
    assert referrers(asking, image.digest) == [added]
    assert asking.has_referrers is False


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b'{"manifests": 5}', b'{"manifests": [5, {"digest": []}]}'])
def test_a_list_of_something_else_has_no_referrers(
    store: RegistryStore, through: ImageReference, proxy: Proxy, body: bytes
) -> None:
    """Whatever JSON it is."""
    proxy.faults.append(Fault("GET", "/referrers/", status=200, body=body))
    assert referrers(RegistryStore(through), f"sha256:{'0' * 64}") == []


@pytest.mark.parametrize("count", [0, 3])
def test_tags_are_listed(store: RegistryStore, count: int) -> None:
    """Of a repository that does not exist, too."""
    names = [f"v{number}" for number in range(count)]
    for name in names:
        store.tag(put_image(store), name)
    assert sorted(tags(store)) == names


def test_a_deleted_manifest_is_gone_with_its_tags(store: RegistryStore) -> None:
    """Deleting it again says that there is none."""
    image = put_image(store)
    store.tag(image, "v1")
    assert read_manifest(store, image)
    assert store.delete(image.digest)
    assert not store.delete(image.digest)
    assert tags(store) == []
