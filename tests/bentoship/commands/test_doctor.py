"""What doctor finds, on machines of several kinds."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentoship.commands.doctor import show
from bentoship.commands.examination import Finding
from tests.support.bento import edit
from tests.support.cache import needs_apt, with_packages
from tests.support.golden import golden
from tests.support.site import Site, abandon, echo_site
from tests.support.slow import cases


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A project and a user who has nothing."""
    cache = tmp_path / "cache"
    (cache / "bentoship").mkdir(parents=True)
    with_packages(cache / "bentoship")
    return echo_site(tmp_path / "site", cache, DOCKER_HOST=f"unix://{tmp_path}/none.sock")


@pytest.fixture
def built(site: Site) -> Site:
    """The same, where the Bento is built already: no service is to be imported."""
    (site.folder / "echo.bento").touch()
    return replace(site, settings={**site.settings, "BENTO": "echo.bento"})


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def examine(site: Site, code: int, **settings: str) -> dict[str, dict[str, Any]]:
    """What it finds of each thing, with the exit code that goes with it; the last of several findings."""
    done = site.invoke("doctor", "--json", **settings)
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ready_to_publish"] is (code == 0)
    return {finding["subject"]: finding for finding in told["findings"]}


def test_each_thing_has_a_line(site: Site) -> None:
    """In words: what it is, and what to do where something is amiss; nothing is left but a cache."""
    before = sorted(site.folder.rglob("*"))
    done = site.invoke("doctor")
    for subject in (
        "settings",
        "python",
        "bentoml",
        "uv",
        "bentofile",
        "git",
        "docker",
        "podman",
        "disk",
        "cache",
        "registry",
        "service",
        "base",
    ):
        assert f"\n{subject} " in f"\n{done.stdout}"
    assert "Traceback" not in done.stderr
    assert [path.name for path in site.cache.iterdir()] == ["bentoship"]
    assert not list(site.home.iterdir())
    assert sorted(site.folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["doctor.txt", "doctor.json"])
def test_what_was_found_in_full(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing on a line, below it what to do about it, and the verdict last; the same in a document."""
    findings = [
        Finding("settings", "ok", "REGISTRY=local, BACKEND=direct"),
        Finding("docker", "missing", "no engine at unix:///none.sock", "Start it.\nOr set DOCKER_HOST."),
        Finding("registry", "problem", "port 5000 is in use by a program", "Set a free port.", stops_publish=True),
    ]
    assert not show(findings, as_json=name.endswith("json"))
    assert capsys.readouterr().out == golden(name)


def test_a_reader_may_go(built: Site) -> None:
    """As head does: that is the end, without a word, with the exit code of a broken pipe."""
    assert abandon(built.start("doctor")) == (141, "")


def test_findings_for_programs(built: Site) -> None:
    """An engine that is not there stops nothing unless it is needed."""
    docker = examine(built, code=0)["docker"]
    assert (docker["state"], docker["stops_publish"]) == ("missing", False)
    assert "none.sock" in docker["text"]
    assert docker["hint"]
    for needing in ({"LOAD_IMAGE": "1"}, {"BACKEND": "docker"}):
        docker = examine(built, code=1, **needing)["docker"]
        assert (docker["state"], docker["stops_publish"]) == ("problem", True)
        assert "Only BACKEND=docker" not in docker["hint"]


LIMITS = {
    limit or "the default": (limit, expected)
    for limit, expected in (("500 MB", "at most 500.0 MB"), ("", "at most 20.0 GB"), ("off", "CACHE_LIMIT is off"))
}


@pytest.mark.parametrize(("limit", "expected"), cases(LIMITS, "500 MB"))
def test_the_cache_is_told_with_its_limit(built: Site, limit: str, expected: str) -> None:
    """What lies there to be used again; what images have, too, takes no room of its own."""
    blobs = built.cache / "bentoship" / "layers" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (blobs / "free").write_bytes(bytes(1500))
    (blobs / "held").write_bytes(bytes(500))
    (built.folder / "image").hardlink_to(blobs / "held")
    found = examine(built, code=0, CACHE_LIMIT=limit)["cache"]
    assert (found["state"], found["text"]) == ("ok", f"1.5 kB of layers besides the projects' images, {expected}")


def test_all_mistakes_in_settings_are_found(site: Site) -> None:
    """Each for itself, and the rest is looked at all the same."""
    done = site.invoke("doctor", BACKEND="magic", LOCAL_REGISTRY_PORT="x")
    assert done.returncode == 1
    assert "BACKEND is 'magic'" in done.stdout
    assert "LOCAL_REGISTRY_PORT is 'x'" in done.stdout
    assert "python          ok" in done.stdout


def test_a_mistake_stays_in_one_piece(site: Site) -> None:
    """A finding tells the whole of it, whatever it holds."""
    settings = examine(site, code=1, BACKEND="docker", PLATFORMS="linux/amd64,linux/arm64")["settings"]
    assert settings["text"].startswith("PLATFORMS names several")
    assert "BACKEND=direct makes both" in settings["text"]


def test_a_broken_file_is_a_finding(site: Site) -> None:
    """The line that is wrong, and no traceback."""
    (site.folder / ".env").write_text("what is this\n", "utf-8")
    found = examine(site, code=1)
    assert "line 1" in found["settings"]["text"]
    (site.folder / ".env").unlink()
    (site.folder / "bentofile.yaml").write_text("service: [", "utf-8")
    assert "YAML" in examine(site, code=1)["bentofile"]["text"]


def test_an_empty_path_is_survived(site: Site) -> None:
    """Without any program there is no local registry to be had."""
    found = examine(site, code=1, PATH="")
    missing = {name for name, finding in found.items() if finding["state"] == "missing"}
    assert {"git", "podman", "apt", "registry"} <= missing


def test_a_taken_port_is_found(built: Site) -> None:
    """Which one, and what to set."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        registry = examine(built, code=1, LOCAL_REGISTRY_PORT=str(port))["registry"]
    assert f"port {port} is in use" in registry["text"]
    assert "LOCAL_REGISTRY_PORT" in registry["hint"]


def test_an_account_is_named_without_its_secret(built: Site) -> None:
    """Whose it is and where it was found; a registry that does not answer stops publishing."""
    docker = built.home / ".docker"
    docker.mkdir()
    (docker / "config.json").write_text('{"auths": {"127.0.0.1:9": {"auth": "YWxpY2U6c2VjcmV0LXdvcmQ="}}}', "utf-8")
    done = built.invoke("doctor", REGISTRY="127.0.0.1:9/team")
    assert done.returncode == 1
    assert "alice" in done.stdout
    assert "secret-word" not in done.stdout + done.stderr
    assert "Reach the registry 127.0.0.1:9" in done.stdout


def test_a_silent_registry_does_not_hold_it_up(built: Site) -> None:
    """One that takes the connection and says nothing: all checks but that of the service end within seconds."""
    began = time.monotonic()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        found = examine(built, code=0, REGISTRY=f"127.0.0.1:{port}/team")
    assert "no response within" in found["registry"]["text"]
    assert time.monotonic() - began < 15  # far less where nothing else runs


@pytest.mark.slow
def test_a_slow_import_is_no_fault(site: Site) -> None:
    """Publishing waits for it, and the doctor does not, unless packages have to be installed."""
    (site.folder / "bentofile.yaml").write_text("service: late:Late\n", "utf-8")
    (site.folder / "late.py").write_text("import time\ntime.sleep(300)\n", "utf-8")
    service = examine(site, code=0)["service"]
    assert (service["state"], service["text"]) == (
        "ok",
        "importing it and locking its packages takes longer than 60 s; publish waits for it",
    )


FAILING = {
    "an error of its own": (
        "raise ValueError('no')",
        "attrs",
        "Build the Bento: ValueError: no (service.py, line 2)",
        "with the packages of",
    ),
    "a package that it does not require": (
        "import toolz",
        "attrs",
        "Build the Bento: ModuleNotFoundError: No module named 'toolz' (service.py, line 2)",
        "Add the package with toolz to its requirements. It was imported in an environment of Python 3",
    ),
    "a variable that is not set": (
        "import os; os.environ['SERVICE_KEY']",
        "attrs",
        "Build the Bento: KeyError: 'SERVICE_KEY' (service.py, line 2)",
        "set SERVICE_KEY and BUILD_ENV=SERVICE_KEY, or give it a value in envs of bentofile.yaml",
    ),
    "a package that does not exist": (
        "",
        "attrs==99",
        "Lock the Bento's Python packages for linux/amd64, Python 3.11: there is no version of attrs==99",
        "Check its requirements",
    ),
}


@pytest.mark.parametrize(("line", "package", "text", "hint"), cases(FAILING, "an error of its own"))
def test_a_service_that_cannot_be_published_is_a_problem(
    site: Site, line: str, package: str, text: str, hint: str
) -> None:
    """In the words in which publish reports it."""
    edit(site.folder / "bentofile.yaml", "  lock_packages: false\n", "")
    edit(site.folder / "service.py", "import bentoml\n", f"import bentoml\n{line}\n")
    edit(site.folder / "more.txt", "attrs>=25", package)
    service = examine(site, code=1)["service"]
    assert (service["state"], service["stops_publish"]) == ("problem", True)
    assert service["text"].startswith(text)
    assert hint in service["hint"]


@pytest.mark.slow
def test_packages_are_installed_to_import_a_service(site: Site) -> None:
    """In an environment, of which publish makes no other; progress is shown beside the findings."""
    edit(site.folder / "more.txt", "attrs>=25", "toolz")
    edit(site.folder / "service.py", "import bentoml\n", "import bentoml\nimport toolz\n")
    done = site.invoke("doctor", "--json")
    service = {finding["subject"]: finding["text"] for finding in json.loads(done.stdout)["findings"]}["service"]
    assert service.startswith("imported in an environment of Python 3")
    assert "importing the service and locking its packages" in done.stderr
    again = site.invoke("build").stderr
    assert "installing" not in again
    assert service.removeprefix("imported in ") in again


def test_what_needs_a_dockerfile_is_a_problem(site: Site) -> None:
    """But with BACKEND=docker, which builds with one."""
    edit(site.folder / "bentofile.yaml", "docker:\n", "docker:\n  system_packages: [git]\n")
    found = examine(site, code=1)
    assert "without a Dockerfile: docker.system_packages (git)" in found["service"]["text"]
    assert "base" not in found
    done = site.invoke("doctor", BACKEND="docker")
    assert "without a Dockerfile" not in done.stdout
    assert "\nbase " not in done.stdout


ABSENT = "127.0.0.1:9/python:3.11"
"""A base at a port where nothing listens."""


def test_a_base_out_of_reach_is_a_problem(site: Site) -> None:
    """For the platform that lacks it, with what to do."""
    base = examine(site, code=1, BASE_IMAGE=ABSENT)["base"]
    assert (base["state"], base["stops_publish"]) == ("problem", True)
    assert base["text"].startswith(f"Get the base {ABSENT} for linux/amd64: ")
    assert "BASE_IMAGE=debian" in base["hint"]


@pytest.mark.slow
@needs_apt
def test_a_base_is_reported_as_by_a_plan(site: Site) -> None:
    """Which one and why, or why there is none."""
    assert examine(site, code=0)["base"]["text"] in site.invoke("plan").stdout
    absent = examine(site, code=1, BASE_IMAGE=ABSENT)["base"]
    assert f"{absent['text']}\n" in site.invoke("plan", BASE_IMAGE=ABSENT, RETRY_SECONDS="0").stderr


@pytest.mark.slow
def test_it_can_be_stopped_while_it_imports_the_service(site: Site) -> None:
    """As any other task: with one sentence, and nothing left running or lying about."""
    marker = site.folder.parent / "running"
    code = f"import os, pathlib, time\npathlib.Path({str(marker)!r}).write_text(str(os.getpid()))\ntime.sleep(60)\n"
    edit(site.folder / "service.py", "import bentoml\n", f"{code}import bentoml\n")
    running = site.start("doctor")
    until(lambda: marker.is_file() and marker.read_text("utf-8") != "")
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert (running.returncode, stdout) == (130, "")
    assert "Stopped." in stderr
    assert "Traceback" not in stderr
    until(lambda: not Path("/proc", marker.read_text("utf-8")).exists())
    assert not list((site.cache / "bentoship" / "scratch").iterdir())


def test_what_the_settings_point_to_has_to_exist(site: Site) -> None:
    """A Bento that is built already, the module of the service, and the request that verify sends."""
    built = examine(site, code=1, BENTO="absent:1")["bentofile"]
    assert "absent:1 is not in the Bento store" in built["text"]
    assert "BENTO_SERVICE is 'absent:X'" in examine(site, code=1, BENTO_SERVICE="absent:X")["settings"]["text"]
    (site.folder / "echo.bento").touch()
    request = examine(site, code=0, VERIFY_REQUEST="absent.yaml", BENTO="echo.bento")["folders"]
    assert "no such file" in request["text"]


def test_places_that_cannot_be_written_to_stop_a_publish(built: Site) -> None:
    """Each names the setting that moves it, or the project."""
    (built.folder / "file").touch()
    below = str(built.folder / "file" / "below")
    stores = examine(built, code=1, BENTOML_HOME=below)["folders"]
    assert (stores["text"], stores["hint"]) == (
        f"{built.folder / 'file'} is no folder",
        "Make it writable, or set BENTOML_HOME to another folder.",
    )
    assert "XDG_CACHE_HOME" in examine(built, code=1, XDG_CACHE_HOME=below)["disk"]["hint"]
    (built.folder / ".bentoship").touch()
    assert "project's folder" in examine(built, code=1)["folders"]["hint"]
