"""What invoke is told of the tasks, and `bentoship` as a program."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import bentoship
from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support.site import Site, abandon, echo_site
from tests.support.versions import put_version

OWN_TASKS = """\
import sys

import bentoship.tasks
from invoke import Collection, task


@task
def greet(c):
    print("hello")


ns = Collection.from_module(sys.modules[__name__])
ns.add_collection(bentoship.tasks, name="ship")
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project, and a user who has nothing."""
    (tmp_path / "cache").mkdir()
    return echo_site(tmp_path / "site", tmp_path / "cache", DOCKER_HOST=f"unix://{tmp_path}/none.sock")


def program(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `bentoship` in a folder."""
    command = [sys.executable, "-m", "bentoship", *words]
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_program_says_its_version_and_lists_the_tasks(tmp_path: Path) -> None:
    """The version is that of the installed package; `init` is the program's own, and the rest are the tasks'."""
    assert program(tmp_path, "--version").stdout == f"bentoship {bentoship.__version__}\n"
    lines = program(tmp_path, "--list").stdout.splitlines()
    listed = {line.split()[0] for line in lines if line[2:3].isalpha()}
    assert {"init", "publish", "plan", "create-registry", "stop-registry"} <= listed
    assert [line for line in lines if line.startswith("   ")] == []  # each task has one line of 80 columns


def test_a_reader_may_go(tmp_path: Path) -> None:
    """As head does: that is the end, without a word, with the exit code of a broken pipe."""
    command = [sys.executable, "-m", "bentoship", "--list"]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert abandon(running) == (141, "")


@pytest.mark.parametrize("words", ["build", "no-such-task"])
def test_what_stderr_would_get_is_never_a_result(words: str, tmp_path: Path) -> None:
    """Where stderr is closed, Python prints on stdout instead, which a script takes for the image's name."""
    command = ["sh", "-c", f"exec {sys.executable} -m bentoship {words} 2>&-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_closed_stream_stays_closed_to_files(tmp_path: Path) -> None:
    """A file that is opened later never gets the number of a stream, for which others would write into it."""
    script = "import bentoship.tasks, sys; print(open('file', 'w').fileno(), file=open('/dev/fd/9', 'w'))"
    command = ["sh", "-c", f'exec {sys.executable} -c "{script}" 9>&1 <&- >&- 2>&-']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) > 2


def test_a_project_is_named_from_anywhere(site: Site, tmp_path: Path) -> None:
    """By the program and by invoke; pre-tasks are for the same projects, and the plans of several are one list."""
    other = tmp_path / "other"
    shutil.copytree(site.folder, other)
    (other / ".env").write_text("IMAGE_NAME=another\n", "utf-8")
    done = program(tmp_path, "plan", str(site.folder), "other", "--json", env=site.env)
    assert done.returncode == 0, done.stderr
    plans = [(plan["project"], plan["reference"].rpartition("/")[2]) for plan in json.loads(done.stdout)]
    assert plans == [("site/project", "echo"), ("other", "another")]
    dry = site.invoke("--dry", "build", "--project", str(other))
    assert (dry.returncode, dry.stdout.count("/another")) == (0, 1), dry.stderr


def test_a_rehearsal_says_what_the_task_would_do(site: Site, repository: ImageReference) -> None:
    """Of a promotion, if its conditions hold, and of what is no part of publishing; nothing is done."""
    place, _, name = str(repository).rpartition("/")
    store = RegistryStore(repository, push=True)
    put_version(store, 1, metrics={"accuracy": 0.9})
    settings = {"REGISTRY": f"http://{place}", "IMAGE_NAME": name}
    dry = site.invoke("--dry", "promote", "v1", "production", "--if", "accuracy > 0.8", **settings)
    assert re.fullmatch(r"would point production to sha256:\w+ \(v1\); there is no such tag yet\n", dry.stdout), dry
    refused = site.invoke("--dry", "promote", "v1", "production", "--if", "accuracy > 1", **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert store.digest_of("production") is None
    words = ["--dry", "promote", "v1", "production", "--if=accuracy > 0", str(site.folder)]
    again = program(site.folder.parent, *words, env={**site.env, **settings})
    assert again.stdout == dry.stdout, again.stderr
    for words, said in ((["verify"], "try it"), (["stop-registry"], "stop"), (["clean"], "remove caches")):
        assert said in site.invoke("--dry", *words, **settings).stdout


@pytest.mark.parametrize("task", ["push", "publish"])
def test_models_by_themselves_are_refused_before_anything_is_built(site: Site, task: str) -> None:
    """Where Docker builds one layer of them and the source."""
    done = site.invoke(task, "--model-artifact", BACKEND="docker")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Publish the models beside the image: BACKEND=docker builds one layer")
    assert not (site.folder / ".bentoship").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["plan", "./missing"], "Error: Open the project: there is no folder './missing'\n"),
        (["init", "--project", "missing"], "Error: Open the project: there is no folder 'missing'\n"),
        (["plan", "--project", ""], "Error: Open the project: there is no folder ''\n"),
        (["plan", ""], "No idea what '' is!\n"),
        (["plan", "--project"], "Flag --project needed value and was not given one!\n"),
        (["plan", "--project", "--why"], "Flag --project needed value and was not given one!\n"),
        (["plan", "--bento"], "Flag --bento needed value and was not given one!\n"),
        (
            ["promote", "v1", "production", "--if-better=x"],
            "Error: Read the command line: promote has no option --if-better\nDid you mean --if-better-than?\n",
        ),
        (
            ["plan", "--why", "biuld"],
            "Error: Read the command line: biuld is neither a task nor a folder\nDid you mean build?\n",
        ),
    ],
)
def test_a_folder_that_does_not_exist_is_no_project(words: list[str], complaint: str, tmp_path: Path) -> None:
    """Nor is one that was left out, such as an empty variable of a script: it is never the current folder instead."""
    done = program(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", complaint)
    assert not list(tmp_path.iterdir())


def test_the_current_folder_is_the_project(site: Site) -> None:
    """For the program; for invoke it is the one with tasks.py, and never that of the package."""
    inside = program(site.folder / "data", "plan", env=site.env)
    assert inside.returncode == 1
    assert "bentofile.yaml" in inside.stderr
    assert site.below("data").invoke("plan").returncode == 0


def test_all_services_are_projects(site: Site, tmp_path: Path) -> None:
    """Those in some folders and below are listed first; each has its own settings, and none at all is an error."""
    shutil.copytree(site.folder, tmp_path / "more" / "wrong")
    (tmp_path / "more" / "wrong" / ".env").write_text("BACKEND=magic\n", "utf-8")
    done = program(tmp_path / "more", "enable-api", "--all", "../site", ".", env=site.env)
    assert (done.returncode, done.stdout) == (1, "")
    listed = "projects        2 folders with a service\n                ../site/project\n                wrong\n"
    assert done.stderr.startswith(listed)
    assert "../site/project enable-api      The local registry has nothing to enable.\n" in done.stderr
    assert "wrong           Error: Read the settings from .env and the environment: BACKEND is 'magic'" in done.stderr
    nothing = program(site.home, "build", "--all", env=site.env)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("Error: Find the projects: no folder in . has a BentoML service\n")


def test_a_task_may_have_an_all_of_its_own(site: Site, repository: ImageReference, tmp_path: Path) -> None:
    """Such as all images, for which no folder is searched for services."""
    put_version(RegistryStore(ImageReference(repository.host, f"{repository.path}/image"), push=True), 1)
    env = {**site.env, "REGISTRY": f"http://{repository.host}/{repository.path}"}
    done = program(tmp_path, "versions", "--all", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert [one["repository"] for one in json.loads(done.stdout)] == [f"{repository.repository}/image"]


def test_anyones_tasks_run_for_several_projects(site: Site, tmp_path: Path) -> None:
    """As they are in the project's own tasks.py, with their pre-tasks and options; what does not allow it, in turn."""
    tasks = (
        "import os\n"
        "from bentoship.invoke_adapter import show, task\n"
        "@task\n"
        "def before(context):\n"
        "    print('before', end=' ')\n"
        "@task(pre=[before])\n"
        "def place(context, mark='', loud=False):\n"
        "    show(context, lambda folder: print(mark, loud, folder.name, os.environ['BENTOSHIP_BENTO']))\n"
        "@task(at_once=False)\n"
        "def process(context):\n"
        "    show(context, lambda folder: print(os.getpid() == int(os.environ['PARENT'])))\n"
    )
    (site.folder / "tasks.py").write_text(tasks, "utf-8")
    words = ["--project", "data", "--project", str(tmp_path), "--bento", "x:1"]
    done = site.invoke("place", "--mark", "a b", "--loud", *words)
    assert done.stdout == f"before a b True data x:1\nbefore a b True {tmp_path.name} x:1\n", done.stderr
    script = "import os, sys; os.environ['PARENT'] = str(os.getpid()); from invoke import main; main.program.run()"
    command = [sys.executable, "-c", script, "process", *words]
    alone = subprocess.run(command, cwd=site.folder, env=site.env, capture_output=True, text=True, check=True)
    assert alone.stdout == "True\nTrue\n"


def test_tasks_stand_beside_a_projects_own(site: Site) -> None:
    """As a collection of its tasks.py, with the same project and the same chain."""
    (site.folder / "tasks.py").write_text(OWN_TASKS, "utf-8")
    assert site.invoke("greet").stdout == "hello\n"
    planned = site.below("data").invoke("ship.plan", "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["reference"].endswith("/echo")
    assert "would be built" in site.invoke("--dry", "ship.push").stdout


def test_a_mistake_ends_with_one_message(tmp_path: Path) -> None:
    """Exit code 1, and no traceback, where a folder is no project."""
    done = program(tmp_path, "build")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["compare", "--json", "--markdown"], "--json and --markdown exclude each other"),
        (["versions", "--history", "production", "--sbom", "latest"], "--history and --sbom exclude each other"),
    ],
)
def test_options_may_exclude_each_other(words: list[str], complaint: str, tmp_path: Path) -> None:
    """None of them is passed over in silence."""
    done = program(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: Read the command line: {complaint}\nLeave one out.\n"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["promote", "v1", "production", "--if-better-than", "", "--yes"], "--if-better-than"),
        (["promote", "v1", "production", "--if", "a > 1", "--if", "--yes"], "--if"),
        (["promote", "v1", "production", "--if=a > 1", "--yes", "--if"], "--if"),
        (["promote", "", "production"], "version"),
        (["clean", "--registry", "--older-than", "30d", "--keep=", "--yes"], "--keep"),
        (["manifest", "--version", ""], "--version"),
        (["resolve", "-f", ""], "--file"),
        (["promote", "v1", "production", "--if", "--yes"], ""),
        (["resolve", "--file"], ""),
    ],
)
def test_an_option_without_a_value_is_not_left_out(words: list[str], option: str, tmp_path: Path) -> None:
    """Such as one whose variable a script has not set: a condition or a limit would not count."""
    done = program(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    if option:
        assert done.stderr.startswith(f"Error: Read the command line: {option} has no value\n")
    else:
        assert done.stderr.endswith("needed value and was not given one!\n")


def test_a_reason_may_be_empty(site: Site) -> None:
    """It is for people to read alone, and a script may have none."""
    done = site.invoke("--dry", "rollback", "a b", "--why", "")
    assert 'Error: Read the promoted name "a b": "a b" is not a valid tag' in done.stderr


def test_options_stand_for_settings(tmp_path: Path) -> None:
    """On any task they win over the environment; one that is given several times is a list."""
    (tmp_path / "service.py").write_text("", "utf-8")
    code = (
        "import os, sys\n"
        "from invoke.collection import Collection\n"
        "from invoke.program import Program\n"
        "from bentoship import invoke_adapter\n"
        "@invoke_adapter.task\n"
        "def shown(context):\n"
        "    print(os.environ['BENTOSHIP_BENTO_SERVICE'], os.environ['BENTOSHIP_BENTO_ARGS'])\n"
        "    print(os.environ['BENTOSHIP_OPTIONS'])\n"
        "Program(namespace=Collection(shown)).run(['x', 'shown', '--service', 'a:A', '--arg', 'b=1', '--arg', 'c=2'])\n"
    )
    env = {**os.environ, "BENTO_SERVICE": "z:Z", "BENTOSHIP_BENTO_SERVICE": "y:Y"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "a:A b=1,c=2\nBENTO_SERVICE=--service,BENTO_ARGS=--arg\n", done.stderr


def test_nothing_is_started_where_there_is_nothing_to_publish(tmp_path: Path) -> None:
    """An empty folder is noticed before the local registry is started for it."""
    done = program(tmp_path, "publish")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Find the service: ")
    assert "create-registry" not in done.stderr
