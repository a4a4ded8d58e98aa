"""Publishing as functions, for programs: `from bentoship import publish`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bentoship
from tests.support.cache import needs_apt
from tests.support.site import Site, echo_site

CODE = """\
import dataclasses, sys
from bentoship import BentoshipError, Settings, plan, publish

settings = dataclasses.replace(Settings.load(sys.argv[1]), image_tags=("by-hand",))
planned = plan(sys.argv[1], settings)
assert planned.tags == ("by-hand",), planned
published = publish(sys.argv[1], settings)
assert published.reference.digest == published.pushed.digest
assert [tag.tag for tag in published.tags] == ["by-hand"]
assert plan(sys.argv[1], settings).push.size == 0
try:
    publish(sys.argv[1] + "/data")
except BentoshipError as error:
    assert "bentofile.yaml" in str(error), error
else:
    raise AssertionError("a folder without a bentofile.yaml was published")
"""


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project of a user who has published nothing yet."""
    return echo_site(tmp_path, cache)


@needs_apt
def test_a_program_publishes_without_a_word(site: Site) -> None:
    """It gets values: a plan, and the image by its tags and digest; and errors that it can catch."""
    command = [sys.executable, "-c", CODE, str(site.folder)]
    done = subprocess.run(
        command, env=site.env, cwd=site.home, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done.stderr


def test_what_is_public_is_listed() -> None:
    """Each name is there, and nothing else is promised."""
    assert {name for name in bentoship.__all__ if hasattr(bentoship, name)} == set(bentoship.__all__)
    with pytest.raises(AttributeError, match="'nothing'"):
        bentoship.nothing  # noqa: B018
