"""Who does something to a registry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bentoship.versions.author import author


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of a user of whom nothing is known, outside of continuous integration."""
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "CIRCLE_USERNAME", "BUILDKITE_BUILD_CREATOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    subprocess.run(["git", "init", "-q", tmp_path / "project"], check=True)
    return tmp_path / "project"


def test_the_nearest_name_counts(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's, then Git's address or name, then who started the job."""
    account = author(repository)
    assert account == subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    for setting, value in (("user.email", "ann@example.org"), ("user.name", "Ann")):
        subprocess.run(["git", "-C", repository, "config", setting, value], check=True)
        assert author(repository) == value
    monkeypatch.setenv("GITHUB_ACTOR", "ann-at-work")
    assert author(repository) == "ann-at-work"
    assert author(repository / "missing") == "ann-at-work"
