"""What checks a change: `.ci/run`, the hooks before a commit and the workflow on a pull request agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"


def load(path: Path) -> dict[Any, Any]:
    """Return a YAML file; it takes the key "on" for the truth."""
    document = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def test_hooks_check_what_ci_checks() -> None:
    """By the same commands, apart from the tests."""
    checks = re.findall(r"^python3 -m (uv run .*)$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == checks
    # Each checks everything, as CI does; names of files would be added to its command.
    assert not any(hook["pass_filenames"] for hook in repository["hooks"])


def test_a_pull_request_is_checked() -> None:
    """By `.ci/run` and `.ci/ranges`, with no right but to read, and without the token that read the code."""
    workflow = load(WORKFLOWS / "ci.yaml")
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert workflow["permissions"] == {"contents": "read"}
    checks, ranges = workflow["jobs"].values()
    assert checks["steps"][-1]["run"] == ".ci/run"
    assert ranges["steps"][-1]["run"] == ".ci/ranges ${{ matrix.end }}"
    assert ranges["strategy"]["matrix"] == {"end": ends_of_ranges()}
    assert "--privileged" in checks["container"]["options"]
    for job in (checks, ranges):
        (checkout,) = (step for step in job["steps"] if "uses" in step)
        assert checkout["with"] == {"persist-credentials": False}
    assert "secrets." not in str(workflow)


def ends_of_ranges() -> list[str]:
    """What `.ci/ranges` tests if nothing is named."""
    (ends,) = re.findall(r"in \$\{@:-(.+)\}", (ROOT / ".ci" / "ranges").read_text("utf-8"))
    return str(ends).split()


def test_the_pythons_that_are_tested_are_those_of_the_package() -> None:
    """By `.ci/ranges`, but for the first one, which `.ci/run` has."""
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    versions = [one.rpartition(" ")[2] for one in classifiers if one.startswith("Programming Language :: Python :: 3.")]
    assert versions == ["3.11", *(end for end in ends_of_ranges() if end.startswith("3."))]


def test_workflows_use_the_same_actions() -> None:
    """In one version each."""
    used = {name for path in WORKFLOWS.glob("*.yaml") for name in re.findall(r"uses: (\S+)", path.read_text("utf-8"))}
    assert used
    assert len({name.partition("@")[0] for name in used}) == len(used)
