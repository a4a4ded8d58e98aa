"""What promoting, rolling back and cleaning the registry print, and when they ask."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentoship.commands.promote import Requirements, promote, rollback
from bentoship.commands.retention import clean_registry
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError, StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import INDEX, MANIFEST, Descriptor
from bentoship.image.metadata import JSON, Metadata
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Run
from bentoship.publishing.steps import _refuse_promoted
from bentoship.settings import load
from bentoship.stores.artifacts import attach
from bentoship.stores.graph import read_manifest
from bentoship.stores.registry import RegistryStore
from bentoship.versions import promotion
from bentoship.versions.history import read_history
from tests.support.images import put, put_image
from tests.support.proxy import Fault, Proxy
from tests.support.slow import cases

NONE = Requirements()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses, and no job of continuous integration."""
    monkeypatch.setattr(promotion, "_PAUSE", 0.01)
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "CIRCLE_USERNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def target(repository: ImageReference) -> RegistryStore:
    """The repository, with v1 and v2, of which v2 is better."""
    store = RegistryStore(repository, push=True)
    for number in (1, 2):
        version(store, f"v{number}", accuracy=0.9 + number / 100, loss=number)
    return store


def version(store: RegistryStore, tag: str, **metrics: float) -> Descriptor:
    """An image with metrics."""
    image = put_image(store, sizes=(10,))
    annotations = {keys.BENTO: f"echo:{tag}", keys.VERSION: tag, keys.METRICS: json.dumps(metrics)}
    document = {**json.loads(read_manifest(store, image)), "annotations": annotations}
    made = put(store, MANIFEST, json.dumps(document).encode())
    store.tag(made, tag)
    return made


def run_of(folder: Path, repository: ImageReference, **settings: str) -> Run:
    """A run in a project whose image is that of the repository."""
    registry, _, name = str(repository).rpartition("/")
    own = {"HOME": str(folder), "REGISTRY": f"http://{registry}", "IMAGE_NAME": name, "METRICS_LOWER": "loss"}
    return Run(Project(folder, load(folder, {**own, **settings})), Terminal())


@pytest.fixture
def run(tmp_path: Path, repository: ImageReference, target: RegistryStore) -> Iterator[Run]:
    """A run in a project that has published v1 and v2."""
    with closing(run_of(tmp_path, repository)) as made:
        yield made


def test_the_reference_goes_to_stdout(
    run: Run, target: RegistryStore, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a promotion, of one that is there already, and of a rollback."""
    first, second = target.resolve("v1").digest, target.resolve("v2").digest
    promote(run, "v1", "production", NONE, why="the first")
    promote(run, first, "production", NONE)
    promote(run, str(repository.with_digest(second)), "production", NONE, yes=True)
    rollback(run, "production", why="it is slow", yes=True)
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(repository.with_digest(digest)) for digest in (first, first, second, first)]
    assert f"production already points to {first}" in err
    assert err.endswith(f"rollback        production points to {first} (v1)\n")
    entries = read_history(target, "production").promotions
    assert [(one.tags, one.why) for one in entries] == [
        (("v1",), "the first"),
        (("v2",), ""),
        (("v1",), "rollback: it is slow"),
    ]
    assert all(one.by for one in entries)


def test_the_beginning_of_a_digest_names_a_version(run: Run, target: RegistryStore) -> None:
    """As `versions` shows it; also of the version to beat."""
    first, second = target.resolve("v1").digest, target.resolve("v2").digest
    promote(run, first[:19], "production", NONE)
    promote(run, second[:19], "production", Requirements((), first[:19], "accuracy"), yes=True)
    assert target.resolve("production").digest == second


def test_only_images_are_promoted(run: Run, target: RegistryStore, repository: ImageReference) -> None:
    """Neither what is attached to one, nor the list of that, by its tag or digest."""
    image = target.resolve("v1")
    said = {keys.CREATED: "2020-01-01T00:00:00Z"}
    artifact = attach(target, Artifact(keys.STATEMENT_TYPE, [], said, image)).descriptor
    target.tag(put_image(target, seed=7), f"sha256-{image.hex}.sig")  # cosign's signatures say that they are images
    index = {"schemaVersion": 2, "manifests": [{**artifact.to_dict(), "artifactType": keys.STATEMENT_TYPE}]}
    listed = put(target, INDEX, json.dumps(index).encode())
    target.tag(listed, f"sha256-{image.hex}")
    for name, what in (
        (artifact.digest, keys.STATEMENT_TYPE),
        (f"sha256-{image.hex}", f"a part of {image.digest}"),
        (f"sha256-{image.hex}.sig", f"a part of {image.digest}"),
        (listed.digest, "a list of artifacts"),
    ):
        with pytest.raises(BentoshipError, match=re.escape(f"it is not an image but {what}")):
            promote(run, name, "production", NONE)
    assert target.digest_of("production") is None


def test_a_script_has_to_agree_to_a_replacement(run: Run, target: RegistryStore) -> None:
    """Without a terminal nothing is replaced unasked, and it says how it would be."""
    promote(run, "v1", "production", NONE)
    with pytest.raises(BentoshipError, match=r"production now points to sha256:.* \(v1\), by .* at 20.*\nAdd --yes"):
        promote(run, "v2", "production", NONE)
    promote(run, "v2", "production", NONE, yes=True)
    with pytest.raises(BentoshipError, match="Add --yes"):
        rollback(run, "production")
    assert target.resolve("production") == target.resolve("v2")


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (Requirements(("accuracy >= 0.92", "loss < 3")), ["accuracy >= 0.92 (0.92)", "loss < 3 (2)"]),
        (Requirements(("accuracy > 0.92",)), "accuracy is 0.92"),
        (Requirements(("f1 > 0.92",)), "no metric f1\nIt has accuracy, loss."),
        (Requirements(("import os",)), "it is not a comparison"),
        (Requirements((), "v1", "accuracy"), ["accuracy better than v1's (0.92 > 0.91)"]),
        (Requirements((), "v1", "loss"), "loss is 2, but has to be lower than 1"),
        (Requirements((), "v1"), "--metric is missing"),
        (Requirements((), "", "loss"), "--metric has no effect"),
        (Requirements((), "production", "loss"), ["better than production, which does not exist yet"]),
        (Requirements((), f"sha256:{'0' * 64}", "loss"), "no such tag or digest"),
        (Requirements(verified=True), "it was never verified"),
    ],
)
def test_all_conditions_have_to_hold(
    run: Run, target: RegistryStore, requirements: Requirements, expected: list[str] | str
) -> None:
    """They are in the record; if one does not hold, nothing is written."""
    if isinstance(expected, list):
        promote(run, "v2", "production", requirements)
        assert list(read_history(target, "production").promotions[-1].conditions) == expected
    else:
        with pytest.raises(BentoshipError) as caught:
            promote(run, "v2", "production", requirements)
        assert expected in str(caught.value)
        assert not read_history(target, "production").promotions


def test_a_rehearsal_changes_nothing(run: Run, target: RegistryStore, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where the name points, and where it would."""
    first, second = target.resolve("v1").digest, target.resolve("v2").digest
    promote(run, "v1", "production", NONE)
    promote(run, "v2", "production", NONE, dry=True)
    assert target.resolve("production").digest == first
    promote(run, "v2", "production", NONE, yes=True)
    rollback(run, "production", dry=True)
    assert target.resolve("production").digest == second
    _, one, _, other = capsys.readouterr().out.splitlines()
    assert one.startswith(f"would point production to {second} (v2); now it points to {first} (v1), by ")
    assert other.startswith(f"would roll production back to {first} (v1); now it points to {second} (v2), by ")


def test_a_condition_goes_by_what_versions_shows(
    run: Run, target: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of metrics that are too many for an annotation, and of an index that says nothing itself."""
    many = {f"class {number}.f1": number / 10_000 for number in range(10_000)}
    said = Metadata(bento="echo:v3", metrics=many)
    (large,) = [Blob(JSON, said.document)]
    made = json.loads(target.read("v2")[1])
    image = put(target, MANIFEST, json.dumps({**made, "annotations": said.annotations}).encode())
    attach(target, Artifact(keys.METADATA_TYPE, [large], subject=image))
    promote(run, image.digest, "production", Requirements(("class 9999.f1 == 0.9999",)))
    entry = {**target.resolve("v2").to_dict(), "platform": {"os": "linux", "architecture": "amd64"}}
    index = put(target, INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode())
    promote(run, index.digest, "staging", Requirements(("accuracy >= 0.92",), "v1", "accuracy"))
    assert capsys.readouterr().out.count("sha256:") == 2
    broken = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**entry, "platform": {"os": "linux"}}]}
    damaged = put(target, INDEX, json.dumps(broken).encode())
    with pytest.raises(StoreError, match=r"the index is damaged \('architecture' is missing\)"):
        promote(run, damaged.digest, "staging", Requirements(("accuracy >= 0.92",)), yes=True)


def test_an_index_without_images_is_not_promoted(run: Run, target: RegistryStore) -> None:
    """It would be a name that nothing can be run by."""
    empty = put(target, INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode())
    with pytest.raises(StoreError, match="its index has no image for any platform"):
        promote(run, empty.digest, "production", Requirements())


def test_what_was_verified_last_counts(run: Run, target: RegistryStore) -> None:
    """Not what was verified before."""
    image = target.resolve("v1")

    def attest(verified: str, year: int) -> None:
        annotations = {keys.VERIFIED: verified, keys.CREATED: f"{year}-01-01T00:00:00Z"}
        attach(target, Artifact(keys.STATEMENT_TYPE, [], annotations, image))

    attest("false", 2025)
    with pytest.raises(BentoshipError, match="it did not work when it was last verified"):
        promote(run, "v1", "production", Requirements(verified=True))
    attest("true", 2026)
    promote(run, "v1", "production", Requirements(verified=True))
    attest("false", 2024)
    promote(run, "v1", "staging", Requirements(verified=True))


def test_a_version_to_return_to_may_be_gone(run: Run, target: RegistryStore) -> None:
    """It says which others there are."""
    for tag in ("v1", "v2"):
        promote(run, tag, "production", NONE, yes=True)
    third = version(target, "v3")
    promote(run, "v3", "production", NONE, yes=True)
    first, second = target.resolve("v1").digest, target.resolve("v2").digest
    target.delete(second)
    with pytest.raises(BentoshipError, match=f"is not in the registry any more\nPromote another one, such as {first}"):
        rollback(run, "production", yes=True)
    assert target.resolve("production") == third


def test_a_tag_moved_by_other_means_is_said(
    run: Run, target: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it is replaced."""
    promote(run, "v1", "production", NONE)
    target.tag(target.resolve("v2"), "production")
    third = version(target, "v3")
    promote(run, "v3", "production", NONE, yes=True)
    assert "it was moved by other means, which is not recorded yet" in capsys.readouterr().err
    assert [one.digest for one in read_history(target, "production").promotions][-1] == third.digest


def test_publishing_under_a_promoted_name_is_refused(
    tmp_path: Path, repository: ImageReference, run: Run, target: RegistryStore
) -> None:
    """As the history would not know of it; other tags are fine."""
    promote(run, "v1", "production", NONE)
    with closing(run_of(tmp_path, repository, IMAGE_TAGS="latest,staging")) as other:
        _refuse_promoted(other, repository)
    with (
        closing(run_of(tmp_path, repository, IMAGE_TAGS="latest,production")) as other,
        pytest.raises(BentoshipError, match="Leave it out of IMAGE_TAGS, and run `invoke promote VERSION production`"),
    ):
        _refuse_promoted(other, repository)


def aged(store: RegistryStore, tag: str, created: str) -> Descriptor:
    """An image that was made at some time."""
    image = version(store, tag)
    attach(store, Artifact(keys.STATEMENT_TYPE, [], {keys.CREATED: created}, image))
    return image


def test_cleaning_the_registry_is_a_dry_run_first(
    run: Run, target: RegistryStore, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what would go, and with --yes deletes it and says how the space is freed."""
    old = aged(target, "old", "2020-01-01T00:00:00Z")
    clean_registry(run, keep="", older_than="30d", others=False, yes=False)
    out, err = capsys.readouterr()
    assert out == f"{repository.with_digest(old.digest)}\n"
    assert "3 versions in" in err
    assert re.search(r"delete +sha256:\w{12} +\d{4} days +old\n", err)
    assert re.search("keep +2 +its age is not known", err)
    assert "dry run, nothing was deleted; --yes deletes 1 version and what refers to it" in err
    assert target.read("old")
    clean_registry(run, keep="1", older_than="30d", others=False, yes=True)
    assert "nothing to delete" in capsys.readouterr().err  # it is the newest of a known age
    clean_registry(run, keep="0", older_than="", others=False, yes=True)
    out, err = capsys.readouterr()
    assert out == f"{repository.with_digest(old.digest)}\n"
    assert f"deleted {old.digest} (old)" in err
    assert "freed when the registry collects its garbage" in err


def test_what_stays_has_its_own_reason(run: Run, target: RegistryStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a name looks like that it is promoted to."""
    aged(target, "new", promotion.now())
    promote(run, "v1", "younger", NONE)
    clean_registry(run, keep="", older_than="30d", others=False, yes=False)
    err = capsys.readouterr().err
    assert re.search("keep +1 +younger than 30d\n", err)
    assert re.search("keep +1 +promoted to younger\n", err)


@pytest.mark.parametrize(("status", "expected"), [(405, "does not delete"), (403, "1 version could not be deleted")])
def test_a_registry_that_does_not_delete_says_so(
    tmp_path: Path, through: ImageReference, proxy: Proxy, target: RegistryStore, status: int, expected: str
) -> None:
    """And what to do instead."""
    aged(target, "old", "2020-01-01T00:00:00Z")
    proxy.faults.append(Fault("DELETE", times=9, status=status, body=b'{"errors": [{"code": "NO"}]}'))
    with closing(run_of(tmp_path, through)) as run, pytest.raises(BentoshipError, match=expected):
        clean_registry(run, keep="0", older_than="", others=False, yes=True)
    assert target.read("old")


@pytest.mark.parametrize(
    ("keep", "older_than", "expected"),
    [
        ("", "", "Add --keep 10"),
        ("-1", "", "--keep is '-1'"),
        ("1", "30", "has to be an age"),
        ("", "٣d", "an age"),
        ("9" * 5000, "", "a number of versions"),
    ],
)
def test_wrong_options_are_explained(run: Run, keep: str, older_than: str, expected: str) -> None:
    """Before anything is read."""
    with pytest.raises(BentoshipError, match=expected):
        clean_registry(run, keep=keep, older_than=older_than, others=False, yes=True)


def environment(folder: Path, repository: ImageReference) -> dict[str, str]:
    """The environment of a program in a project whose image is that of the repository."""
    registry, _, name = str(repository).rpartition("/")
    user = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TERM": "dumb", "PYTHONPATH": ":".join(sys.path)}
    return {**user, "REGISTRY": f"http://{registry}", "IMAGE_NAME": name}


@pytest.mark.slow
@pytest.mark.parametrize("machines", [1, 2])
def test_of_two_programs_at_once_one_promotes(
    tmp_path: Path, target: RegistryStore, repository: ImageReference, machines: int
) -> None:
    """On one machine or on two, which share no cache; the other ends with an error, and only one is recorded."""
    running = []
    for number in range(2):
        command = [sys.executable, "-m", "bentoship", "promote", f"v{number + 1}", "production"]
        env = {**environment(tmp_path, repository), "XDG_CACHE_HOME": str(tmp_path / f"cache{number % machines}")}
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, stderr=pipe))
    said = [one.communicate(timeout=120)[1].decode() for one in running]
    assert sorted(one.returncode for one in running) == [0, 1], said
    winner = f"v{[one.returncode for one in running].index(0) + 1}"
    [entry] = read_history(target, "production").promotions
    assert entry.digest == target.resolve(winner).digest == target.resolve("production").digest
    assert "Traceback" not in "".join(said)


@pytest.mark.parametrize(
    ("answer", "moves"),
    cases({"y": ("y", True), "yes": ("yes", True), "n": ("n", False), "none": ("", False)}, "y", "none"),
)
def test_a_person_is_asked_before_a_replacement(
    tmp_path: Path, run: Run, target: RegistryStore, repository: ImageReference, answer: str, moves: bool
) -> None:
    """On a terminal; nothing but a yes is one, and without it the exit code keeps a script from going on."""
    promote(run, "v1", "production", NONE)
    env = environment(tmp_path, repository)
    leader, follower = pty.openpty()
    with os.fdopen(leader, "r+b", buffering=0) as terminal:
        command = [sys.executable, "-m", "bentoship", "promote", "v2", "production"]
        running = subprocess.Popen(command, cwd=tmp_path, env=env, stdin=follower, stderr=follower)
        os.close(follower)
        shown = b""
        while b"[y/N]" not in shown:
            shown += terminal.read(1000)
        terminal.write(f"{answer}\n".encode())
        assert running.wait(timeout=60) == (0 if moves else 1)
    assert b"production now points to sha256:" in shown
    assert (target.resolve("production") == target.resolve("v2")) == moves
