"""What `versions` prints, of real registries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentoship.commands.versions import show, show_history
from bentoship.commands.versions_table import age, lines, metric_cells, number, print_versions
from bentoship.errors import BentoshipError, RegistryError
from bentoship.image.artifact import Artifact
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import push
from bentoship.stores.registry import RegistryStore
from bentoship.versions.comparing import Metric
from bentoship.versions.version import Model, Version
from tests.support.images import put_image
from tests.support.proxy import Fault, Proxy
from tests.support.versions import attest, project_beside, promote, put_version

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, repository: ImageReference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose image is "image", in a place of the registry that is its own."""
    return project_beside(repository, tmp_path, monkeypatch)


def place(repository: ImageReference, name: str = "image") -> RegistryStore:
    """A repository beside that of the project's image, or that one."""
    return RegistryStore(ImageReference(repository.host, f"{repository.path}/{name}"), push=True)


def test_the_table_has_what_is_known(
    project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each version, the best of each metric marked; a column without any value is left out."""
    store = place(repository)
    old = put_version(store, 1, tags=["one"], metrics={"accuracy": 0.9, "loss": 0.1})
    new = put_version(store, 2, tags=["two", "latest"], metrics={"accuracy": 0.95, "loss": 0.2})
    attest(store, old, "2026-01-01T00:00:00Z", commit="a" * 40)
    attest(store, new, "2026-01-02T00:00:00Z", commit="b" * 40)
    promote(store, "production", old)
    theirs = put_image(store)
    store.tag(theirs, "theirs")
    show(project)
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert "* the best of all; higher is better unless METRICS_LOWER names the metric" in err
    assert head.split() == ["TAGS", "DIGEST", "AGE", "SIZE", "COMMIT", "MODELS", "ACCURACY", "LOSS", "PROMOTED", "NOTE"]
    assert [re.split(r" {2,}", re.sub(r"\d+ days", "… days", row)) for row in rows] == [
        ["latest, two", new.digest[:19], "… days", "600 B", "b" * 12, "m2", "0.95*", "0.2"],
        ["one", old.digest[:19], "… days", "600 B", "a" * 12, "m1", "0.9", "0.1*", "production"],
        ["theirs", theirs.digest[:19], "41.0 kB", "not published by bentoship"],
    ]


def test_platforms_are_told_where_a_version_has_several(capsys: pytest.CaptureFixture[str]) -> None:
    """Of each version then; else there is no column for them."""
    single = Version("sha256:1", ["one"], True, 5, ["linux/amd64"])
    print_versions([single], (), NOW)
    assert "PLATFORMS" not in capsys.readouterr().out
    print_versions([single, Version("sha256:2", ["two"], True, 9, ["linux/amd64", "linux/arm64"])], (), NOW)
    head, one, two = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert head == ["TAGS", "DIGEST", "SIZE", "PLATFORMS"]
    assert (one[3], two[3]) == ("linux/amd64", "linux/amd64, linux/arm64")


def test_of_many_tags_those_that_people_chose_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than those of commits, of which an image gets one each time its content stays the same."""
    tags = ["0" * 12, "1" * 12, "a" * 16, "latest", "v1"]
    print_versions([Version("sha256:1", tags, True, 5), Version("sha256:2", tags[:1] + tags[3:], True, 5)], (), NOW)
    _, many, few = [re.split(r" {2,}", line)[0] for line in capsys.readouterr().out.splitlines()]
    assert (many, few) == ("latest, v1, 000000000000, +2", "000000000000, latest, v1")


def test_models_are_named_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    """By their versions alone where all have one name; nothing is marked where nothing can be better."""
    ours = [Version(f"sha256:{n}", [f"v{n}"], True, models=[Model(f"stars:{n}", {})]) for n in (1, 2)]
    print_versions(ours, (), NOW)
    out, err = capsys.readouterr()
    assert [line.split()[-1] for line in out.splitlines()] == ["MODELS", "1", "2"]
    assert err == ""
    moons = Version("sha256:3", ["a", "b", "c"], True, models=[Model("moons:3", {})])
    print_versions([*ours, moons], (), NOW)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["MODELS", "stars:1", "stars:2", "moons:3"]
    assert lines[-1].startswith("a, b, c  ")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.97, "0.97"), (1.0, "1"), (0.123456, "0.12346"), (12345.6, "12346"), (250_000, "250000"),
        (-1234567.0, "-1234567"), (1e15, "1e+15"), (1e-9, "1e-09"), (0.0, "0"),
    ],
)  # fmt: skip
def test_a_metric_is_shown_as_people_write_it(value: float, expected: str) -> None:
    """A number of samples has no exponent."""
    assert number(value) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (250_000, 500_000, ("250000", "500000", "+250000")),
        (0.5, 0.25, ("0.5", "0.25", "-0.25")),
        (0.0, -0.0, ("0", "-0", "0")),
        (1.0, None, ("1", "", "")),
        (None, 1.0, ("", "1", "")),
    ],
)
def test_a_difference_has_its_sign(old: float | None, new: float | None, expected: tuple[str, str, str]) -> None:
    """What is missing differs from nothing."""
    assert metric_cells(Metric("n", old, new, None)) == (*expected, "")


def test_what_strangers_write_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    """However many models or platforms there are, and however long their names and those of metrics."""
    models = [Model(f"{'m' * 4000}{number}:v{'1' * 4000}", {}) for number in range(1000)]
    many = ["p" * 4000] * 100
    print_versions([Version("sha256:1", ["one"], True, 5, many, models=models, metrics={"a" * 4000: 1.0})], (), NOW)
    head, row = capsys.readouterr().out.splitlines()
    assert max(len(head), len(row)) < 1500
    assert re.search(r"…, \+997 ", row)


def test_programs_get_all_of_it(project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, in the form that docs/registry.md describes."""
    store = place(repository)
    image = put_version(store, 1, metrics={"accuracy": 0.9}, parameters={"epochs": 3})
    attest(store, image, "2026-01-01T00:00:00Z", commit="a" * 40)
    show(project, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["repository"] == store.repository
    (version,) = document["versions"]
    assert (version["digest"], version["tags"], version["created"]) == (image.digest, ["v1"], "2026-01-01T00:00:00Z")
    assert (version["metrics"], version["parameters"]) == ({"accuracy": 0.9}, {"epochs": 3})
    assert [layer["kind"] for layer in version["layers"]] == ["base", "source"]
    text = (Path(__file__).parents[3] / "docs" / "registry.md").read_text("utf-8")
    assert [name for name in version if f"| `{name}` |" not in text] == []


def test_all_images_beside_the_projects_are_listed(
    project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """And none from elsewhere in the registry."""
    for name in ("image", "other", "team/third"):
        put_version(place(repository, name), 1)
    show(project, every=True)
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "/" in line] == [
        f"{repository.repository}/{name}" for name in ("image", "other", "team/third")
    ]
    show(project, every=True, as_json=True)
    assert [len(one["versions"]) for one in json.loads(capsys.readouterr().out)] == [1, 1, 1]


def test_an_image_without_versions_beside_the_projects_is_told(
    project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a command that would publish another one."""
    push(place(repository, "other"), Artifact("application/x", []), "artifact")
    show(project, every=True)
    out, err = capsys.readouterr()
    assert out == f"{repository.repository}/other\n"
    assert err.endswith("/other has no versions\n")


def test_a_registry_that_lists_no_images_says_so(project: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its words, and with what is possible instead."""
    refusal = Fault(path="_catalog", status=404, body=b'{"errors": [{"code": "UNSUPPORTED"}]}')
    proxy.faults.append(refusal)
    monkeypatch.setenv("REGISTRY", f"http://{proxy.host}/team")
    with pytest.raises(RegistryError, match=r"(?s)UNSUPPORTED.*without --all"):
        show(project, every=True)


def test_without_versions_there_is_a_sentence(
    project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr; JSON has an empty list."""
    show(project)
    said = capsys.readouterr()
    assert said.out == ""
    assert "has no versions yet" in said.err
    show(project, as_json=True)
    assert json.loads(capsys.readouterr().out)["versions"] == []
    show(project, every=True)
    assert "has no images yet" in capsys.readouterr().err


def test_the_history_of_a_name(project: Path, repository: ImageReference, capsys: pytest.CaptureFixture[str]) -> None:
    """The last promotion first."""
    store = place(repository)
    images = [put_version(store, number) for number in (1, 2)]
    promote(store, "production", *images)
    show_history(project, "production")
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:3] for row in rows] == [
        ["2026-03-02T12:00:00Z", "alice", images[1].digest[:19]],
        ["2026-03-01T12:00:00Z", "alice", images[0].digest[:19]],
    ]
    assert "reason 2" in rows[0]
    assert "accuracy >= 0.9 (0.95)" in rows[0]
    show_history(project, "production", as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [one["from"] for one in document["promotions"]] == [None, images[0].digest]
    with pytest.raises(BentoshipError, match="Promoted names: production"):
        show_history(project, "staging")


def test_only_some_metrics_have_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are not nested come first; a line says how many there are besides."""
    metrics = {**{f"class.{number}": 0.5 for number in range(9)}, "accuracy": 0.9}
    print_versions([Version("sha256:" + "1" * 64, ("v1",), is_ours=True, metrics=metrics)], (), NOW)
    printed = capsys.readouterr()
    assert printed.out.split()[2:6] == ["ACCURACY", "CLASS.0", "CLASS.1", "CLASS.2"]
    assert "--json prints 6 more metrics" in printed.err


def test_what_strangers_write_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    """In each cell, and in the names of metrics."""
    name = "loss\x1b[2J\nx"
    version = Version("sha256:1", ["v1"], True, 7, models=[Model("a\x07b:\u202ec")], metrics={name: 1.0})
    print_versions([version, version], (), NOW)
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 3
    assert not re.search("[\x1b\x07\u202e]", said)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (None, ["TAGS    DIGEST           NOTE", "v1, v2  sha256:12345678  a b c", "v3      sha256:2"]),
        (30, ["TAGS    DIGEST           NOTE", "v1, v2  sha256:12345678  a b c", "v3      sha256:2"]),
        (29, ["v1, v2", "  digest sha256:12345678,", "  note a b c", "v3", "  digest sha256:2"]),
        (3, ["v1, v2", "  digest", "  sha256:12345678,", "  note a b c", "v3", "  digest sha256:2"]),
    ],
)
def test_a_narrow_terminal_gets_blocks(width: int | None, expected: list[str]) -> None:
    """Of which no line is wider than it, down to twenty columns."""
    rows: list[Mapping[str, str]] = [
        {"tags": "v1, v2", "digest": "sha256:12345678", "empty": "", "note": "a b c"},
        {"tags": "v3", "digest": "sha256:2", "empty": "", "note": ""},
    ]
    assert lines(rows, width) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (40, "40 s"),
        (720, "12 min"),
        (72_000, "20 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
        (31_600_000, "365 days"),
    ],
)
def test_an_age_is_short(seconds: int, expected: str) -> None:
    """In one unit; a clock that is behind makes nothing older than now."""
    assert age(NOW - timedelta(seconds=seconds), NOW) == expected
