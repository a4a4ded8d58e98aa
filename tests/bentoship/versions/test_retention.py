"""What may go from a registry, and what goes with it, in the real distribution registry."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import INDEX, LAYER_TAR, MANIFEST, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, fallback_tag, push, referrers
from bentoship.stores.credentials import Credentials
from bentoship.stores.graph import read_manifest
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.versions import promotion, retention
from bentoship.versions.history import Promotion
from bentoship.versions.models import PackedModel, model_artifact, model_volume
from bentoship.versions.models import put as put_beside
from bentoship.versions.promotion import move, now, standing
from bentoship.versions.retention import Rules, Survey, delete, is_unsupported, survey
from tests.support.google import Google
from tests.support.images import put, put_image
from tests.support.proxy import Fault, Proxy

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MONTH = Rules(older_than=timedelta(days=30))


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A repository without the referrers API."""
    # Distribution fails for a moment when a tag is read and written at once.
    return RegistryStore(repository, push=True, session=Session(patience=30.0))


def publish(store: RegistryStore, days: float | None, *names: str, seed: int | None = None) -> Descriptor:
    """An image of ours with tags. Args: days: since it was made, None for no provenance; seed: of its layer."""
    image = put_image(store, sizes=(10,), seed=zlib.crc32(repr(names).encode()) if seed is None else seed)
    document = {**json.loads(read_manifest(store, image)), "annotations": {keys.BENTO: f"echo:{names}"}}
    return tagged(store, put(store, MANIFEST, json.dumps(document).encode()), days, *names)


def tagged(store: RegistryStore, image: Descriptor, days: float | None, *names: str) -> Descriptor:
    """An image with its provenance, and tags."""
    if days is not None:
        when = (NOW - timedelta(days=days)).isoformat()
        annotations = {keys.CREATED: when, keys.PREDICATE: "https://slsa.dev/provenance/v1"}
        attach(store, Artifact(keys.STATEMENT_TYPE, [Blob("application/json", when.encode())], annotations, image))
    for name in names:
        store.tag(image, name)
    return image


def index(store: RegistryStore, days: float | None, name: str, *images: Descriptor) -> Descriptor:
    """An index of ours."""
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [one.to_dict() for one in images],
        "annotations": {keys.BENTO: f"echo:{name}"},
    }
    return tagged(store, put(store, INDEX, json.dumps(document).encode()), days, name)


def put_models(store: RegistryStore, image: Descriptor, name: str) -> None:
    """What `publish --model-artifact` puts beside an image, under tags of its own."""
    layer = Layer(put(store, LAYER_TAR, name.encode()), f"sha256:{'0' * 64}", "model", "model")
    model = PackedModel("stars", name, layer, "models/stars")
    put_beside(store, model_artifact(model, image), f"{name}-model")
    put_beside(store, model_volume([model], "linux/amd64", image), f"{name}-volume")


def test_a_version_is_as_old_as_its_newest_provenance(store: RegistryStore) -> None:
    """It may have been published again; a result of `verify` makes it no younger. At the age itself it may go."""
    tagged(store, publish(store, 60, "again"), 1)
    result = {keys.CREATED: (NOW - timedelta(days=1)).isoformat(), keys.PREDICATE: keys.TEST_RESULT}
    old = publish(store, 60, "old")
    attach(store, Artifact(keys.STATEMENT_TYPE, [Blob("application/json", b"works")], result, old))
    publish(store, 30, "edge")
    kept = {one.tags: one.kept for one in survey(store, MONTH, NOW).versions}
    assert kept == {("again",): retention.YOUNGER, ("edge",): "", ("old",): ""}


def promote(store: RegistryStore, image: Descriptor, name: str = "production") -> None:
    """Promote an image."""
    seen = standing(store, name)
    move(store, seen, image, Promotion(image.digest, (), seen.digest, "ann", now()))


def going(store: RegistryStore, rules: Rules) -> list[str]:
    """The tags of what may go."""
    return sorted(tag for one in survey(store, rules, NOW).going for tag in one.tags)


def clean(store: RegistryStore, rules: Rules) -> Survey:
    """Delete what may go."""
    found = survey(store, rules, NOW)
    for version in found.going:
        delete(store, version, found)
    return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses."""
    monkeypatch.setattr(promotion, "_PAUSE", 0.01)


RULES = [
    (Rules(keep=2), ["v40", "v50"]),
    (MONTH, ["v40", "v50"]),
    (Rules(keep=3, older_than=timedelta(days=30)), ["v50"]),
    (Rules(keep=0, older_than=timedelta(days=45)), ["v50"]),
    (Rules(keep=1, older_than=timedelta(days=5), tags=["v50", "v40"]), ["v10"]),
    (Rules(keep=0), ["v10", "v40", "v50"]),
    (Rules(keep=9), []),
]


def test_old_versions_go(store: RegistryStore) -> None:
    """Those that are neither among the newest nor young; what is tagged latest, others' and of unknown age stays."""
    for days in (50, 1, 40, 10):
        publish(store, days, f"v{days}", *(["latest"] if days == 1 else []))
    publish(store, None, "unknown")
    store.tag(put_image(store, sizes=(10,), seed=99), "theirs")
    found = [going(store, Rules(rules.keep, rules.older_than, ["latest", *rules.tags])) for rules, _ in RULES]
    assert found == [expected for _, expected in RULES]
    kept = {tag: one.kept for one in survey(store, MONTH, NOW).versions for tag in one.tags if one.kept}
    assert (kept["unknown"], kept["theirs"]) == ("its age is not known", "not made by bentoship")


def test_others_go_when_asked_for(store: RegistryStore) -> None:
    """Those of a known age."""
    tagged(store, put_image(store, sizes=(10,), seed=1), 40, "old")
    store.tag(put_image(store, sizes=(10,), seed=2), "unknown")
    assert going(store, MONTH) == []
    assert going(store, Rules(older_than=timedelta(days=30), others=True)) == ["old"]


def test_what_refers_to_a_version_goes_with_it(store: RegistryStore) -> None:
    """Attestations and what refers to these, the fallback's indexes, cosign's tags; all else is untouched."""
    old, new = publish(store, 40, "old"), publish(store, 1, "new")
    note = attach(store, Artifact("application/vnd.example", [], {}, old)).descriptor
    signature = attach(store, Artifact("application/vnd.example.signature", [], {}, note)).descriptor
    side = [f"{fallback_tag(old.digest)}.{kind}" for kind in ("sig", "att", "sbom")]
    for name in side:
        push(store, Artifact("application/vnd.example.cosign", [], {"of": name}), name)
    others = push(store, Artifact("application/vnd.example.cosign", [], {}), f"{fallback_tag(new.digest)}.sig")
    clean(store, MONTH)
    assert sorted(tags(store)) == sorted(["new", fallback_tag(new.digest), f"{fallback_tag(new.digest)}.sig"])
    for gone in (old.digest, note.digest, signature.digest):
        with pytest.raises(RegistryError):
            store.read(gone)
    assert len(referrers(store, new.digest)) == 1
    assert store.read(others.digest)


def test_promoted_versions_stay_with_those_to_roll_back_to(
    store: RegistryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are kept for it; what was rolled back is not among them."""
    monkeypatch.setattr(retention, "RETURNS", 1)
    images = [publish(store, 90 - number, f"v{number}") for number in range(4)]
    for image in images:
        promote(store, image)
    taken_back = publish(store, 50, "bad")
    promote(store, taken_back)
    seen = standing(store, "production")
    entry = promotion.rolled_back(seen, "ann", "")
    move(store, seen, images[-1], entry)
    assert going(store, MONTH) == ["bad", "v0", "v1"]
    clean(store, MONTH)
    assert standing(store, "production").digest == images[-1].digest
    assert all(store.read(image.digest) for image in images[2:])


def test_every_name_that_keeps_a_version_is_told(store: RegistryStore) -> None:
    """Not one of them alone, after whose removal it would still stay."""
    image = publish(store, 90, "v1")
    for name in ("staging", "production"):
        promote(store, image, name)
    (kept,) = survey(store, MONTH, NOW).versions
    assert kept.kept == "promoted to production and staging"


def test_an_index_goes_with_its_manifests_unless_another_needs_them(store: RegistryStore) -> None:
    """A version that an index needs which stays is kept, also where the index is only one to roll back to."""
    shared, own, single = (publish(store, 40, name) for name in ("shared", "own", "single"))
    index(store, 1, "new", shared)
    old = index(store, 60, "old", shared, own)
    former = index(store, 60, "former", single)
    for image in (former, publish(store, 1, "current")):
        promote(store, image)
    found = clean(store, MONTH)
    assert {tag: one.kept for one in found.versions for tag in one.tags}["shared"] == "part of an index that stays"
    for digest in (shared.digest, single.digest, former.digest):
        assert store.read(digest)
    for digest in (old.digest, own.digest):
        with pytest.raises(RegistryError):
            store.read(digest)


def test_models_beside_a_version_go_with_it(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """Though they have tags, which go first where a registry wants it; they are no versions, and others' stay."""
    old, new = publish(store, 40, "old"), publish(store, 1, "new")
    for image, name in ((old, "old"), (new, "new")):
        put_models(store, image, name)
    unlisted = push(store, Artifact("application/vnd.example", [], {"a": "b"}, old), "note")
    found = survey(store, MONTH, NOW)
    assert sorted(tag for one in found.versions for tag in one.tags) == ["new", "old"]
    gone = [store.resolve(name) for name in ("old", "old-model", "old-volume")]
    proxy.faults.append(Fault("DELETE", f"/manifests/{gone[1].digest}", status=400))
    proxy.faults.append(Fault("DELETE", "/manifests/old-model$", status=202))  # distribution 2.8 does not delete tags
    clean(RegistryStore(through, push=True), MONTH)
    assert sorted(tags(store)) == sorted(["new", "new-model", "new-volume", fallback_tag(new.digest)])
    for one in (*gone, unlisted):
        with pytest.raises(RegistryError):
            store.read(one.digest)


def test_what_refers_to_a_version_and_is_in_use_stays(store: RegistryStore) -> None:
    """Where it is promoted, or has a tag that each publish moves."""
    old = publish(store, 40, "old")
    put_models(store, old, "old")
    promote(store, store.resolve("old-volume"))
    store.tag(store.resolve("old-model"), "latest")
    clean(store, Rules(keep=0, tags=["latest"]))
    assert sorted(tags(store)) == sorted(["latest", "old-model", "old-volume", "production", "production.history"])


def test_a_strangers_list_deletes_nothing_that_stays(store: RegistryStore) -> None:
    """An index of referrers may list an image in use, and a tag of cosign's form may point at one."""
    old, new, other = publish(store, 40, "old"), publish(store, 1, "new"), publish(store, 40, "other")
    listing = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [new.to_dict(), other.to_dict()]}
    store.tag(put(store, INDEX, json.dumps(listing).encode()), fallback_tag(old.digest))
    store.tag(new, f"{fallback_tag(other.digest)}.sig")
    found = survey(store, Rules(keep=0, tags=["new"]), NOW)
    assert [tag for one in found.going for tag in one.tags] == ["other"]
    clean(store, Rules(keep=0, tags=["new"]))
    assert store.read("new")


def test_a_version_that_was_promoted_since_stays(store: RegistryStore) -> None:
    """It is looked at again before it goes."""
    old = publish(store, 40, "old")
    promote(store, publish(store, 1, "new"))
    found = survey(store, MONTH, NOW)
    promote(store, old)
    with pytest.raises(StoreError, match="production now points to it"):
        delete(store, found.going[0], found)
    assert store.read("old")


@pytest.mark.parametrize("is_promoted", [False, True])
def test_a_version_that_got_a_name_since_stays(store: RegistryStore, *, is_promoted: bool) -> None:
    """A tag, or the first promotion to a name."""
    old = publish(store, 40, "old")
    found = survey(store, MONTH, NOW)
    if is_promoted:
        promote(store, old, "staging")
    else:
        store.tag(old, "staging")
    with pytest.raises(StoreError, match="staging now points to it"):
        delete(store, found.going[0], found)
    assert store.read("old")


def test_what_a_kill_left_goes_next_time(store: RegistryStore) -> None:
    """When the version was deleted already, but not what refers to it."""
    old = publish(store, 40, "old")
    [note] = referrers(store, old.digest)
    store.delete(old.digest)
    clean(store, MONTH)
    assert tags(store) == []
    with pytest.raises(RegistryError):
        store.read(note.descriptor.digest)


@pytest.mark.parametrize(
    ("status", "body", "unsupported"),
    [
        (405, b'{"errors": [{"code": "UNSUPPORTED", "message": "The operation is unsupported."}]}', True),
        (400, b'{"errors": [{"code": "UNSUPPORTED"}]}', True),
        (403, b'{"errors": [{"code": "DENIED"}]}', False),
        (404, b"<html>not found", True),
    ],
)
def test_a_refusal_leaves_all_that_refers_to_it(
    store: RegistryStore, through: ImageReference, proxy: Proxy, status: int, body: bytes, unsupported: bool
) -> None:
    """And says whether the registry deletes at all."""
    old = publish(store, 40, "old")
    proxy.faults.append(Fault("DELETE", times=9, status=status, body=body))
    refused = RegistryStore(through, push=True)
    found = survey(refused, MONTH, NOW)
    with pytest.raises(RegistryError) as caught:
        delete(refused, found.going[0], found)
    assert is_unsupported(caught.value) == unsupported
    assert len(referrers(store, old.digest)) == 1


def test_tags_go_first_where_a_registry_wants_it(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """As Google's, which deletes no manifest that has tags."""
    old = publish(store, 40, "old")
    body = (
        b'{"errors": [{"code": "GOOGLE_MANIFEST_DANGLING_TAG", "message": "Manifest is still referenced by tag: old"}]}'
    )
    proxy.faults.append(Fault("DELETE", "/manifests/sha256:", status=400, body=body))
    proxy.faults.append(Fault("DELETE", "/manifests/old$", status=202))  # distribution 2.8 does not delete tags
    clean(RegistryStore(through, push=True), MONTH)
    assert proxy.count("DELETE", "/manifests/old$") == 1
    assert proxy.count("DELETE", f"/manifests/{old.digest}") == 2
    assert tags(store) == []


def test_all_tags_of_a_version_go_first(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """Also that which `cosign copy` gives to the image itself, and which is for its referrers."""
    old = publish(store, 40, "old")
    attached = [one.descriptor for one in referrers(store, old.digest)]
    store.tag(old, fallback_tag(old.digest))
    body = b'{"errors": [{"code": "GOOGLE_MANIFEST_DANGLING_TAG", "message": "Manifest is still referenced by tag"}]}'
    found = replace(survey(store, Rules(), NOW).versions[0], kept="")
    proxy.faults.append(Fault("DELETE", "/manifests/sha256:", status=400, body=body))
    proxy.faults += [Fault("DELETE", f"/manifests/{tag}$", status=202) for tag in ("old", fallback_tag(old.digest))]
    delete(RegistryStore(through, push=True), found, Survey([found], tags=frozenset(tags(store))))
    assert proxy.count("DELETE", "/manifests/old$") == proxy.count("DELETE", f"/{fallback_tag(old.digest)}$") == 1
    assert tags(store) == []
    assert all(map(store.exists, attached))  # nothing lists them any more


def test_at_google_what_refers_to_a_version_goes_before_it(tmp_path: Path) -> None:
    """Tags, attestations, what belongs to it as its models do, and the images of an index; a kept one loses nothing."""
    with Google(tmp_path) as google:
        google.add_repository()
        place = ImageReference.parse(f"{google.docker_host}/{google.project.id}/mlops-registry/echo")
        account = Credentials("oauth2accesstoken", google.token())
        there = RegistryStore(place, account, push=True, deletes_untagged=True)
        child, new = publish(there, 40, "child"), publish(there, 1, "new")
        old = index(there, 60, "old", child)
        models = attach(there, Artifact("application/vnd.example.model", [], {}, old))
        there.tag(models.descriptor, "old-model")
        for name in (f"{fallback_tag(old.digest)}.sig", f"{fallback_tag(child.digest)}.att"):
            push(there, Artifact("application/vnd.example.cosign", [], {"of": name}), name)
        found = survey(there, MONTH, NOW)
        assert {tag for one in found.versions for tag in one.tags} == {"child", "new", "old"}
        clean(there, MONTH)
        assert all(there.digest_of(one.digest) is None for one in (old, child, models.descriptor))
        [proof] = referrers(there, new.digest)
        assert sorted(tags(there)) == ["new", f"{fallback_tag(new.digest)}.{proof.descriptor.hex[:12]}"]


def test_what_still_stands_in_the_way_is_an_error(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """When nothing more can go; in the registry's words. Signatures, which are in no way, stay."""
    old = publish(store, 40, "old")
    signature = f"{fallback_tag(old.digest)}.sig"
    push(store, Artifact("application/vnd.example.cosign", [], {}), signature)
    body = b'{"errors": [{"code": "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE", "message": "of a parent image"}]}'
    proxy.faults.append(Fault("DELETE", old.digest, times=9, status=400, body=body))
    refused = RegistryStore(through, push=True)
    found = survey(refused, MONTH, NOW)
    with pytest.raises(RegistryError, match="of a parent image"):
        delete(refused, found.going[0], found)
    assert {"old", signature} <= {*tags(store)}


@pytest.mark.parametrize("text", ["", "yesterday", "2026-99-99", "1e9", "٢٠٢٦"])
def test_a_time_that_is_none_is_unknown(store: RegistryStore, text: str) -> None:
    """Which keeps the version."""
    image = publish(store, None, "v1")
    attach(store, Artifact(keys.STATEMENT_TYPE, [], {keys.CREATED: text}, image))
    [version] = survey(store, MONTH, NOW).versions
    assert (version.created, version.kept) == (None, "its age is not known")


def test_what_is_no_image_stays(store: RegistryStore) -> None:
    """Such as a manifest of an old kind, or another artifact."""
    push(store, Artifact("application/vnd.example", [Blob("text/plain", b"a")], {}), "note")
    assert [one.kept for one in survey(store, Rules(keep=0), NOW).versions] == ["not made by bentoship"]
