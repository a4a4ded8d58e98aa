"""What people see while tasks run: on a terminal, and in a log."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bentoship.commands.block import HEIGHT
from tests.support.cache import needs_apt
from tests.support.pseudo_terminal import watched
from tests.support.screen import Screen
from tests.support.site import Site, echo_site

pytestmark = needs_apt

IMPORTING = "importing the service and locking its packages"


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project of a user who has published nothing yet."""
    return echo_site(tmp_path, cache)


def on_terminal(site: Site, *args: str, width: int = 80, interrupt_at: str = "", **more: str) -> tuple[int, Screen]:
    """Run invoke on a terminal."""
    env = {**site.env, "TERM": "xterm-256color", **more}
    command = [sys.executable, "-m", "invoke", *args]
    return watched(command, cwd=site.folder, env=env, width=width, interrupt_at=interrupt_at)


@pytest.mark.parametrize("width", [pytest.param(40, marks=pytest.mark.slow), 80])
def test_a_terminal_shows_what_is_under_way(site: Site, width: int) -> None:
    """In a block of few lines that is gone at the end; the last lines are those that a person copies, whole."""
    code, screen = on_terminal(site, "publish", width=width)
    assert code == 0, screen.text
    assert "\x1b[?25l" in screen.getvalue(), "no block was shown"
    assert screen.farthest_up <= HEIGHT
    assert not screen.cursor_is_hidden
    assert "━" not in screen.text
    *_, seconds, reference, run = screen.getvalue().rstrip().split("\r\n")
    assert re.search(r"total .* \d+\.\d s \(.*build \d+\.\d", seconds)
    assert re.fullmatch(r"localhost:\d+/bentoship/echo@sha256:[0-9a-f]{64}", reference)
    assert run.endswith(f" docker run --rm -p 3000:3000 {reference}")


def test_no_color_is_heeded(site: Site) -> None:
    """What moves still does."""
    code, screen = on_terminal(site, "build", NO_COLOR="1")
    assert code == 0, screen.text
    assert "\x1b[?25l" in screen.getvalue()
    assert not screen.is_coloured
    assert re.search(rf"^build +{IMPORTING} took \d+\.\d s$", screen.text, re.MULTILINE)


def test_an_interrupt_leaves_a_clean_terminal(site: Site) -> None:
    """Without the block, and with the cursor."""
    code, screen = on_terminal(site, "publish", width=120, interrupt_at=f"  {IMPORTING}")
    assert code == 130
    assert not screen.cursor_is_hidden
    *others, last = screen.text.splitlines()
    assert last.startswith("Stopped.")
    assert all(re.match(r"enable-api |create-registry |auth |\^C$|$", line) for line in others), screen.text


def test_a_log_has_the_beginning_and_the_end_of_what_takes_a_while(site: Site) -> None:
    """With the seconds; where nothing changed nothing takes a while, and nothing is said that was not said before."""
    first = site.invoke("publish")
    told = [line.partition(" ")[2].strip() for line in first.stderr.splitlines() if IMPORTING in line]
    assert told[0] == IMPORTING
    assert re.fullmatch(rf"{IMPORTING} took \d+\.\d s", told[-1])
    assert len(told) == 2
    again = site.invoke("publish")
    layers = sum(line.startswith(" ") for line in first.stderr.splitlines())
    assert [line.partition(" ")[0] for line in again.stderr.splitlines()] == [
        "enable-api", "create-registry", "auth", "build", "build", "containerize", "tag", "tag", *[""] * layers,
        "push", "push", "push", "total", "publish",
    ]  # fmt: skip
    assert "\x1b" not in first.stderr + again.stderr
