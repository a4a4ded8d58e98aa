"""The page of a catalog in a browser: what people see and do there. All of it is slow."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bentoship.commands.catalog_page import Catalog, page
from bentoship.versions.version import Version
from tests.support.accessibility import axe
from tests.support.browser import Browser, chromium
from tests.support.catalogs import HOSTILE, made_up, strange
from tests.support.colours import contrast, luminance, rgb
from tests.support.engines import require

pytestmark = pytest.mark.slow

READ = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser, for all tests."""
    require("chromium")
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


class Page:
    """The page of a catalog in a browser.

    Args:
        browser: shows it.
        folder: for its file.
    """

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._file = folder / "catalog.html"
        self.browser = browser

    def show(self, versions: Sequence[Version], width: int = 1280, scheme: str = "light") -> None:
        """Show some versions in a window of a width, to a person who prefers a scheme of colours."""
        self.browser.size(width, 900, mobile=width < 600)
        self.browser.prefer(scheme)
        commits = "https://github.com/acme/planets/commit/"
        self._file.write_text(page(Catalog("ghcr.io/acme/planets", versions, READ, {"loss"}, commits)))
        self.browser.open(self._file)

    def ask(self, expression: str) -> Any:
        """Return the value of an expression."""
        return self.browser.ask(expression)

    def column(self, number: int) -> list[str]:
        """What a column of the table shows in the rows that are not filtered."""
        rows = "[...document.querySelectorAll('#versions tbody tr')].filter(row => row.offsetParent)"
        found: list[str] = self.ask(f"{rows}.map(row => row.cells[{number}].innerText)")
        return found

    def type(self, text: str) -> None:
        """Type a text into the filter, in place of what is there."""
        self.ask("document.getElementById('filter').select()")
        self.ask("document.getElementById('filter').focus()")
        self.browser.call("Input.insertText", text=text)

    def choose(self, menu: str, value: object) -> None:
        """Choose an entry of a menu, by its value."""
        find = f"const menu = document.getElementById('{menu}')"
        self.ask(f"{{ {find}; menu.value = {json.dumps(value)}; menu.dispatchEvent(new Event('change')) }}")

    def text(self, element: str) -> str:
        """What an element shows."""
        return str(self.ask(f"document.getElementById('{element}').innerText"))

    def focused(self, what: str = "innerText") -> str:
        """What has the focus."""
        return str(self.ask(f"document.activeElement.{what}"))


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Page:
    """A page that shows nothing yet."""
    return Page(browser, tmp_path)


def head(title: str) -> str:
    """The expression for the head of a column."""
    return f"[...document.querySelectorAll('#versions thead th')].find(one => one.innerText.trim() === '{title}')"


def test_heads_sort(shown: Page) -> None:
    """One way, then the other, and say so; versions that lack the value are last both times."""
    shown.show([*made_up(30), Version("sha256:" + "0" * 64, ["v1"])])
    values: Any
    for title, column, order in (("accuracy", 6, [-1, 1]), ("loss", 7, [1, -1]), ("Size", 8, [-1, 1])):
        for direction in order:
            shown.ask(f"{head(title)}.querySelector('button').click()")
            values = [re.sub(r"[^\d.].*", "", text, flags=re.DOTALL) for text in shown.column(column)]
            assert values[-1] == ""
            numbers = [direction * float(value) for value in values[:-1]]
            assert numbers == sorted(numbers)
            state = "ascending" if direction > 0 else "descending"
            assert shown.ask(f"{head(title)}.getAttribute('aria-sort')") == state
            assert shown.ask("document.querySelectorAll('[aria-sort]').length") == 1
    assert shown.browser.problems == []


def test_names_are_sorted_as_people_count(shown: Page) -> None:
    """v9 before v10."""
    shown.show([Version(f"sha256:{number:064}", [f"v{number}"]) for number in (10, 9, 100, 1)])
    shown.ask(f"{head('Version')}.querySelector('button').click()")
    assert [text.split()[0] for text in shown.column(1)] == ["v1", "v9", "v10", "v100"]


def test_the_filter_finds_every_word(shown: Page) -> None:
    """In tags, commits and parameters; the number of those shown is announced, and the rest comes back."""
    versions = made_up(40)
    shown.show(versions)
    shown.type("epochs=10 lr=0.001")
    wanted = [one for one in versions if one.parameters["epochs"] == 10 and one.parameters["lr"] == 0.001]
    assert [text.split()[-1] for text in shown.column(1)] == [one.digest[:19] for one in wanted]
    assert shown.text("count") == f"{len(wanted)} of 40 shown"
    assert shown.ask("document.getElementById('count').getAttribute('role')") == "status"
    shown.type(versions[5].commit[:12].upper())
    assert len(shown.column(1)) == 1
    shown.type("no such version")
    assert shown.text("count") == "0 of 40 shown"
    shown.type("")
    shown.choose("kind", "promoted")
    assert shown.column(3) == ["production"]
    shown.choose("kind", "verified")
    assert set(shown.column(4)) == {"works"}
    shown.choose("kind", "all")
    assert len(shown.column(1)) == 40


def test_two_are_compared(shown: Page) -> None:
    """At first the promoted version with the newest; then the two that are picked, the older one as the old."""
    versions = made_up(12)
    shown.show(versions)
    production = next(one for one in versions if one.promoted)
    assert shown.ask("document.querySelector('#old').selectedOptions[0].text").endswith("production")
    old, new = versions[7], versions[2]
    for version in (new, old):
        shown.ask(f"document.querySelector('[aria-label=\"Compare {version.tags[0]}\"]').click()")
    said = shown.text("difference")
    assert shown.text("picking") == "Two versions are picked: see their comparison."
    lines = [line.split("\t") for line in said.splitlines()]
    difference = new.metrics["accuracy"] - old.metrics["accuracy"]
    sign = "+" if difference > 0 else "\u2212"
    verdict = f"{sign}{abs(round(difference, 6)):g} {'better' if difference > 0 else 'worse'}"
    accuracy = next(line for line in lines if line[0] == "accuracy")
    assert accuracy == ["accuracy", f"{old.metrics['accuracy']:g}", f"{new.metrics['accuracy']:g}", verdict]
    assert next(line for line in lines if line[0] == "Commit") == ["Commit", old.commit, new.commit, "changed"]
    shared = {layer.descriptor.digest for layer in old.layers}
    added = [layer for layer in new.layers if layer.descriptor.digest not in shared]
    needed = sum(layer.descriptor.size for layer in added) / 1e6
    count = f"{len(new.layers) - len(added)} of {len(new.layers)} layers"
    assert shown.text("shared").startswith(
        f"They share {count}; a host that has {old.tags[0]} still needs {needed:.1f} MB"
    )
    shown.choose("old", versions.index(production))
    assert f"Old: {production.tags[0]}" in shown.text("difference")
    assert shown.ask("document.querySelectorAll('#versions :checked').length") == 2


def test_production_is_compared_first(shown: Page) -> None:
    """Also where something newer is promoted to another name; only what is known is told."""
    newest, staging, production = made_up(3)
    staging = replace(staging, tags=["b", "staging"], promoted=["staging"])
    production = replace(
        production, tags=["a", "production"], promoted=["production"], base="", base_digest="", data=()
    )
    newest = replace(newest, base="", base_digest="", data=(), created=production.created, promoted=())
    newest = replace(newest, parameters={"new": 1})
    shown.show([newest, staging, production])
    lines = [line.split("\t") for line in shown.text("difference").splitlines()]
    assert f"Old: a\tNew: {newest.tags[0]}\t" in shown.text("difference")
    titles = [line[0] for line in lines]
    assert {"Made", "Commit"} <= set(titles)
    assert not {"Training data", "Base"} & set(titles)
    assert {line[0]: line[3] for line in lines if line[0] in ("new", "lr")} == {"new": "new", "lr": "gone"}
    made = f"{newest.created:%Y-%m-%d %H:%M} UTC"
    assert ["Made", made, made, ""] in lines


def test_a_chart_tells_small_differences(shown: Page) -> None:
    """Of sizes, and of times on one day; the name of what is promoted fits."""
    morning = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
    versions = [
        replace(one, size=70_000_000 + 7 * number, created=morning + timedelta(minutes=number), promoted=["x" * 60])
        for number, one in enumerate(made_up(3))
    ]
    shown.show(versions[::-1], 360)
    shown.choose("metric", 2)
    texts = shown.ask("[...document.querySelectorAll('svg > text:not(.name)')].map(one => one.textContent)")
    assert len(set(texts)) == len(texts)
    assert texts[-2:] == ["2026-11-28 09:30 UTC", "2026-11-28 09:32 UTC"]
    places = (
        "[...document.querySelectorAll('svg text')].map(one => one.getBBox()).map(one => [one.x, one.x + one.width])"
    )
    width = shown.ask("document.querySelector('svg').viewBox.baseVal.width")
    assert all(0 <= left <= right <= width for left, right in shown.ask(places))
    shown.show(versions[:1])
    assert "One version has it." in shown.text("figure")


def test_a_third_pick_replaces_the_first(shown: Page) -> None:
    """So that two are compared always."""
    versions = made_up(5)
    shown.show(versions)
    for version in versions[:3]:
        shown.ask(f"document.querySelector('[aria-label=\"Compare {version.tags[0]}\"]').click()")
    checked = shown.ask("[...document.querySelectorAll('#versions :checked')].map(one => one.ariaLabel)")
    assert checked == [f"Compare {version.tags[0]}" for version in versions[1:3]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_versions_are_enough(shown: Page, count: int) -> None:
    """Or none; one is not compared with itself."""
    shown.show(made_up(count))
    assert shown.browser.problems == []
    assert len(shown.column(1)) == count
    comparison = "[...document.querySelectorAll('#compare, [href=\"#compare\"], #versions .pick')]"
    hidden = shown.ask(f"{comparison}.map(one => one.hidden || one.parentElement.hidden)")
    assert set(hidden) == {count < 2}


def test_a_metric_over_time(shown: Page) -> None:
    """A point for each version that has it, by time, what is promoted named; as a table; the sizes; large numbers."""
    versions = made_up(25)
    shown.show([*versions, Version("sha256:" + "0" * 64, metrics={"accuracy": 0.5})])
    points = shown.ask(
        "[...document.querySelectorAll('circle')].map(one => [Number(one.getAttribute('cx')), one.textContent])"
    )
    assert [across for across, _ in points] == sorted(across for across, _ in points)
    assert [title.partition(" ")[0] for _, title in points] == [one.tags[0] for one in versions[::-1]]
    assert shown.ask("document.querySelector('svg .name').textContent") == "production"
    assert "1 more without a date are left out" in shown.text("figure")
    assert shown.ask("document.querySelector('svg').getAttribute('role')") == "img"
    table = shown.ask("[...document.querySelectorAll('#values tbody tr')].map(row => row.cells[2].textContent)")
    assert [float(value) for value in table] == [one.metrics["accuracy"] for one in versions[::-1]]
    shown.choose("metric", 2)
    assert "MB" in shown.ask("document.querySelector('svg').textContent")
    shown.show([Version(f"sha256:{number:064}", metrics={"f1": number}) for number in range(3)])
    assert "oldest first; when they were made is not known" in shown.text("figure")
    shown.show([Version(f"sha256:{number:064}", metrics={"f1": 1e17 + 16 * number}) for number in range(2)])
    assert shown.ask("document.querySelectorAll('svg .grid').length") <= 6
    assert shown.browser.problems == []


def test_it_is_used_by_keyboard(shown: Page) -> None:
    """Each control can be reached, shows that it has the focus, and does what a click does."""
    shown.show(made_up(3))
    reached = []
    for _ in range(60):
        shown.browser.press("Tab")
        reached.append(shown.focused("outerHTML")[:300])
        if "outline" not in reached[-1]:
            assert shown.ask("getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
        if 'id="new"' in reached[-1]:
            break
    for control in ('id="metric"', 'id="filter"', 'id="kind"', "checkbox", "<summary", 'href="#compare"', 'id="old"'):
        assert any(control in one for one in reached), control
    shown.ask(f"{head('accuracy')}.querySelector('button').focus()")
    shown.browser.press("Enter")
    assert shown.ask(f"{head('accuracy')}.getAttribute('aria-sort')") == "descending"
    shown.browser.press(" ")
    assert shown.ask(f"{head('accuracy')}.getAttribute('aria-sort')") == "ascending"
    assert shown.focused() == "accuracy"
    shown.ask("document.querySelector('#versions input').focus()")
    shown.browser.press(" ")
    assert shown.text("picking") == "One version is picked; pick another to compare them."


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_the_page_is_as_wide_as_the_window(shown: Page, width: int) -> None:
    """A phone's, too, with everything open and the longest of texts: nothing but a table is scrolled sideways."""
    shown.show([*made_up(4), *map(strange, HOSTILE)], width)
    shown.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert shown.ask("document.documentElement.scrollWidth") <= width
    if width < 700:
        assert shown.ask("(one => one.scrollWidth - one.clientWidth)(document.querySelector('#table .scroll'))") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_person(shown: Page, scheme: str) -> None:
    """And each text can be told from what is behind it, by the ratio of WCAG 2.2, 1.4.3."""
    shown.show(made_up(3), scheme=scheme)
    names = ("--page", "--raised", "--text", "--quiet", "--accent", "--good", "--bad")
    style = "getComputedStyle(document.documentElement)"
    colours = {name: str(shown.ask(f"{style}.getPropertyValue('{name}')")).strip() for name in names}
    assert shown.ask("getComputedStyle(document.body).backgroundColor") == rgb(colours["--page"])
    assert (luminance(colours["--page"]) > 0.5) == (scheme == "light")
    for behind in names[:2]:
        for text in names[2:]:
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_others_find_it_accessible(shown: Page, width: int, scheme: str, tmp_path: Path) -> None:
    """By axe-core's rules for WCAG 2.2 AA and its best practices, with everything open."""
    script = axe(tmp_path)
    shown.browser.call("Page.setBypassCSP", enabled=True)  # for its script alone
    try:
        shown.show(made_up(6), width, scheme)
        shown.ask("document.querySelectorAll('details').forEach(one => one.open = true)")
        shown.ask(f"{script};1")
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        run = f"axe.run({{runOnly: {{type: 'tag', values: {tags}}}}})"
        found = json.loads(
            shown.ask(
                f"{run}.then(found => JSON.stringify([found.passes.length, found.violations.map("
                "one => [one.id, one.nodes.map(node => node.html)])]))"
            )
        )
    finally:
        shown.browser.call("Page.setBypassCSP", enabled=False)
    assert found[0] > 20
    assert found[1] == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_strangers_text_stays_a_text(shown: Page, text: str) -> None:
    """Nothing of it runs, breaks out, or is loaded, whatever is clicked."""
    shown.show([*made_up(2), strange(text), strange(f"{text} 2")])
    shown.ask("window.alert = () => { window.harmed = true }")
    shown.ask("document.querySelectorAll('#versions button, #versions input').forEach(one => one.click())")
    shown.type(text[:50])
    for menu, values in (("metric", range(3)), ("old", range(4)), ("new", range(4))):
        for value in values:
            shown.choose(menu, value)
    assert shown.ask("window.harmed") is None
    assert shown.ask("document.querySelectorAll('script').length") == 2
    assert shown.ask("document.querySelectorAll('img, iframe, [onerror], [onmouseover], [autofocus]').length") == 0
    assert shown.ask("[...document.links].every(one => /^(https:|#|file:)/.test(one.href))")
    assert len(shown.browser.requested) == 1
    assert shown.browser.problems == []


def test_a_script_of_others_is_refused(shown: Page) -> None:
    """By the page's policy, had it come in somehow."""
    shown.show(made_up(2))
    shown.ask(
        "{ const one = document.createElement('script'); one.text = 'window.harmed = 1'; document.body.append(one) }"
    )
    shown.ask("{ const one = new Image(); one.src = 'https://example.com/x.png'; document.body.append(one) }")
    assert shown.ask("window.harmed") is None
    assert len(shown.browser.requested) == 1
    assert any("Content Security Policy" in problem for problem in shown.browser.problems)


def test_it_works_without_its_script(shown: Page) -> None:
    """As a table: with every version, and without controls that would do nothing."""
    shown.browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        shown.show(made_up(5))
        document = shown.browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
        rows = shown.browser.call("DOM.querySelectorAll", nodeId=document, selector="#versions tbody tr")["nodeIds"]
        assert len(rows) == 5
        tree = shown.browser.call("Accessibility.getFullAXTree")["nodes"]
    finally:
        shown.browser.call("Emulation.setScriptExecutionDisabled", value=False)
    roles = [node["role"]["value"] for node in tree if not node["ignored"]]
    assert {"button", "checkbox", "searchbox", "combobox"} & set(roles) == set()
    assert roles.count("columnheader") == 10
    assert roles.count("rowheader") == 5


def test_it_is_printed(shown: Page) -> None:
    """All versions, on pages of which none is empty."""
    shown.show(made_up(60))
    pdf = shown.browser.pdf()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 9
    # Chromium does not repeat a table's head on each page if it has boxes that cannot be divided, such as buttons.
    shown.browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert shown.ask(f"getComputedStyle({head('accuracy')}.querySelector('button')).display") == "contents"
    finally:
        shown.browser.call("Emulation.setEmulatedMedia", media="")


def test_hundreds_of_versions_are_no_wait(shown: Page) -> None:
    """500 are shown, sorted and filtered within what a person takes for at once, on a slow and busy machine."""
    began = time.monotonic()
    shown.show(made_up(500))
    assert time.monotonic() - began < 30
    for number in range(3):
        began = time.monotonic()
        shown.ask(f"{head('accuracy')}.querySelector('button').click(), document.body.offsetHeight")
        shown.type(f"epochs={5 * number}")
        assert shown.ask("document.body.offsetHeight")
        assert time.monotonic() - began < 10
    assert shown.text("count").endswith("of 500 shown")
