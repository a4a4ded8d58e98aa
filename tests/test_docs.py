"""The documentation, compared with the code: links, settings, tasks, JSON keys, messages, and commands."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import bentoship
import bentoship.tasks
from bentoship.settings import KNOWN
from bentoship.settings import google as google_settings
from bentoship.verify import sample
from tests.support.cache import needs_apt, with_packages
from tests.support.golden import golden
from tests.support.site import ROOT, Site, echo_site

DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *DOCS.glob("*.md"), ROOT / "benchmarks" / "README.md", ROOT / "model" / "README.md"]
)

NOT_RUN = {
    r"docker |curl ": "needs an engine; tests/integration/test_engines.py runs the published image in each",
    r"(.* )?invoke publish|bentoship publish|invoke containerize": "publishes; tests/integration does so many times",
    r"invoke (promote|rollback|clean --registry)": "needs published versions; tests/bentoship/commands has some",
    r"(.* )?invoke (manifest|resolve)": "needs a published image; tests of these commands have a registry with one",
    r"kubectl |gcloud run |modctl ": "needs a cluster, or another program",
    r"invoke catalog": "needs a published image; tests/bentoship/commands/test_catalog.py has one",
    r"invoke verify": "needs a published image; tests/integration/test_verify.py has one",
    r"invoke compare": "needs two versions; tests/bentoship/commands/test_compare.py has them",
    r"invoke versions": "needs a published image; tests/integration/test_evidence.py has one",
    r"invoke (projects|locations|services)": "asks Google; tests/integration/test_google.py asks a stand-in",
    r".*tests\.support\.google": "runs until it is stopped; tests/google_fake is about it",
    r".*celestial_bodies\.sample": "needs the example's packages; tests/celestial_bodies draws with it",
    r"(mkdir -p model|bentoml models export)": "needs a model; tests/bentoship/bento/test_models.py exports one so",
    r"uv (add|sync|run bentoship init)|pip install|uvx |bentoship init|cd .*uv build": "installs or changes a project",
    r"uv run --group dev (pytest|ruff|mypy)": ".ci/run does it, and this is a part of it",
    r"uv run python \.ci/pin\.py": "resolves all packages again, and changes pyproject.toml",
}
"""Commands of the documentation that this does not run, by a pattern from their start on, and why."""

FOREIGN = {"No space left on device", "blob unknown", "not found"}
"""Messages that others write: the system, and registries."""


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the code blocks of a page that are in certain languages."""
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        if language in languages:
            yield text


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """Return the code within lines."""
    return re.findall(r"`([^`\n]+)`", text)


def first_cells(page: Path, head: str) -> Iterator[str]:
    """Yield the first cell of each row of the tables whose first column has a certain head."""
    inside = False
    for line in prose(page).splitlines():
        cell = line.strip("| ").partition(" | ")[0]
        inside = line.startswith("|") and (inside or cell == head)
        if inside and cell != head and not cell.startswith("--"):
            yield cell


def documented(page: Path, head: str) -> list[str]:
    """Return the code in the first column of such tables."""
    return [span for cell in first_cells(page, head) for span in spans(cell)]


def anchors(page: Path) -> set[str]:
    """Return what links to a page's headings end with, as GitHub makes it of their words."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def commands(page: Path) -> Iterator[str]:
    """Yield the commands that a page shows at a prompt, without comments."""
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield line.removeprefix("$ ").partition("  #")[0].removesuffix("&").strip()


def json_keys(value: Any, before: str = "") -> Iterator[str]:
    """Yield the keys of a document, each with the way to it: `layers[].size`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{before}{key}"
            yield from json_keys(inner, f"{before}{key}" + ("[]." if isinstance(inner, list) else "."))
    elif isinstance(value, list):
        for inner in value:
            yield from json_keys(inner, before)


def texts(module: ast.Module) -> Iterator[str]:
    """Yield the texts of a module, each value in an f-string as "…"; not its docstrings, which nothing prints."""
    nodes = list(ast.walk(module))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | docstrings:
            yield node.value


def ids(page: Path) -> str:
    """Return the name of a test's page."""
    return str(page.relative_to(ROOT))


def run(program: str, *args: str) -> str:
    """Return what a program prints in the repository's folder: invoke or bentoship."""
    command = [sys.executable, "-m", program, *args]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout


@cache
def tasks(program: str) -> frozenset[str]:
    """Return the names of a program's tasks."""
    listed = json.loads(run(program, "--list", "--list-format=json"))["tasks"]
    return frozenset(task["name"] for task in listed)


@cache
def options(program: str, *task: str) -> frozenset[str]:
    """Return the options of a program, or of one of its tasks: long ones, and the short ones that have a value."""
    text = run(program, "--help", *task)
    return frozenset(re.findall(r"--[a-z][\w-]*", text)) | with_value(text)


def with_value(text: str) -> frozenset[str]:
    """Return the options that have a value, by the help on a task."""
    repeatable = re.findall(r"^  (-.+?)  .*\brepeatable$", text, re.MULTILINE)
    return frozenset([*re.findall(r"(?<!\S)(--?[a-z][\w-]*)[= ][A-Z]+\b", text), *", ".join(repeatable).split(", ")])


@cache
def needed(program: str, task: str) -> int:
    """Return how many words a task needs behind it."""
    found = getattr(bentoship.tasks, task.replace("-", "_"), None)  # `init` is the program's own
    return len(found.positional) if found else 0


def calls(page: Path) -> Iterator[list[str]]:
    """Yield the words of each call of invoke or bentoship that a page has, in blocks and within lines."""
    texts = [*blocks(page, "console", "sh", "bash", "yaml"), *spans(prose(page))]
    words = r" +[\w.,/…\[-][^\s`)\";|>&#]*"
    for text in texts:
        for found in re.findall(rf"(?<!from )(?<![\w./=-])((?:invoke|bentoship)(?:{words})+)", text):
            yield found.split()


def test_readme_is_short() -> None:
    """It is what a newcomer reads first; everything else has a page of its own."""
    assert len(README.read_text("utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    """Each file that a page links to exists, and so does the heading."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https://\w", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_linked_from_readme() -> None:
    """Nothing is written that nobody finds."""
    linked = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)\)", prose(README))}
    assert {page for page in PAGES if page not in linked} == {README}


def test_settings_are_documented() -> None:
    """All of them, once, and no others; .env.example has all but BentoML's own."""
    prefixed = {f"BENTOSHIP_{name}" for name in KNOWN}
    known = sorted({*KNOWN, *google_settings.NAMES} - prefixed)
    assert sorted(documented(DOCS / "settings.md", "setting")) == known
    example = (ROOT / ".env.example").read_text("utf-8")
    assert {"BENTOML_HOME", *re.findall(r"^# ([A-Z_]+)=", example, re.MULTILINE)} == set(known)


def test_tasks_are_in_readme() -> None:
    """Each has a row of the table, and each row has a task."""
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|[^|]*\|$", prose(README), re.MULTILINE)
    assert sorted(span for cell in rows for span in spans(cell)) == sorted(tasks("invoke"))


@pytest.mark.parametrize("page", [page for page in PAGES if any(calls(page))], ids=ids)
def test_calls_name_tasks_and_their_options(page: Path) -> None:
    """Whatever is said of `invoke …` and `bentoship …` can be typed so."""
    for program, *words in calls(page):
        named = [word.removeprefix("ship.") for word in words if word.removeprefix("ship.") in tasks(program)]
        arguments = sum(needed(program, task) for task in named)
        valued = with_value("".join(run(program, "--help", task) for task in named))
        for before, word in zip([program, *words], words, strict=False):
            if before in valued:
                continue
            if word.startswith("-"):
                allowed = options(program).union(*(options(program, task) for task in named))
                assert word in allowed, f"{program} {' '.join(words)}"
            elif arguments and word not in named:
                arguments -= 1
            elif word.removeprefix("ship.") not in named:
                # A folder, or what stands for one.
                is_folder = "/" in word or re.fullmatch(r"\[?[A-Z]+|…\]?", word)
                assert is_folder, f"{program} {' '.join(words)}"
                assert program == "bentoship" or before.startswith("--"), f"{program} {' '.join(words)}"


@pytest.mark.parametrize(
    ("page", "document"), [("plan.md", "plan.json"), ("troubleshooting.md", "doctor.json")], ids=["plan", "doctor"]
)
def test_json_keys_are_documented(page: str, document: str) -> None:
    """All that there are, and no others."""
    assert sorted(documented(DOCS / page, "key")) == sorted(set(json_keys(json.loads(golden(document)))))


def test_keys_of_a_sample_request_are_documented() -> None:
    """All that are read, and no others."""
    assert sorted(documented(DOCS / "verify.md", "key")) == sorted(sample._KEYS)


def test_rooms_are_documented() -> None:
    """Each folder and each module of the package has a row."""
    package = ROOT / "src" / "bentoship"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert sorted(documented(DOCS / "design.md", "room")) == sorted(folders | modules)


def test_the_api_is_documented() -> None:
    """Every public name, and no others."""
    names = [re.sub(r"\(.*", "", span) for span in documented(DOCS / "api.md", "name")]
    assert sorted(names) == sorted(bentoship.__all__)


@pytest.mark.parametrize("page", ["troubleshooting.md", "google-cloud.md"])
def test_messages_are_what_is_said(page: str) -> None:
    """Each that a table explains is in the code, or is said by the stand-in for Google; "…" stands for anything."""
    files = [*(ROOT / "src" / "bentoship").rglob("*.py"), *(ROOT / "tests" / "support" / "google").rglob("*.py")]
    said = [text for file in files for text in texts(ast.parse(file.read_text("utf-8")))]
    messages = set(documented(DOCS / page, "message")) - FOREIGN
    assert messages
    patterns = {message: ".*".join(re.escape(part.strip()) for part in message.split("…")) for message in messages}
    unsaid = {message for message, pattern in patterns.items() if not any(re.search(pattern, text) for text in said)}
    assert unsaid == set()


ALL_COMMANDS = sorted({command for page in PAGES for command in commands(page)})
RUN = [command for command in ALL_COMMANDS if not any(re.match(pattern, command) for pattern in NOT_RUN)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A project, and programs by the names that the documentation calls them by."""
    folder = tmp_path_factory.mktemp("docs")
    cache = folder / "cache"
    (cache / "bentoship").mkdir(parents=True)
    with_packages(cache / "bentoship")
    python = shlex.quote(sys.executable)
    programs = {
        "invoke": f'exec {python} -m invoke "$@"',
        "bentoship": f'exec {python} -m bentoship "$@"',
        "uv": '[ "$1" = run ] && shift && exec "$@"',
    }
    (folder / "bin").mkdir()
    for name, line in programs.items():
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)
    site = echo_site(folder / "site", cache)
    return Site(site.folder, site.home, site.cache, {"PATH": f"{folder / 'bin'}:{site.env['PATH']}"})


@needs_apt
@pytest.mark.parametrize("command", RUN)
def test_commands_run(site: Site, command: str) -> None:
    """As they are shown, in a project that has published nothing."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=site.folder,
        env=site.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "json" not in command or json.loads(done.stdout)


def test_what_is_not_run_is_there() -> None:
    """Each exception is one: it fits a command, and something is left to run."""
    assert RUN
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, command) for command in ALL_COMMANDS)] == []
