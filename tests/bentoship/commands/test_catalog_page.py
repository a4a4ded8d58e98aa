"""The page of a catalog, as a text; tests/integration/test_catalog.py looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest

from bentoship.commands import catalog_page
from bentoship.commands.catalog_page import Catalog, page
from bentoship.versions.version import Version
from tests.support.catalogs import HOSTILE, digest, made_up, strange

READ = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
REPOSITORY = "localhost:5000/bentoship/classifier"


class Parsed(HTMLParser):
    """A page as HTML: its elements with their attributes, and the texts of scripts and rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.rows: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self.scripts.append("")
        if tag == "tr":
            self.rows.append("")

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        if self.cdata_elem:
            self.scripts[-1] += data
        elif self.rows:
            self.rows[-1] += data

    def attributes(self, name: str) -> list[str]:
        """The values of an attribute, wherever it is."""
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def shown(*versions: Version, **details: Any) -> str:
    """The page of some versions."""
    return page(Catalog(REPOSITORY, versions, READ, **details))


def data(text: str) -> Any:
    """What the page's script reads."""
    return json.loads(Parsed(text).scripts[1])


def test_a_page_is_a_table_without_its_script() -> None:
    """A row for each version with what is known, the best of each metric marked, and what is promoted on top."""
    versions = made_up(4)
    text = shown(*versions, lower={"loss"})
    rows = Parsed(text).rows[1:]
    assert len(rows) == 4
    for version, row in zip(versions, rows, strict=True):
        wanted = [*version.tags, version.digest[:19], version.commit[:12], version.models[0].tag, version.bento]
        wanted += [f"{REPOSITORY}@{version.digest}", str(version.created)[:10], "epochs", str(version.metrics["loss"])]
        assert [part for part in wanted if part not in row] == []
    best = {name: sorted(one.metrics[name] for one in versions) for name in ("accuracy", "loss")}
    marked = re.findall(r'data-label="(\w+)" class="number">([\d.]+) <span class="badge good">best', text)
    assert sorted(marked) == [("accuracy", str(best["accuracy"][-1])), ("loss", str(best["loss"][0]))]
    assert re.search(r'production</span> is <a href="#v\d">', text)


def test_what_is_the_same_in_all_versions_is_not_the_best() -> None:
    """As in the table of `versions`."""
    versions = [replace(one, metrics={"accuracy": 0.9}) for one in made_up(3)]
    assert 'class="badge good">best' not in shown(*versions)


def test_nested_metrics_come_last() -> None:
    """As in the table of `versions`, among those that as many versions have."""
    metrics = {"a.one": 1.0, "a.b.two": 2.0, "three": 3.0}
    heads = Parsed(shown(*(replace(one, metrics=metrics) for one in made_up(2)))).attributes("data-key")
    assert [head for head in heads if head.startswith("metric:")] == ["metric:three", "metric:a.one", "metric:a.b.two"]


def test_a_page_needs_nothing_else() -> None:
    """It loads nothing; its policy allows its own script and style, by their digests, and nothing else."""
    parsed = Parsed(shown(*made_up(3)))
    assert {tag for tag, _ in parsed.elements} & {"img", "iframe", "object", "embed", "base", "video", "audio"} == set()
    assert parsed.attributes("src") == []
    assert [one["href"] for tag, one in parsed.elements if tag == "link"] == ["data:,"]
    style, _, script = parsed.scripts
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (script, style)]
    assert parsed.attributes("content")[0] == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert parsed.attributes("style") == []
    assert [name for _, one in parsed.elements for name in one if name.startswith("on")] == []


def test_the_script_reads_no_text_as_html() -> None:
    """Nor as a program: it has none of the ways to do so."""
    script = Parsed(shown()).scripts[2]
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function\(|srcdoc|setTimeout|import\("
    assert re.findall(ways, script) == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_strangers_text_is_a_text(text: str) -> None:
    """Wherever it stands: the page has the elements of any other, its data are JSON, and both are bounded."""
    made, other = shown(strange(text)), shown(strange("plain"))
    assert made.isascii()
    assert [tag for tag, _ in Parsed(made).elements] == [tag for tag, _ in Parsed(other).elements]
    assert [sorted(one) for _, one in Parsed(made).elements] == [sorted(one) for _, one in Parsed(other).elements]
    raw = Parsed(made).scripts[1]
    assert not set("<>&\u2028\u2029") & set(raw)
    (version,) = data(made)["versions"]
    assert len(version["description"]) <= 301 or "\\" in version["description"]
    assert not re.search("[\x00-\x1f\u202e\u2066\ud800]", "".join([*version["tags"], version["bento"]]))
    assert len(made) < 2 * len(other) + 50_000


def test_a_link_leads_to_a_commit_only() -> None:
    """Of the project's forge; not for what is no commit, nor where no forge is known."""
    pages = "https://github.com/acme/planets/commit/"
    one, other = Version(digest("1"), commit="0a1b2c3d4e5f" * 3), Version(digest("2"), commit="javascript:alert(1)")
    parsed = Parsed(shown(one, other, commits=pages))
    links = [link for link in parsed.attributes("href") if not link.startswith(("#", "data:,"))]
    assert links == [f"{pages}{one.commit}"]
    links = [link for link in Parsed(shown(one, other)).attributes("href") if not link.startswith(("#", "data:,"))]
    assert links == []


def test_odd_numbers_do_no_harm() -> None:
    """Those that JSON does not have are left out; huge ones and strange moments are shown."""
    metrics = {"a": float("nan"), "b": float("inf"), "c": 10**400, "d": 1e300, "e": -0.0}
    moments = [datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), datetime.min.replace(tzinfo=UTC), None]
    versions = [Version(digest(str(n)), created=moment, metrics=metrics) for n, moment in enumerate(moments)]
    found = data(shown(*versions, replace(versions[0], created=datetime(2026, 1, 2))))["versions"]
    assert found[0]["metrics"] == {"d": 1e300, "e": -0.0}
    assert [one["created"] for one in found] == [None, "0001-01-01T00:00:00+00:00", None, "2026-01-02T00:00:00+00:00"]


def test_an_image_of_others_is_shown_as_one() -> None:
    """With what is known of it, such as why it could not be read."""
    text = shown(Version(digest("1"), ["v1"]), Version(digest("2"), ["v2"], problem="the manifest is not JSON"))
    rows = Parsed(text).rows[1:]
    assert "another program" in rows[0]
    assert "the manifest is not JSON" in rows[1]
    assert "No version is promoted." in text


def test_a_column_is_there_for_something() -> None:
    """Where no version has a value, there is no column for it."""
    keys = Parsed(shown(Version(digest("1"), size=1), Version(digest("2"), metrics={"f1": 0.5}))).attributes("data-key")
    assert keys == ["version", "metric:f1", "size"]


def test_no_version_is_no_failure() -> None:
    """The page says so."""
    assert "0 versions in the registry at 2026-11-28 12:00 UTC" in shown()


def test_what_is_too_much_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of versions, the oldest, and the page says so; of what a version has, the rest."""
    monkeypatch.setattr(catalog_page, "_MOST_VERSIONS", 5)
    many = shown(*made_up(6))
    assert "6 versions in the registry at 2026-11-28 12:00 UTC; the newest 5 are shown" in many
    assert many.count("<tr ") == 1 + 5
    wide = Version(digest("1"), parameters={str(n): n for n in range(1000)}, metrics={str(n): n for n in range(1000)})
    (version,) = data(shown(wide))["versions"]
    assert len(version["parameters"]) == len(version["metrics"]) == 200
    assert shown(wide).count('data-key="metric:') == 6


def test_layers_that_versions_share_stand_once() -> None:
    """In the data of the page, which would else be several times as long."""
    versions = made_up(50)
    found = data(shown(*versions))
    for version, entry in zip(versions, found["versions"], strict=True):
        assert [found["layers"][place][0] for place in entry["layers"]] == [
            one.descriptor.digest for one in version.layers
        ]
    assert len(found["layers"]) == len({layer.descriptor.digest for one in versions for layer in one.layers})


def test_hundreds_of_versions_take_little() -> None:
    """500 in less than 3 s of processor time, on a slow machine too, and in 3 kB each."""
    versions = made_up(500)
    began = time.process_time()
    text = shown(*versions)
    assert time.process_time() - began < 3
    assert len(text) < 500 * 3000 + 50_000
