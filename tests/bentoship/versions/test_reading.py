"""Reading versions from real registries, with the referrers API and without."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import INDEX
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, fallback_tag, push
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system import retry
from bentoship.versions.reading import Reader, newest_first
from bentoship.versions.version import Model, Version
from tests.support.images import put, put_image, put_index
from tests.support.proxy import Fault, Proxy
from tests.support.servers import answering
from tests.support.versions import BASE, attest, promote, put_version


def read(store: RegistryStore, folder: Path) -> list[Version]:
    """The versions of a repository."""
    return list(Reader(store, folder).read().versions)


def test_a_version_says_what_its_registry_knows(store: RegistryStore, tmp_path: Path) -> None:
    """Of its manifest, of what refers to it, and of where it was promoted."""
    metrics, parameters = {"accuracy": 0.9}, {"epochs": "3", "name": "a"}
    image = put_version(store, 1, tags=["v1", "latest"], metrics=metrics, parameters=parameters)
    attest(store, image, "2026-02-02T12:00:00Z", commit="b" * 40)
    attest(store, image, "2026-01-02T12:00:00+01:00", commit="a" * 40)
    attest(store, image, "2026-02-03T12:00:00Z", verified=False)
    attest(store, image, "2026-02-04T12:00:00Z", verified=True)
    promote(store, "production", image)
    (version,) = read(store, tmp_path)
    assert replace(version, layers=()) == Version(
        image.digest,
        ["latest", "production", "v1"],
        True,
        600,
        bento="classifier:v1",
        base=BASE,
        models=(Model("stars:m1", {"number": "1"}),),
        metrics=metrics,
        parameters={**parameters},
        created=datetime(2026, 1, 2, 11, tzinfo=UTC),
        commit="a" * 40,
        promoted=("production",),
        verified=True,
    )
    assert [(part.kind, part.descriptor.size) for part in version.layers] == [("base", 500), ("source", 100)]
    annotations = {keys.CREATED: "2026-03-01T00:00:00Z", keys.PLATFORMS: "linux/arm64"}
    attach(store, Artifact(keys.STATEMENT_TYPE, [], annotations, image))
    assert read(store, tmp_path)[0].platforms == ("linux/arm64",)


def test_the_commit_is_one_that_makes_the_image(store: RegistryStore, tmp_path: Path) -> None:
    """Not one that lacks changes which had not been committed yet, unless there is no other."""
    image = put_version(store, 1)
    for day, commit, clean in ((1, "a", "false"), (2, "b", "true"), (3, "c", "true")):
        said = {keys.CREATED: f"2026-01-0{day}T00:00:00Z", keys.COMMIT: commit * 40, keys.CLEAN: clean}
        attach(store, Artifact(keys.STATEMENT_TYPE, [], said, image))
        (version,) = read(store, tmp_path)
        assert (version.commit, version.created) == (max("ab"[:day]) * 40, datetime(2026, 1, 1, tzinfo=UTC))


def test_the_beginning_of_a_digest_is_enough(store: RegistryStore, tmp_path: Path) -> None:
    """Of a version or of one in a history, unless several begin so."""
    first, second = put_version(store, 1), put_version(store, 2)
    promote(store, "production", first, second)
    store.delete(first.digest)
    reader = Reader(store, tmp_path)
    for image in (first, second):
        assert reader.meant(image.digest[:19]) == reader.meant(image.digest) == image.digest
    assert (reader.meant("v2"), reader.meant(f"{store.repository}:v2")) == ("v2", "v2")
    numbers = range(3, 20)  # of 18 digests, two begin with the same digit
    begun = [put_version(store, number).digest[:8] for number in numbers]
    twice = next(text for text in begun if [*begun, second.digest[:8]].count(text) > 1)
    for text, why in ((twice, "several digests begin with that"), ("sha256:00000000", "no digest of a version")):
        with pytest.raises(StoreError, match=why):
            reader.meant(text)


@pytest.mark.parametrize(("name", "hint"), [("nope", "lists them."), ("4a5663dd", "as sha256:4a5663dd.")])
def test_a_name_of_no_version_says_where_to_find_those(
    store: RegistryStore, tmp_path: Path, name: str, hint: str
) -> None:
    """The beginning of a digest without its algorithm is told how to be written."""
    put_version(store, 1)
    reader = Reader(store, tmp_path)
    for read in (reader.find, reader.manifest):
        with pytest.raises(RegistryError) as raised:
            read(name)
        assert "`invoke versions`" in raised.value.hint
        assert raised.value.hint.endswith(hint)


def test_an_index_of_nothing_is_told(store: RegistryStore, tmp_path: Path) -> None:
    """In words for people."""
    store.tag(put_index(store), "empty")
    assert [one.problem for one in read(store, tmp_path)] == ["its index has no image for any platform"]


def test_what_is_too_large_for_annotations_is_read_from_its_document(store: RegistryStore, tmp_path: Path) -> None:
    """Which is an artifact of the image; one that is missing or damaged is no problem."""
    content = json.dumps({keys.METRICS: {"accuracy": 0.9}, keys.PARAMETERS: {"epochs": 3}}).encode()
    large = Blob("application/json", content)
    image = put_version(store, 1, annotations={keys.METADATA: large.descriptor.digest})
    assert read(store, tmp_path)[0].metrics == {}
    attach(store, Artifact(keys.METADATA_TYPE, [Blob("application/json", b"{}")], {}, image))
    assert read(store, tmp_path)[0].metrics == {}
    attach(store, Artifact(keys.METADATA_TYPE, [large], {}, image))
    (version,) = read(store, tmp_path)
    assert (version.metrics, version.parameters) == ({"accuracy": 0.9}, {"epochs": 3})
    assert Reader(store, tmp_path).find("v1").metrics == {"accuracy": 0.9}


def test_versions_are_in_the_order_of_their_making(store: RegistryStore, tmp_path: Path) -> None:
    """Those of unknown time come last."""
    for number, created in [(1, "2026-01-01"), (2, ""), (3, "2026-01-03"), (4, "2026-01-02"), (10, "")]:
        image = put_version(store, number)
        if created:
            attest(store, image, f"{created}T00:00:00Z")
    assert [version.tags for version in read(store, tmp_path)] == [["v3"], ["v4"], ["v1"], ["v10"], ["v2"]]
    assert [one.tags for one in newest_first([Version("", ["b"]), Version("", ["a", "latest"])])] == [
        ["a", "latest"],
        ["b"],
    ]


def test_what_is_no_version_is_not_listed(store: RegistryStore, tmp_path: Path) -> None:
    """Histories, indexes of referrers, signatures, other artifacts, and an image that belongs to another."""
    image = put_version(store, 1)
    attest(store, image, "2026-01-01T00:00:00Z")
    promote(store, "staging", image, move=False)
    signature = push(store, Artifact("application/vnd.dev.cosign.artifact.sig.v1+json", []))
    store.tag(signature, f"{fallback_tag(image.digest)}.sig")
    store.tag(put_index(store), fallback_tag(f"sha256:{'0' * 64}"))
    push(store, Artifact("application/vnd.example.chart", []), "chart")
    volume = {**json.loads(store.read(image.digest)[1]), "subject": image.to_dict()}
    store.tag(put(store, image.media_type, json.dumps(volume).encode()), "v1-volume")
    (version,) = read(store, tmp_path)
    assert (version.digest, version.promoted) == (image.digest, ("staging",))


def test_an_index_has_the_layers_of_all_its_images(store: RegistryStore, tmp_path: Path) -> None:
    """Each once; attestations in it, as BuildKit has them, count for nothing."""
    images = {"amd64": put_version(store, 1, tags=["a"]), "arm64": put_version(store, 2, tags=["b"])}
    unknown = {**put_image(store).to_dict(), "platform": {"os": "unknown", "architecture": "unknown"}}
    entries = [{**one.to_dict(), "platform": {"os": "linux", "architecture": name}} for name, one in images.items()]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, unknown]}
    index = put(store, INDEX, json.dumps({**document, "annotations": {keys.BENTO: "classifier:both"}}).encode())
    store.tag(index, "both")
    for _ in range(2):
        version = next(one for one in read(store, tmp_path) if one.tags == ["both"])
        assert (version.is_ours, version.size, list(version.platforms)) == (True, 700, ["linux/amd64", "linux/arm64"])
        owners = {part.platforms for part in version.layers}
        assert owners == {("linux/amd64",), ("linux/arm64",), ("linux/amd64", "linux/arm64")}


def test_an_index_says_what_all_its_images_say(store: RegistryStore, tmp_path: Path) -> None:
    """Where it says nothing itself, as when others put it together; what it says itself wins."""
    same = {keys.BENTO: "classifier:both", keys.METRICS: '{"accuracy": 0.9}'}
    images = [put_version(store, number, annotations=same) for number in (1, 2)]
    entries = [
        {**one.to_dict(), "platform": {"os": "linux", "architecture": name}}
        for one, name in zip(images, ("amd64", "arm64"), strict=True)
    ]
    own = {keys.METRICS: '{"accuracy": 0.8}'}
    for tag, said in (("plain", {}), ("own", {"annotations": own})):
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries, **said}
        store.tag(put(store, INDEX, json.dumps(document).encode()), tag)
    reader = Reader(store, tmp_path)
    plain, given = reader.find("plain"), reader.find("own")
    assert (plain.is_ours, plain.bento, plain.base, plain.models) == (True, "classifier:both", BASE, ())
    assert (plain.metrics, given.metrics) == ({"accuracy": 0.9}, {"accuracy": 0.8})


def test_what_others_pushed_is_listed_as_theirs(store: RegistryStore, tmp_path: Path) -> None:
    """Images without our annotations, and what cannot be read, with the reason."""
    store.tag(put_image(store), "theirs")
    broken = put(store, INDEX, b'{"schemaVersion": 2, "mediaType": "%s", "manifests": []}' % INDEX.encode())
    store.tag(broken, "empty")
    versions = {version.tags[0]: version for version in read(store, tmp_path)}
    assert (versions["theirs"].is_ours, versions["theirs"].problem) == (False, "")
    assert versions["theirs"].size
    assert not versions["empty"].is_ours


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        ("/manifests/v1", Fault(status=403, times=9), "403"),
        ("/manifests/v1", Fault(status=200, body=b"<html>", times=9), "not an OCI image"),
        ("/manifests/v1", Fault(status=200, body=b'{"mediaType": "%s"}' % (b"a" * 9999), times=9), f"but {'a' * 127}…"),
        ("/manifests/v1", Fault(status=200, body=b'{"layers": 1}', times=9), "damaged"),
        ("/manifests/v1", Fault(status=200, body=b'{"layers": [{"digest": "sha512:1"}]}', times=9), "damaged"),
        ("/manifests/v1", Fault(status=200, body=b'{"manifests": [{"platform": 1}]}', times=9), "damaged"),
        ("/manifests/v1", Fault(status=200, body=b'{"manifests": null}', times=9), "damaged"),
        ("/manifests/v1", Fault(status=200, body=b'{"layers": [], "config": 7, "annotations": []}', times=9), ""),
    ],
)
def test_a_tag_that_cannot_be_read_has_a_problem(
    through: ImageReference, proxy: Proxy, tmp_path: Path, path: str, fault: Fault, why: str
) -> None:
    """And all others are read."""
    store = RegistryStore(through, push=True)
    for number in (1, 2):
        put_version(store, number)
    proxy.faults.append(replace(fault, path=path))
    versions = {version.tags[0]: version for version in read(store, tmp_path)}
    assert why in versions["v1"].problem
    assert bool(versions["v1"].problem) == bool(why)
    assert not versions["v1"].is_ours
    assert versions["v2"].is_ours


def test_a_registry_that_fails_is_an_error(through: ImageReference, proxy: Proxy, tmp_path: Path) -> None:
    """Not a list of problems."""
    store = RegistryStore(through, push=True)
    put_version(store, 1)
    proxy.faults.append(Fault(path="/manifests/v1", status=503, times=9))
    with pytest.raises(StoreError, match="503"):
        read(store, tmp_path)
    proxy.faults[:] = [Fault(path="/tags/list", status=404)]
    assert read(store, tmp_path) == []
    with answering(404) as server, pytest.raises(StoreError, match="is not a registry"):
        read(RegistryStore(ImageReference(server.host, "none")), tmp_path)


@pytest.mark.parametrize("damaged", ["v2", "sha256-[0-9a-f]+"])
def test_what_a_registry_has_damaged_has_a_problem(
    through: ImageReference, proxy: Proxy, tmp_path: Path, damaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers each time with an internal error, as distribution does after a crash; all others are read."""
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.01)
    store = RegistryStore(through, push=True, session=Session(patience=30.0))
    images = [put_version(store, number, metrics={"accuracy": 0.9}) for number in (1, 2, 3)]
    attest(store, images[1], "2026-01-01T00:00:00Z")
    before = proxy.count("GET", f"/manifests/{damaged}$")
    proxy.faults.append(Fault("GET", f"/manifests/{damaged}$", status=500, times=9))
    versions = {version.tags[0]: version for version in read(store, tmp_path)}
    assert "500" in versions["v2"].problem
    assert bool(versions["v2"].metrics) == (damaged != "v2")
    assert versions["v1"].metrics
    assert versions["v3"].metrics
    assert proxy.count("GET", f"/manifests/{damaged}$") == before + 4
    proxy.faults[:] = [Fault("GET", "/manifests/", status=500, times=99)]
    with pytest.raises(StoreError, match="500"):
        read(RegistryStore(through), tmp_path)


def test_what_has_not_changed_is_not_read_again(
    through: ImageReference, proxy: Proxy, repository: ImageReference, tmp_path: Path
) -> None:
    """A tag costs one request without a body; what was kept is checked, and a tag that moved is noticed."""
    store = RegistryStore(through, push=True)
    for number in (1, 2):
        attest(store, put_version(store, number), f"2026-01-0{number}T00:00:00Z")
    first = read(store, tmp_path)
    (kept,) = tmp_path.iterdir()
    before, moved = len(proxy.requests), proxy.moved
    assert read(store, tmp_path) == first
    asked = proxy.requests[before:]
    assert len(asked) == 5  # the tags and four manifests; that there is no referrers API is known
    listing = len(json.dumps({"tags": ["v1", "v2", *[fallback_tag(one.digest) for one in first]]}))
    assert proxy.moved - moved < listing + 300
    damaged = kept.read_text().replace('\\"schemaVersion\\": 2', '\\"schemaVersion\\": 3')
    assert damaged != kept.read_text()
    kept.write_text(damaged)
    assert read(store, tmp_path) == first
    third = put_version(store, 3, tags=["v1"])
    assert {one.digest for one in read(store, tmp_path)} == {first[0].digest, third.digest}


def test_what_was_kept_may_be_anything(store: RegistryStore, tmp_path: Path) -> None:
    """Then all is read again."""
    put_version(store, 1)
    first = read(store, tmp_path)
    (kept,) = tmp_path.iterdir()
    for text in ("", "[]", '{"tags": [], "documents": {"v1": 7}}', '{"tags": {"v1": "x"}, "documents": {"x": "y"}}'):
        kept.write_text(text)
        assert read(store, tmp_path) == first
    kept.unlink()
    tmp_path.chmod(0o500)
    assert read(store, tmp_path) == first
    tmp_path.chmod(0o700)


def test_a_version_is_found_by_tag_or_digest(store: RegistryStore, tmp_path: Path) -> None:
    """What is no image, or is not there, is an error."""
    image = put_version(store, 1)
    attest(store, image, "2026-01-01T00:00:00Z", commit="c" * 40)
    promote(store, "production", image)
    reader = Reader(store, tmp_path)
    assert (reader.find("v1").commit, reader.find("v1").tags) == ("c" * 40, ("v1",))
    assert (reader.find(image.digest).commit, reader.find(image.digest).tags) == ("c" * 40, ())
    with pytest.raises(StoreError, match="not an image"):
        reader.find("production.history")
    with pytest.raises(StoreError, match=r"404|unknown"):
        reader.find("v2")


def test_a_history_that_cannot_be_read_promotes_nothing(store: RegistryStore, tmp_path: Path) -> None:
    """But where its name is a tag, that is where the name points."""
    image = put_version(store, 1)
    push(store, Artifact(keys.HISTORY_TYPE, [Blob("application/json", b"{}")]), "a.history")
    push(store, Artifact(keys.HISTORY_TYPE, [Blob("application/json", b"null")]), "b.history")
    store.tag(image, "b")
    found = Reader(store, tmp_path).read()
    assert [version.promoted for version in found.versions] == [("b",)]
    assert found.histories == {"a": (), "b": ()}
