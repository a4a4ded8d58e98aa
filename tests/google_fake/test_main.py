"""The stand-in, started by hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from tests.google_fake.clients import Clients

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("to_file", [False, True])
def test_it_prints_settings_tells_of_calls_and_ends(tmp_path: Path, to_file: bool) -> None:
    """Settings on standard output or in a file, calls on standard error, nothing left after Ctrl-C."""
    path = tmp_path / ".env"
    command = [sys.executable, "-m", "tests.support.google", *(["--env", str(path)] if to_file else [])]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout
        assert child.stderr
        assert "Ctrl-C" in child.stderr.readline()
        if not to_file:
            path.write_text("".join(child.stdout.readline() for _ in range(6)))
        settings = dotenv_values(path)
        key = Path(settings["GOOGLE_APPLICATION_CREDENTIALS"] or "")
        assert settings["GCP_PROJECT_ID"] == "celestial-bodies-123456"
        assert key.is_file()
        port = int((settings["GCP_API_ENDPOINT"] or "").rpartition(":")[2])
        with pytest.raises(Exception, match="missing required authentication"):
            Clients(port, "").projects.search_projects(timeout=5)
        assert "Projects.SearchProjects" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
        assert child.stderr.read() == ""
        assert not key.exists()
    finally:
        child.kill()
        child.communicate()


def test_settings_of_ones_own_are_not_overwritten(tmp_path: Path) -> None:
    """Only a file that was written here before is."""
    path = tmp_path / ".env"
    path.write_text("GCP_PROJECT_ID=mine\n")
    command = [sys.executable, "-m", "tests.support.google", "--env", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "settings of your own" in done.stderr
    assert path.read_text() == "GCP_PROJECT_ID=mine\n"
