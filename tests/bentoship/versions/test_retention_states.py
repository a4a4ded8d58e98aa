"""What stays and what goes of repositories that are made up, by rules that are applied in another way than in src."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st

from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, fallback_tag, push, referrers
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.versions import promotion
from bentoship.versions.history import Promotion, history_tag, read_history
from bentoship.versions.promotion import move, now, rolled_back, standing
from bentoship.versions.retention import RETURNS, Rules, delete, survey
from tests.support.fuzzing import fuzz
from tests.support.images import put
from tests.support.registry import Registry

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, as nobody else promotes."""
    monkeypatch.setattr(promotion, "_PAUSE", 0.0)
    monkeypatch.setattr(promotion, "_LOOKS", 1)


class World:
    """A repository, and what was written to it."""

    def __init__(self, host: str) -> None:
        repository = ImageReference(host, f"tests/{uuid.uuid4().hex}")
        # Distribution fails for a moment when a tag is read and written at once.
        self.store = RegistryStore(repository, push=True, session=Session(patience=30.0))
        self.every: list[Descriptor] = []
        self.ours: set[str] = set()
        self.days: dict[str, float] = {}
        self.parts: dict[str, set[str]] = {}
        self.subjects: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self._config = put(self.store, CONFIG, b'{"architecture": "amd64", "os": "linux"}')

    def image(self, *tags: str, ours: bool = True) -> Descriptor:
        """Write an image."""
        document = {"mediaType": MANIFEST, "config": self._config.to_dict(), "layers": []}
        return self._put(MANIFEST, document, tags, ours=ours)

    def index(self, those: Iterable[Descriptor], *tags: str, ours: bool = True) -> Descriptor:
        """Write an index of images and indexes."""
        entries = [one.to_dict() for one in those]
        index = self._put(INDEX, {"mediaType": INDEX, "manifests": entries}, tags, ours=ours)
        self.parts[index.digest] = {one.digest for one in those}
        return index

    def _put(self, kind: str, document: Mapping[str, object], tags: Sequence[str], *, ours: bool) -> Descriptor:
        said = {keys.BENTO if ours else "of": str(len(self.every))}
        content = json.dumps({"schemaVersion": 2, **document, "annotations": said}).encode()
        made = put(self.store, kind, content)
        self.ours |= {made.digest} if ours else set()
        return self._add(made, tags)

    def _add(self, one: Descriptor, tags: Iterable[str]) -> Descriptor:
        self.every.append(one)
        for tag in tags:
            self.tag(one, tag)
        return one

    def tag(self, one: Descriptor, tag: str) -> None:
        """Set a tag."""
        self.store.tag(one, tag)
        self.tags[tag] = one.digest

    def age(self, one: Descriptor, days: float) -> None:
        """Attach a provenance. Args: days: before NOW."""
        said = {keys.CREATED: (NOW - timedelta(days=days)).isoformat(), keys.PREDICATE: keys.PROVENANCE}
        self.attach(one, keys.STATEMENT_TYPE, said)
        self.days[one.digest] = min(days, self.days.get(one.digest, days))

    def attach(self, one: Descriptor, kind: str = "a/b", said: Mapping[str, str] | None = None) -> Descriptor:
        """Attach anything."""
        made = attach(self.store, Artifact(kind, [], {"n": str(len(self.every)), **(said or {})}, one)).descriptor
        self.subjects[made.digest] = one.digest
        return self._add(made, ())

    def beside(self, one: Descriptor, kind: str) -> None:
        """Write what cosign keeps under a tag. Args: kind: sig, att or sbom."""
        tag = f"{fallback_tag(one.digest)}.{kind}"
        made = push(self.store, Artifact("c/d", [], {"of": tag}))
        self.subjects[made.digest] = one.digest
        self._add(made, [tag])

    def promote(self, one: Descriptor | None, name: str) -> None:
        """Promote something. Args: one: None to roll back."""
        seen = standing(self.store, name)
        entry = Promotion(one.digest, (), seen.digest, "ann", now()) if one else rolled_back(seen, "ann", "")
        target = self.store.resolve(entry.digest)
        move(self.store, seen, target, entry)
        self.tags[name] = target.digest
        self.tags[history_tag(name)] = self.store.resolve(history_tag(name)).digest

    def within(self, digest: str) -> set[str]:
        """What an index lists, at any depth."""
        parts = self.parts.get(digest, set())
        return parts.union(*map(self.within, parts))

    def about(self, digest: str) -> set[str]:
        """What refers to something or is beside it, at any depth."""
        own = {one for one, subject in self.subjects.items() if subject == digest}
        return own.union(*map(self.about, own))

    def judged(self, rules: Rules) -> tuple[set[str], set[str]]:
        """What stays by the rules, and what goes."""
        promoted = [tag.removesuffix(".history") for tag in self.tags if tag.endswith(".history")]
        needed = {self.tags[tag] for tag in (*promoted, *map(history_tag, promoted), *rules.tags) if tag in self.tags}
        for name in promoted:
            needed |= {one.digest for one in read_history(self.store, name).line[-RETURNS - 1 :]}
        tagged = {digest for tag, digest in self.tags.items() if not tag.startswith("sha256-")}
        present = tagged.union(*map(self.within, tagged))
        versions = {one for one in tagged if one in needed or self.subjects.get(one) not in present}
        known = versions & self.days.keys() & (versions if rules.others else self.ours)
        newest = sorted(known, key=lambda one: self.days[one])[: rules.keep]
        young = {one for one in known if rules.older_than and timedelta(days=self.days[one]) < rules.older_than}
        going = known - needed - young - ({*newest} if rules.keep is not None else set())
        stay = _closed((versions - going) | needed, self.within, self.about)
        return stay, _closed(going - stay, self.within, self.about) - stay

    def clean(self, rules: Rules) -> None:
        """Delete what may go."""
        found = survey(self.store, rules, NOW)
        for version in found.going:
            delete(self.store, version, found)

    def check(self, stay: set[str], gone: set[str]) -> None:
        """Check that what stays is there, with its tags and all that refers to it, and nothing of what went."""
        listed = {*tags(self.store)}
        assert [one for one in stay if self.store.digest_of(one) is None] == []
        assert {tag for tag, digest in self.tags.items() if digest in stay} <= listed
        assert [one for one in gone if self.store.digest_of(one) is not None] == []
        assert listed.isdisjoint(map(fallback_tag, gone))
        for one in stay:
            found = {each.descriptor.digest for each in referrers(self.store, one)}
            assert {each for each in self.about(one) if self.subjects[each] == one} <= found | {*self.tags.values()}


def _closed(those: set[str], *more: Callable[[str], set[str]]) -> set[str]:
    """Return some things with all that belongs to them, and to that."""
    before: set[str] = set()
    while before != those:
        before = those
        those = those.union(*(find(one) for one in those for find in more))
    return those


def made_up(world: World, chance: random.Random) -> Rules:
    """Fill a repository. Returns: rules for it."""
    for number in range(chance.randint(2, 5)):
        world.image(*([f"v{number}"] if chance.random() < 0.7 else []), ours=chance.random() < 0.8)
    for number in range(chance.randint(0, 3)):
        those = chance.sample(world.every, chance.randint(1, 2))
        world.index(those, *([f"i{number}"] if chance.random() < 0.7 else []), ours=chance.random() < 0.8)
    images = [*world.every]
    for one in images:
        if chance.random() < 0.8:
            world.age(one, chance.randint(1, 60) + chance.random())
    for _ in range(chance.randint(0, 5)):
        world.attach(chance.choice(world.every))
    for one in chance.sample(world.every, 2):
        world.beside(one, chance.choice(["sig", "att", "sbom"]))
    attached = [one for one in world.every if one.digest in world.subjects and one.digest not in world.tags.values()]
    for number, one in enumerate(chance.sample(attached, min(2, len(attached)))):
        world.tag(one, f"model{number}")
    world.tag(chance.choice(images), "latest")
    for name in ("production", "staging")[: chance.randint(0, 2)]:
        for one in chance.choices(world.every, k=chance.randint(1, 7)):
            if standing(world.store, name).digest != one.digest:
                world.promote(one, name)
        for _ in range(chance.randint(0, 2)):
            if standing(world.store, name).former:
                world.promote(None, name)
    keep = chance.choice([None, 0, 1, 3])
    return Rules(keep, chance.choice([None, MONTH]), chance.choice([(), ["latest"]]), chance.random() < 0.3)


@fuzz(st.integers(0, 2**32), examples=5)
def test_what_is_needed_stays_and_nothing_is_left_of_the_rest(host: str, seed: int) -> None:
    """Whatever refers to what, is listed by what, was promoted or rolled back, and whoever made it."""
    world = World(host)
    rules = made_up(world, random.Random(seed))
    stay, gone = world.judged(rules)
    world.clean(rules)
    world.check(stay, gone)


def test_what_is_listed_stays_however_deep(host: str) -> None:
    """In indexes of indexes, and after one that is gone."""
    world = World(host)
    image, lost = world.image("v1"), world.index([])
    world.age(image, 40)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [lost.to_dict(), image.to_dict()]}
    top = put(world.store, INDEX, json.dumps(index).encode())
    for _ in range(5):
        top = world.index([top])
    world.tag(top, "top")
    world.store.delete(lost.digest)
    [version] = [one for one in survey(world.store, Rules(0), NOW).versions if one.tags == ("v1",)]
    assert version.kept == "part of an index that stays"


def test_what_refers_to_what_stays_stays(host: str) -> None:
    """A model that is promoted keeps its signatures, though the image that it is of goes."""
    world = World(host)
    image = world.image("v1")
    world.age(image, 40)
    model = world.attach(image)
    signature = world.attach(model)
    world.beside(model, "sig")
    world.promote(model, "production")
    world.clean(Rules(0))
    assert world.store.digest_of(image.digest) is None
    assert world.store.exists(signature)
    assert f"{fallback_tag(model.digest)}.sig" in tags(world.store)
    assert [one.descriptor for one in referrers(world.store, model.digest)] == [signature]


def test_what_refers_to_what_goes_is_followed_to_its_end(host: str) -> None:
    """However long it is."""
    world = World(host)
    chain = [world.image("v1")]
    world.age(chain[0], 40)
    for _ in range(6):
        chain.append(world.attach(chain[-1]))
    world.clean(Rules(0))
    assert [one for one in chain if world.store.exists(one)] == []


def test_a_model_that_a_kill_left_goes_next_time(registry: Registry) -> None:
    """As the list of what refers to its image is left, too; a model of an image that never was here stays."""
    world = World(registry.host)
    image = world.image("v1")
    world.age(image, 40)
    world.tag(world.attach(image), "v1-model")
    push(world.store, Artifact("a/b", [], {}, Descriptor(MANIFEST, f"sha256:{'0' * 64}", 1)), "other-model")
    world.store.delete(image.digest)
    world.clean(Rules(0))
    assert tags(world.store) == ["other-model"]
