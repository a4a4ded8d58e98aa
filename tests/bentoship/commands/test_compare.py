"""What `compare` prints, of a real registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bentoship.commands.compare import show
from bentoship.errors import BentoshipError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image, put_image_of
from tests.support.proxy import Fault, Proxy
from tests.support.repositories import commit, git
from tests.support.versions import attest, project_beside, promote, put_version


@pytest.fixture
def project(tmp_path: Path, through: ImageReference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose image is "image", in a place of the registry that is its own."""
    return project_beside(through, tmp_path, monkeypatch)


@pytest.fixture
def store(repository: ImageReference) -> RegistryStore:
    """The image's repository."""
    return RegistryStore(ImageReference(repository.host, f"{repository.path}/image"), push=True)


@pytest.fixture
def images(store: RegistryStore) -> list[Descriptor]:
    """Three versions, made one after the other."""
    details = [
        ({"accuracy": 0.9, "loss": 0.1, "old": 1}, {"epochs": 3, "rate": 0.1}, ["numpy==2.0", "gone==1"]),
        ({"accuracy": 0.95, "loss": 0.2, "new": 1}, {"epochs": 5, "rate": 0.1}, ["numpy==2.1", "extra==1"]),
        ({"accuracy": 0.95, "loss": 0.2}, {}, ["numpy==2.1"]),
    ]
    made = []
    for number, (metrics, parameters, packages) in enumerate(details, 1):
        image = put_version(store, number, metrics=metrics, parameters=parameters, packages=packages)
        attest(store, image, f"2026-01-0{number}T00:00:00Z")
        made.append(image)
    return made


def compared(project: Path, capsys: pytest.CaptureFixture[str], old: str = "", new: str = "") -> dict[str, object]:
    """The comparison of two versions, as programs get it."""
    show(project, old, new, form="json")
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def names(project: Path, capsys: pytest.CaptureFixture[str], old: str = "", new: str = "") -> tuple[str, str]:
    """The digests of the two versions that are compared."""
    show(project, old, new, form="json")
    found = json.loads(capsys.readouterr().out)
    return found["old"]["digest"], found["new"]["digest"]


def test_versions_are_compared_without_a_layer(
    project: Path, images: list[Descriptor], proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    """By what manifests, configurations and attestations say."""
    found = compared(project, capsys, "v1", "v2")
    assert found["metrics"] == [
        {"name": "accuracy", "old": 0.9, "new": 0.95, "difference": pytest.approx(0.05), "is_better": True},
        {"name": "loss", "old": 0.1, "new": 0.2, "difference": 0.1, "is_better": False},
        {"name": "new", "old": None, "new": 1.0, "difference": None, "is_better": None},
        {"name": "old", "old": 1.0, "new": None, "difference": None, "is_better": None},
    ]
    assert found["parameters"] == [{"name": "epochs", "kind": "changed", "old": 3, "new": 5}]
    assert found["models"] == [{"name": "stars", "kind": "changed", "old": "m1", "new": "m2"}]
    assert found["packages"] == {
        "note": "",
        "changes": [
            {"name": "extra", "kind": "added", "old": "", "new": "1"},
            {"name": "gone", "kind": "removed", "old": "1", "new": ""},
            {"name": "numpy", "kind": "changed", "old": "2.0", "new": "2.1"},
        ],
    }
    assert found["base"] == {"note": "", "changes": []}
    assert found["layers"] == {
        "shared": 1,
        "shared_bytes": 500,
        "missing": 1,
        "missing_bytes": 100,
        "missing_bytes_by_platform": {},
    }
    assert found["commits"] is None
    assert proxy.count("GET", "/blobs/") == 2  # the configurations


def test_the_text_has_all_of_it(project: Path, images: list[Descriptor], capsys: pytest.CaptureFixture[str]) -> None:
    """In tables, each with a head."""
    show(project, "v1", "v2")
    out, err = capsys.readouterr()
    assert err.endswith(" higher is better unless METRICS_LOWER names the metric\n")
    said = [re.sub(" {2,}", " | ", line) for line in out.splitlines()]
    for line in (
        "accuracy | 0.9 | 0.95 | +0.05 | better",
        "loss | 0.1 | 0.2 | +0.1 | worse",
        "epochs | changed | 3 | 5",
        "extra | added | 1",
        "base: the same",
        "layers: 1 of 2 are shared; a host with the old version needs 100 B more for the new one",
    ):
        assert line in said
    assert said[1].startswith("tags | v1 | v2")


def test_markdown_is_for_a_pull_request(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an image says is code in it: no markup, no mention, and no column of its own."""
    for number, value in enumerate(["a", "| **b** `c` @octocat <img>\n# x"], 1):
        put_version(store, number, parameters={"kind": value})
    show(project, "v1", "v2", form="markdown")
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"### `[\w.:/]+/image`: `v1` → `v2`", said[0])
    assert "| `kind` | `changed` | `a` | `` \\| **b** `c` @octocat <img>\\n# x `` |" in said
    assert "|  | `v1` | `v2` |" in said


def test_what_an_image_says_of_its_base_is_code_as_well(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it is no cell of a table."""
    put_version(store, 1)
    base = json.dumps({"image": "`a` @octocat\n\n# <img>", "digest": "sha256:1"})
    labels = {"org.bentoship.base": base, "org.bentoship.packages": "[]"}
    store.tag(put_image_of(store, {}, settings={"Labels": labels}), "v2")
    show(project, "v2", "v1", form="markdown")
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "octocat" in line and not line.startswith("Base: `` was `a` @octocat")] == []
    assert [line for line in said if line.startswith("# ")] == []


def test_many_metrics_and_long_values_are_cut(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is shown before what does not; no line is longer than people can read."""
    same = {f"a{number}": 1.0 for number in range(100)}
    put_version(store, 1, metrics={**same, "z": 0.1}, parameters={"list": "x" * 4000})
    put_version(store, 2, metrics={**same, "z": 0.2}, parameters={"list": "y" * 4000})
    show(project, "v1", "v2")
    lines = capsys.readouterr().out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("METRIC"))
    assert lines[place + 1].split() == ["z", "0.1", "0.2", "+0.1", "better"]
    assert lines[place + 2].split()[0] == "a0"
    assert lines[place + 51] == "and 51 more"
    assert max(map(len, lines)) < 700


def test_a_comparison_fits_into_a_comment(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many metrics an image has, and however long their names are."""
    put_version(store, 1)
    put_version(store, 2, metrics={f"{number}{'x' * 1000}": number for number in range(200)})
    show(project, "v1", "v2", form="markdown")
    said = capsys.readouterr().out
    assert "| `and 150 more` |" in said
    assert len(said) < 30_000


def test_what_is_promoted_is_compared_with_the_newest(
    project: Path, store: RegistryStore, images: list[Descriptor], capsys: pytest.CaptureFixture[str]
) -> None:
    """The name production, else the only one; where nothing is promoted, the version before."""
    first, second, third = (image.digest for image in images)
    assert names(project, capsys) == (second, third)
    promote(store, "staging", images[0])
    assert names(project, capsys) == (first, third)
    assert names(project, capsys, new="v2") == (first, second)
    promote(store, "canary", images[0])
    with pytest.raises(BentoshipError, match="canary, staging"):
        show(project)
    promote(store, "production", images[1], move=False)
    assert names(project, capsys) == (second, third)
    assert names(project, capsys, old="production", new="staging") == (second, first)
    store.delete(second)
    with pytest.raises(BentoshipError, match="404"):
        show(project)


def test_a_version_is_named_in_several_ways(
    project: Path, images: list[Descriptor], through: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """By tag, by digest or its beginning as the table has it, with the repository before it or not."""
    first, second, _ = (image.digest for image in images)
    place = f"{through.repository}/image"
    for old, new in ((first, second), (first[:19], "v2"), (f"{place}:v1", f"{place}@{second}")):
        assert names(project, capsys, old, new) == (first, second)
    show(project, first, "v2")
    assert capsys.readouterr().out.splitlines()[0].split() == [first[:19], "v2"]  # as short as everywhere in a table


@pytest.mark.parametrize("named", [("", ""), ("production", ""), ("", "v3"), ("v2", "latest")])
def test_each_version_has_all_its_names(
    project: Path,
    images: list[Descriptor],
    store: RegistryStore,
    named: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `versions` lists them, whatever it was chosen by."""
    promote(store, "production", images[1])
    store.tag(images[2], "latest")
    show(project, *named, form="json")
    found = json.loads(capsys.readouterr().out)
    sides = [found[side] for side in ("old", "new")]
    assert [one["tags"] for one in sides] == [["production", "v2"], ["latest", "v3"]]
    assert [one["promoted"] for one in sides] == [["production"], []]


def test_two_that_are_named_need_no_list(
    project: Path, images: list[Descriptor], proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the registry refuses it."""
    proxy.faults.append(Fault(path="/tags/list", times=9, status=403, body=b"{}"))
    assert names(project, capsys, "v1", "v2") == (images[0].digest, images[1].digest)


def test_values_are_shown_as_json_has_them(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not as Python does; texts are shown as they are."""
    put_version(store, 1, parameters={"a": None, "b": True, "c": "no", "d": 0.1})
    put_version(store, 2, parameters={"a": "x", "b": False, "c": None, "d": 1})
    show(project, "v1", "v2")
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    for name, old, new in (("a", "null", "x"), ("b", "true", "false"), ("c", "no", "null"), ("d", "0.1", "1")):
        assert [name, "changed", old, new] in said


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ("v9", "v9"),
        ("a b", "not a valid tag"),
        ("../x", "not a host"),
        ("sha256:12", "no digest of a version begins with that"),
        (f"sha256:{'0' * 64}", "0000"),
    ],
)
def test_a_version_that_does_not_exist_is_an_error(project: Path, images: list[Descriptor], old: str, why: str) -> None:
    """In the registry's words, or with what is allowed."""
    with pytest.raises(BentoshipError, match=re.escape(why)):
        show(project, old, "v1")


def test_nothing_to_compare_is_an_error(project: Path, store: RegistryStore) -> None:
    """Without versions, and with one alone."""
    with pytest.raises(BentoshipError, match="no versions yet\n`invoke publish` makes"):
        show(project)
    put_version(store, 1)
    with pytest.raises(BentoshipError, match="no older version"):
        show(project)


def test_a_version_is_the_same_as_itself(
    project: Path, images: list[Descriptor], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which is said."""
    show(project, "v1", "v1")
    said = capsys.readouterr().err
    assert "v1 and v1 are the same version" in said
    assert "METRICS_LOWER" not in said


def test_images_of_others_are_compared_as_far_as_they_say_something(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their layers, but not their packages."""
    for number in (1, 2):
        store.tag(put_image(store, seed=number), f"v{number}")
    found = compared(project, capsys, "v1", "v2")
    assert (found["packages"], found["base"]) == (None, None)
    show(project, "v1", "v2")
    assert "packages: not recorded in one of the images" in capsys.readouterr().out


def test_commits_between_versions_are_listed(
    project: Path, store: RegistryStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the project's repository has both."""
    commits = []
    for number in (1, 2, 3):
        (project / "file").write_text(str(number))
        commits.append(commit(project))
        attest(store, put_version(store, number), f"2026-01-0{number}T00:00:00Z", commit=commits[-1])
    attest(store, put_version(store, 4), "2026-01-04T00:00:00Z", commit="f" * 40)
    attest(store, put_version(store, 5), "2026-01-05T00:00:00Z", commit="--output=/tmp/x")
    short = [git(project, "rev-parse", "--short", one) for one in commits]
    found = compared(project, capsys, "v1", "v3")
    assert found["commits"] == [{"commit": one, "subject": "a change"} for one in (short[2], short[1])]
    for old, new, expected in (
        ("v1", "v4", "Git repository does not have both"),
        ("v2", "v1", "none that the old one lacks"),
    ):
        show(project, old, new)
        assert expected in capsys.readouterr().out
    assert compared(project, capsys, "v1", "v5")["commits"] is None


def test_the_document_is_described(project: Path, images: list[Descriptor], capsys: pytest.CaptureFixture[str]) -> None:
    """Each of its keys."""
    text = (Path(__file__).parents[3] / "docs" / "registry.md").read_text("utf-8")
    assert [name for name in compared(project, capsys, "v1", "v2") if f"| `{name}` |" not in text] == []
