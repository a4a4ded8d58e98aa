"""The command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import Bench
from benchmarks.publish import Results, measure
from benchmarks.registry import running
from benchmarks.sides import ROOT, Ours
from tests.support.cache import needs_apt


def test_it_needs_nothing_but_the_project_s_folder() -> None:
    """No variable has to tell where the sources are; the cases are named."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "benchmarks.publish", "--help"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "larger-model" in done.stdout


@needs_apt
def test_what_cannot_be_measured_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A model that no disk holds, more runs than there are versions of a package, and a project that cannot publish."""
    results = Results()
    with running(tmp_path / "registry") as registry:
        ours = Ours(tmp_path / "ours", registry)
        (ours.project() / "bentofile.yaml").write_text("service: [\n", "utf-8")
        measure(Bench(ours, None, registry, tmp_path, 99, 1 << 60), ["model", "package", "unchanged"], results)
    assert results.samples == []
    assert results.unmeasured.keys() == {"model", "package", "unchanged"}
    assert "too few for 99 runs" in results.unmeasured["package"]
    assert "invoke publish ended with 1" in results.unmeasured["unchanged"]
