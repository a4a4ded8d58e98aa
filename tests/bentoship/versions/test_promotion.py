"""Names that are moved to images, in the real distribution registry."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bentoship.errors import BentoshipError, RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.versions import promotion
from bentoship.versions.history import Promotion, history_tag, promoted_names, read_history
from bentoship.versions.promotion import Standing, check_name, find, move, now, rolled_back, settled, standing
from tests.support.images import put, put_image, put_index
from tests.support.proxy import Fault, Proxy, Request

NAME = "production"


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """A repository without the referrers API."""
    # Distribution fails for a moment when a tag is read and written at once.
    return RegistryStore(repository, push=True, session=Session(patience=30.0))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Short pauses, except where several promote at once."""
    if "at_once_one" not in request.node.name:
        monkeypatch.setattr(promotion, "_PAUSE", 0.01)


def promote(store: RegistryStore, image: Descriptor, *, seen: Standing | None = None, by: str = "ann") -> bool:
    """Promote an image that was looked at before, if that is given."""
    seen = seen or standing(store, NAME)
    return move(store, seen, image, Promotion(image.digest, ("v1",), seen.digest, by, now(), "better", ("a > 1 (2)",)))


def roll_back(store: RegistryStore) -> str:
    """Roll back, and return where the name points then."""
    seen = standing(store, NAME)
    entry = rolled_back(seen, "bob", "")
    move(store, seen, store.resolve(entry.digest), entry)
    return store.resolve(NAME).digest


def images(store: RegistryStore, count: int) -> list[Descriptor]:
    """Small images in a repository."""
    return [put_image(store, sizes=(10,), seed=seed) for seed in range(count)]


def entries(store: RegistryStore) -> list[str]:
    """The digests in the history, oldest first."""
    return [one.digest for one in read_history(store, NAME).promotions]


def test_a_name_is_moved_and_recorded(store: RegistryStore, repository: ImageReference) -> None:
    """The history is a JSON blob of the documented form, and names the one that it replaced."""
    first, second = images(store, 2)
    assert promote(store, first)
    before = read_history(store, NAME).manifest
    assert promote(store, second, by="bob")
    assert store.resolve(NAME) == second
    assert sorted(tags(store)) == [NAME, history_tag(NAME)]
    assert promoted_names(tags(store)) == [NAME]
    _, manifest = store.read("production.history")
    document = json.loads(manifest)
    assert document["artifactType"] == keys.HISTORY_TYPE
    assert before
    assert document["annotations"] == {keys.PREVIOUS: before.digest}
    with store.open(Descriptor.from_dict(document["layers"][0])) as stream:
        _, last = json.loads(stream.read())["promotions"]
    assert last.pop("when").endswith("Z")
    assert last == {
        "digest": second.digest,
        "tags": ["v1"],
        "from": first.digest,
        "by": "bob",
        "why": "better",
        "conditions": ["a > 1 (2)"],
    }


def test_rollbacks_go_back_one_by_one(store: RegistryStore) -> None:
    """Not to and fro; each is an entry; what is promoted after one comes after what that returned to."""
    a, b, c, d = images(store, 4)
    for image in (a, b, c):
        promote(store, image)
    assert [roll_back(store), roll_back(store)] == [b.digest, a.digest]
    with pytest.raises(BentoshipError, match="its history has no earlier image"):
        roll_back(store)
    promote(store, d)
    assert roll_back(store) == a.digest
    history = read_history(store, NAME)
    assert [one.digest for one in history.promotions] == [one.digest for one in (a, b, c, b, a, d, a)]
    assert [one.why for one in history.promotions if one.is_rollback] == ["rollback"] * 3
    assert [one.digest for one in history.line] == [a.digest]


def test_what_was_moved_by_other_means_is_recorded(store: RegistryStore) -> None:
    """Such as by docker push: with the next promotion, and it is what a rollback returns to."""
    a, b, c = images(store, 3)
    store.tag(a, NAME)
    assert [one.digest for one in settled(store, NAME).found] == [a.digest]
    promote(store, b)
    store.tag(c, NAME)
    promote(store, a)
    assert entries(store) == [one.digest for one in (a, b, c, a)]
    assert "found: moved by other means" in [one.why for one in read_history(store, NAME).promotions]
    assert [roll_back(store), roll_back(store), roll_back(store)] == [c.digest, b.digest, a.digest]


def test_a_rollback_of_what_was_moved_by_other_means_returns_to_the_history(store: RegistryStore) -> None:
    """And records both."""
    a, b = images(store, 2)
    promote(store, a)
    store.tag(b, NAME)
    assert roll_back(store) == a.digest
    assert entries(store) == [a.digest, b.digest, a.digest]


def test_a_name_that_is_gone_is_not_rolled_back(store: RegistryStore) -> None:
    """It says what the history ends with."""
    (a,) = images(store, 1)
    with pytest.raises(BentoshipError, match=r"no tag production\n.*`invoke promote VERSION production` does that"):
        rolled_back(standing(store, NAME), "bob", "")
    promote(store, a)
    seen = Standing(NAME, None, read_history(store, NAME))
    with pytest.raises(BentoshipError, match=f"`invoke promote {a.digest} production`"):
        rolled_back(seen, "bob", "")


def test_a_name_that_moved_since_it_was_read_stays(store: RegistryStore) -> None:
    """The later one notices, and says who was there before; nothing of it is recorded."""
    a, b, c = images(store, 3)
    promote(store, a)
    seen = standing(store, NAME)
    promote(store, b, by="bob")
    with pytest.raises(StoreError, match=f"it was moved in the meantime: it now points to {b.digest}, by bob at 20"):
        promote(store, c, seen=seen)
    assert store.resolve(NAME) == b
    assert entries(store) == [a.digest, b.digest]


def test_the_same_promotion_twice_at_once_is_one(store: RegistryStore) -> None:
    """The later one finds what it wanted."""
    a, b = images(store, 2)
    promote(store, a)
    seen = standing(store, NAME)
    assert promote(store, b, seen=seen)
    assert not promote(store, b, seen=seen)
    assert entries(store) == [a.digest, b.digest]


def test_of_promotions_at_once_one_holds(repository: ImageReference) -> None:
    """Whichever it is, it is in the history, and the name points to it; the others are told."""
    stores = [RegistryStore(repository, push=True, session=Session(patience=30.0)) for _ in range(3)]
    candidates = images(stores[0], 3)
    seen = standing(stores[0], NAME)
    barrier = threading.Barrier(len(stores))
    won, lost = list[str](), list[str]()

    def attempt(number: int) -> None:
        barrier.wait()
        try:
            promote(stores[number], candidates[number], seen=seen)
            won.append(candidates[number].digest)
        except StoreError as error:
            lost.append(error.why)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = standing(stores[0], NAME)
    assert after.is_recorded
    assert [after.digest] == won == entries(stores[0])
    assert all(why.startswith("it was moved in the meantime") for why in lost)
    assert len(lost) == 2


def test_a_kill_between_the_tag_and_its_record_is_made_up_for(store: RegistryStore) -> None:
    """By the same command, which records what it finds."""
    a, b = images(store, 2)
    promote(store, a)
    store.tag(b, NAME)
    assert promote(store, b)
    assert entries(store) == [a.digest, b.digest]
    assert standing(store, NAME).is_recorded


def test_another_who_wrote_over_the_history_is_recorded(store: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one to which the tag does not point leaves a history that says where it does."""
    a, b, c = images(store, 3)
    promote(store, a)
    seen = standing(store, NAME)
    monkeypatch.setattr(promotion, "_PATIENCE", 0.2)
    own = store.tag

    def tag(descriptor: Descriptor, name: str) -> None:
        own(descriptor, name)
        if name == history_tag(NAME) and store.resolve(NAME) == b:
            own(c, NAME)  # another one moves the name in this moment, and ends

    monkeypatch.setattr(store, "tag", tag)
    with pytest.raises(StoreError, match="it was moved in the meantime"):
        promote(store, b, seen=seen)
    assert standing(store, NAME).is_recorded
    assert entries(store) == [a.digest, c.digest]


REFUSALS = {
    # Each as the registry's own software writes it.
    "google": (400, "MANIFEST_INVALID", "cannot update tag production. The repository has enabled tag immutability"),
    "ecr": (
        400,
        "TAG_INVALID",
        "The image tag 'production' already exists in the 'echo' repository and cannot be overwritten because the tag "
        "is immutable.",
    ),
    "harbor": (
        412,
        "PRECONDITION",
        "Failed to process request due to 'library/echo:production' configured as immutable.",
    ),
    "docker hub": (403, "DENIED", "immutable tag cannot be overwritten"),
    "gitlab": (403, "DENIED", "requested access to the resource is denied: the tag is protected"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_registry_that_keeps_tags_says_so_clearly(
    kind: str, is_first: bool, store: RegistryStore, through: ImageReference, proxy: Proxy
) -> None:
    """What is immutable and what to do, and the history does not say that the name was moved."""
    a, b = images(store, 2)
    store.tag(a, NAME)
    if not is_first:
        promote(store, a)
    status, code, message = REFUSALS[kind]
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    proxy.faults.append(Fault("PUT", f"/manifests/{NAME}$", times=9, status=status, body=body))
    refused = RegistryStore(through, push=True)
    before = standing(store, NAME)
    with pytest.raises(RegistryError) as caught:
        promote(refused, b)
    assert message in caught.value.why
    assert "keeps the tag production where it is, and nothing was changed. Exempt production and production.hi" in str(
        caught.value
    )
    assert standing(store, NAME) == before


def test_a_name_that_cannot_be_recorded_stays(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """The registry may take the name, but not the history's tag; a new name cannot be taken back, which is said."""
    a, b = images(store, 2)
    body = b'{"errors": [{"code": "DENIED", "message": "no such tags here"}]}'
    proxy.faults.append(Fault("PUT", rf"/manifests/{NAME}\.history$", times=9, status=403, body=body))
    refused = RegistryStore(through, push=True)
    with pytest.raises(RegistryError, match="is not recorded: run the same command again"):
        promote(refused, a)
    assert store.resolve(NAME) == a
    promote(store, a)
    with pytest.raises(RegistryError, match="production stays where it was, as the promotion cannot be recorded"):
        promote(refused, b)
    assert standing(store, NAME).is_recorded
    assert store.resolve(NAME) == a


def test_a_name_that_moved_unrecorded_is_told(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """When the registry refuses to be read in between; the same command records it."""
    a, b = images(store, 2)
    promote(store, a)
    moved = threading.Event()

    def chance(request: Request) -> Fault | None:
        if request.method == "PUT" and request.path.endswith(f"/{NAME}"):
            moved.set()
            return None
        return Fault(status=403) if moved.is_set() and request.method == "GET" else None

    proxy.chance = chance
    with pytest.raises(RegistryError, match=f"points to {b.digest}, which is not recorded: run the same command again"):
        promote(RegistryStore(through, push=True), b)
    assert promote(store, b)
    assert entries(store) == [a.digest, b.digest]


@pytest.mark.parametrize("fault", [Fault(lost=True), Fault(cut_head=5), Fault(as_status=502)])
def test_a_record_whose_answer_was_lost_counts(
    store: RegistryStore, through: ImageReference, proxy: Proxy, fault: Fault
) -> None:
    """It is in the registry, so the name stays where it was moved to."""
    a, b = images(store, 2)
    promote(store, a)
    proxy.faults.append(replace(fault, method="PUT", path=rf"/manifests/{NAME}\.history$"))
    assert promote(RegistryStore(through, push=True), b)
    assert (store.resolve(NAME), entries(store)) == (b, [a.digest, b.digest])


def test_a_history_that_is_immutable_is_to_be_exempted(
    store: RegistryStore, through: ImageReference, proxy: Proxy
) -> None:
    """Where the registry lets only some tags move; nothing is said of other tags."""
    a, b = images(store, 2)
    promote(store, a)
    body = json.dumps({"errors": [{"code": "DENIED", "message": "tag is immutable"}]}).encode()
    proxy.faults.append(Fault("PUT", rf"/manifests/{NAME}\.history$", times=9, status=400, body=body))
    with pytest.raises(RegistryError) as caught:
        promote(RegistryStore(through, push=True), b)
    assert "production stays where it was" in caught.value.hint
    assert "Exempt production and production.history from its immutable tags" in caught.value.hint
    assert "IMAGE_TAGS" not in caught.value.hint


@pytest.mark.parametrize(
    ("name", "moving"),
    [
        ("latest", ["latest", "{version}"]),
        ("production.history", []),
        ("sha256-" + "a" * 64, []),
        ("sha256:" + "a" * 64, []),
        ("a" * 125, []),
        ("", []),
        ("a b", []),
        ("../x", []),
    ],
)
def test_names_that_mean_something_else_are_refused(name: str, moving: Sequence[str]) -> None:
    """Those that each publish moves, those of histories and of what refers to images, and what is no tag."""
    with pytest.raises(BentoshipError) as caught:
        check_name(name, moving)
    assert caught.value.doing == f'Read the promoted name "{name}"'


def test_an_image_is_found_by_tag_digest_or_reference(store: RegistryStore, repository: ImageReference) -> None:
    """An index as well; with the tags that are known of it."""
    (image,) = images(store, 1)
    store.tag(image, "v1")
    index = put_index(store, image)
    for version in ("v1", image.digest, str(repository.with_tag("v1")), str(repository.with_digest(image.digest))):
        assert find(store, version).descriptor == image
    assert find(store, index.digest).descriptor == index
    document = {**json.loads(store.read("v1")[1]), "annotations": {keys.VERSION: "one"}}
    other = put(store, image.media_type, json.dumps(document).encode())
    assert find(store, other.digest).tags == ()
    store.tag(other, "one")
    assert find(store, other.digest).tags == ("one",)


def test_what_is_no_image_is_not_promoted(store: RegistryStore) -> None:
    """Such as a history, or a volume of an image's models; nor what is in another repository, or nowhere."""
    (image,) = images(store, 1)
    promote(store, image)
    volume = {**json.loads(store.read(image.digest)[1]), "subject": image.to_dict()}
    part = put(store, image.media_type, json.dumps(volume).encode())
    with pytest.raises(StoreError, match=f"it is not an image but a part of {image.digest}"):
        find(store, part.digest)
    with pytest.raises(StoreError, match="it is not an image but application/vnd"):
        find(store, history_tag(NAME))
    with pytest.raises(StoreError, match=r"it is in another repository, localhost:1/x\nPublish it"):
        find(store, f"localhost:1/x@{image.digest}")
    with pytest.raises(RegistryError, match="no such tag or digest"):
        find(store, "v9")
    with pytest.raises(BentoshipError, match=r'Read the version "v9\?x=1": "v9\?x=1" is not a valid tag'):
        find(store, "v9?x=1")
