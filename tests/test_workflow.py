"""The workflow of GitHub Actions: what it may do, and that its scripts do it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentoship import settings
from bentoship.backend import Pushed
from bentoship.commands.summary import outputs
from bentoship.image.reference import ImageReference
from bentoship.project import Published
from bentoship.system.git import revision
from tests.support.github import outputs_of
from tests.support.synthetic import bento_in

ROOT = Path(__file__).parents[1]
FILE = ROOT / ".github" / "workflows" / "publish.yaml"

REPOSITORY = "europe-west6-docker.pkg.dev/acme-123456/mlops/celestial-bodies-classifier"
DIGEST = "sha256:" + "0a45" * 16
VARIABLES = {
    "GCP_PROJECT_ID": "acme-123456",
    "GCP_CONTAINER_REGISTRY_NAME": "mlops",
    "GCP_CONTAINER_REGISTRY_LOCATION": "europe-west6",
}


@pytest.fixture
def workflow() -> dict[Any, Any]:
    """The workflow, in which YAML takes the key "on" for the truth."""
    document = yaml.safe_load(FILE.read_text("utf-8"))
    assert isinstance(document, dict)
    return document


def steps(workflow: dict[Any, Any], job: str, uses: str = "") -> list[dict[str, Any]]:
    """The steps of a job that run an action, or all of them."""
    return [step for step in workflow["jobs"][job]["steps"] if str(step.get("uses", "")).startswith(uses)]


def named(workflow: dict[Any, Any], job: str, name: str) -> dict[str, Any]:
    """A job's step."""
    return next(step for step in workflow["jobs"][job]["steps"] if step.get("name") == name)


class Runner:
    """What a step finds on GitHub's machine: its files, and a stand-in for uv that says what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output, self.summary = folder / "output", folder / "summary"
        (folder / "bin").mkdir()
        self.uv("", "")

    def uv(self, stdout: str, stderr: str, code: int = 0) -> None:
        """What uv says, and how it ends; how it is called is kept."""
        for name, text in (("stdout", stdout), ("stderr", stderr)):
            (self.folder / name).write_text(text)
        program = self.folder / "bin" / "uv"
        program.write_text(
            f'#!/bin/sh\ncd "{self.folder}"\necho "$*" >>called\ncat stderr >&2\ncat stdout\nexit {code}\n'
        )
        program.chmod(0o755)

    def run(self, step: dict[str, Any], **env: str) -> subprocess.CompletedProcess[str]:
        """Run a step's script by bash; of the options that GitHub gives it, none is relied on."""
        script = self.folder / "script"
        script.write_text(step["run"])
        given = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        return subprocess.run(["bash", str(script)], env={**given, **env}, capture_output=True, text=True, timeout=60)

    @property
    def called(self) -> list[str]:
        """With what uv was called."""
        return (self.folder / "called").read_text().splitlines()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A machine on which nothing has run."""
    return Runner(tmp_path)


def test_it_runs_for_main_and_pull_requests(workflow: dict[Any, Any]) -> None:
    """And each of its jobs for one of them; pull_request_target would give a stranger's code our secrets."""
    assert workflow[True] == {"push": {"branches": ["main"]}, "pull_request": None}
    conditions = {name: job["if"] for name, job in workflow["jobs"].items()}
    assert conditions == {
        "plan": "github.event_name == 'pull_request'",
        "compare": (
            "github.event_name == 'pull_request' && vars.GCP_READER_SERVICE_ACCOUNT != '' "
            "&& github.event.pull_request.head.repo.full_name == github.repository"
        ),
        "comment": "needs.compare.outputs.markdown != ''",
        "publish": "github.event_name == 'push'",
    }
    assert workflow["jobs"]["comment"]["needs"] == "compare"


def test_it_may_do_the_least(workflow: dict[Any, Any]) -> None:
    """Read; and only where it needs the registry, prove who it is. No later step finds the token of the checkout.

    What writes to a pull request has none of its code, and no account.
    """
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["plan"]
    for job in ("publish", "compare"):
        assert workflow["jobs"][job]["permissions"] == {"contents": "read", "id-token": "write"}
    comment = workflow["jobs"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert not steps(workflow, "comment", "actions/")
    assert "uv" not in str(comment)
    assert "secrets." not in str(comment)
    for job in ("plan", "compare", "publish"):
        assert [step["with"]["persist-credentials"] for step in steps(workflow, job, "actions/checkout@")] == [False]


def test_a_pull_request_has_no_login(workflow: dict[Any, Any]) -> None:
    """Nor secrets, nor a step that calls anything but plan, nor a cache that others would find."""
    plan = workflow["jobs"]["plan"]
    assert "secrets." not in str(plan)
    assert "secrets." not in str(workflow["env"])
    assert not steps(workflow, "plan", "google-github-actions/")
    assert not steps(workflow, "plan", "actions/cache@")
    assert re.findall(r"invoke (?:-\S+ )*(\S+)", str(plan)) == ["plan"]


def test_a_pull_request_is_compared_by_an_account_of_its_own(workflow: dict[Any, Any]) -> None:
    """One that only reads: not the one that publishes, and without a key."""
    (login,) = steps(workflow, "compare", "google-github-actions/auth@")
    assert login["with"]["service_account"] == "${{ vars.GCP_READER_SERVICE_ACCOUNT }}"
    assert login["with"]["workload_identity_provider"] == "${{ vars.GCP_READER_IDENTITY_PROVIDER }}"
    assert "secrets." not in str(workflow["jobs"]["compare"])
    assert not steps(workflow, "compare", "actions/cache@")
    assert re.findall(r"invoke (?:-\S+ )*(\S+)", str(workflow["jobs"]["compare"])) == ["compare"]


def test_actions_are_pinned_by_major_version(workflow: dict[Any, Any]) -> None:
    """Each of them."""
    used = [step["uses"] for job in workflow["jobs"] for step in steps(workflow, job) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+", name)] == []


def test_two_pushes_take_turns(workflow: dict[Any, Any]) -> None:
    """Whatever they are called; none is cut short."""
    assert workflow["jobs"]["publish"]["concurrency"] == {"group": "publish", "cancel-in-progress": False}


def test_the_login_is_by_federation_or_by_key(workflow: dict[Any, Any]) -> None:
    """By the key only where no provider is set; never by both. It comes after the code, which would remove it."""
    federation, key = steps(workflow, "publish", "google-github-actions/auth@")
    assert federation["if"] == "vars.GCP_WORKLOAD_IDENTITY_PROVIDER != ''"
    assert federation["with"]["workload_identity_provider"] == "${{ vars.GCP_WORKLOAD_IDENTITY_PROVIDER }}"
    assert federation["with"]["service_account"] == "${{ vars.GCP_SERVICE_ACCOUNT }}"
    assert key["if"] == "vars.GCP_WORKLOAD_IDENTITY_PROVIDER == ''"
    assert key["with"]["credentials_json"] == "${{ secrets.GCP_SERVICE_ACCOUNT_KEY }}"
    assert "credentials_json" not in federation["with"]
    assert "workload_identity_provider" not in key["with"]
    order = [str(step.get("uses") or step.get("name")).partition("@")[0] for step in steps(workflow, "publish")]
    assert order.index("actions/checkout") < order.index("google-github-actions/auth") < order.index("Publish")


def test_the_login_leaves_the_work_tree_clean(tmp_path: Path) -> None:
    """Its file lies there, and would take the commit's tag from the image."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for args in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *args], check=True)
    (tmp_path / "gha-creds-0123456789abcdef.json").touch()
    found = revision(tmp_path)
    assert found
    assert found.is_clean


def test_caches_are_told_apart(workflow: dict[Any, Any]) -> None:
    """By what decides on the packages; a push keeps what it made, and finds what the last one did."""
    for job, action in (("publish", "actions/cache@"), ("plan", "actions/cache/restore@")):
        (cache,) = (step["with"] for step in steps(workflow, job, action))
        patterns = re.findall(r"'([^']+)'", cache["key"])
        assert all(any(ROOT.glob(pattern)) for pattern in patterns)
        assert {"bentofile.yaml", "src/**/requirements.txt"} == set(patterns)
        assert cache["key"] == cache["restore-keys"].strip() + "${{ github.sha }}"
        assert cache["path"].split() == ["~/.cache/bentoship/*", "!~/.cache/bentoship/scratch"]
        (uv,) = (step["with"] for step in steps(workflow, job, "astral-sh/setup-uv@"))
        assert uv["enable-cache"] is True
        assert (ROOT / uv["cache-dependency-glob"]).is_file()


@pytest.mark.parametrize(
    ("job", "step", "repository"),
    [
        ("publish", "Publish", "europe-west6-docker.pkg.dev/acme-123456/mlops"),
        ("compare", "Compare", "europe-west6-docker.pkg.dev/acme-123456/mlops"),
        ("plan", "Plan", ""),
    ],
)
def test_settings_are_understood(
    workflow: dict[Any, Any], tmp_path: Path, job: str, step: str, repository: str
) -> None:
    """Each of them, by the program that reads them."""
    given = {**workflow["env"], **named(workflow, job, step)["env"]}
    assert set(given) <= set(settings.KNOWN)
    filled = {k: re.sub(r"\$\{\{ vars\.(\w+) \}\}", lambda found: VARIABLES[found[1]], v) for k, v in given.items()}
    read = settings.load(tmp_path, filled)
    addresses = {"local": "", "google": read.google.host}
    assert (addresses.get(str(read.registry), str(read.registry)), read.image_tags) == (
        repository,
        ("latest", "{commit}"),
    )
    assert read.warnings == ()


def test_scripts_stop_at_the_first_failure(workflow: dict[Any, Any]) -> None:
    """By themselves, and hold no expression, whose value would be taken for code."""
    for job in workflow["jobs"]:
        scripts = [step["run"] for step in steps(workflow, job) if "run" in step]
        assert scripts
        assert all(script.startswith("set -euo pipefail\n") and "${{" not in script for script in scripts)


def test_publish_gives_the_outputs(workflow: dict[Any, Any], runner: Runner) -> None:
    """Those that the program writes by itself; tests/bentoship/commands/test_summary.py is about these."""
    runner.uv(f"{REPOSITORY}@{DIGEST}\n", "words\n")
    done = runner.run(named(workflow, "publish", "Publish"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{REPOSITORY}@{DIGEST}\n", "words\n")
    assert runner.called == ["run invoke publish"]
    given = workflow["jobs"]["publish"]["outputs"]
    assert given == {name: f"${{{{ steps.publish.outputs.{name} }}}}" for name in ("reference", "digest", "version")}
    image = Pushed(DIGEST, (), 0, 0)
    published = Published(image, (ImageReference.parse(f"{REPOSITORY}:latest"),))
    assert set(given) <= set(outputs_of(outputs(published, bento_in(runner.folder))))


@pytest.mark.parametrize("code", [1, 3, 130])
def test_a_failed_publish_fails(workflow: dict[Any, Any], runner: Runner, code: int) -> None:
    """With its exit code and its words, also when it had printed the reference; there is no output then."""
    runner.uv(f"{REPOSITORY}@{DIGEST}\n", "Error: Push: denied\n", code)
    done = runner.run(named(workflow, "publish", "Publish"))
    assert (done.returncode, done.stderr) == (code, "Error: Push: denied\n")
    assert not runner.output.exists()


def test_the_comparison_is_an_output(workflow: dict[Any, Any], runner: Runner) -> None:
    """Whatever is in it, and as many whole lines of it as a comment may have."""
    whole = "| m |\n| - |\nmarkdown<<EOF\nEOF\n::error::\n" + "\u00e9" * 29_000
    text = f"{whole}\n| `{'x' * 2000}` |\n"
    runner.uv(text, "words\n")
    done = runner.run(named(workflow, "compare", "Compare"))
    assert (done.returncode, done.stdout) == (0, "")
    assert runner.called == ["run invoke compare --markdown"]
    assert outputs_of(runner.output.read_text("utf-8")) == {"markdown": whole}
    assert workflow["jobs"]["compare"]["outputs"] == {"markdown": "${{ steps.compare.outputs.markdown }}"}


def test_nothing_to_compare_is_no_failure(workflow: dict[Any, Any], runner: Runner) -> None:
    """Such as before anything is promoted: there is a warning, and no comment."""
    runner.uv("", "Error: nothing is promoted\n", 1)
    done = runner.run(named(workflow, "compare", "Compare"))
    assert (done.returncode, done.stderr) == (0, "Error: nothing is promoted\n")
    assert done.stdout.startswith("::warning::")
    assert not runner.output.exists()


@pytest.mark.parametrize(
    ("earlier", "called"),
    [("", "POST repos/acme/planets/issues/7/comments"), ("12\n34\n", "PATCH repos/acme/planets/issues/comments/34")],
)
def test_the_comment_of_an_earlier_run_is_replaced(
    workflow: dict[Any, Any], runner: Runner, earlier: str, called: str
) -> None:
    """The last one of this workflow; without one there is a new one. Its text is data, whatever is in it."""
    gh = runner.folder / "bin" / "gh"
    gh.write_text(f'#!/bin/sh\ncd "{runner.folder}"\n[ "$2" = --method ] && echo "$*" >>called || cat earlier\n')
    gh.chmod(0o755)
    (runner.folder / "earlier").write_text(earlier)
    text = "`$(id)` \\n ${HOME} %s\n| a |"
    env = {"GH_TOKEN": "x", "GH_REPO": "acme/planets", "NUMBER": "7", "MARKDOWN": text}
    step = named(workflow, "comment", "Comment")
    assert set(step["env"]) == set(env)
    done = runner.run(step, **env)
    assert done.returncode == 0, done.stderr
    assert runner.called == [f"api --method {called} --field body=@{runner.folder}/comment"]
    assert (runner.folder / "comment").read_text() == f"<!-- bentoship compare -->\n\n{text}\n"


def test_a_plan_is_shown(workflow: dict[Any, Any], runner: Runner) -> None:
    """In the log and in the summary."""
    runner.uv("push            ~98 MB to send\n", "of no interest\n")
    done = runner.run(named(workflow, "plan", "Plan"))
    assert (done.returncode, done.stdout) == (0, "push            ~98 MB to send\n")
    assert runner.called == ["run invoke plan"]
    assert runner.summary.read_text() == "### Would be published\n\n```text\npush            ~98 MB to send\n```\n"


def test_a_failed_plan_fails(workflow: dict[Any, Any], runner: Runner) -> None:
    """And is not shown as one."""
    runner.uv("", "Error: …\n", 1)
    assert runner.run(named(workflow, "plan", "Plan")).returncode == 1
    assert not runner.summary.exists()
