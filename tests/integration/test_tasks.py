"""The tasks, run as people run them, against a real local registry."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.cache import needs_apt
from tests.support.github import outputs_of
from tests.support.site import ROOT, Site, echo_site
from tests.support.slow import cases

pytestmark = needs_apt

REFERENCE = re.compile(r"localhost:\d+/bentoship/echo@sha256:[0-9a-f]{64}\n")


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project of a user who has published nothing yet."""
    return echo_site(tmp_path, cache)


def tags(reference: str) -> set[str]:
    """The tags that a registry has for the repository of a reference."""
    host, _, path = reference.partition("@")[0].partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{path}/tags/list", timeout=10) as answer:
        return set(json.load(answer)["tags"])


def test_publish_prints_the_reference_alone(site: Site) -> None:
    """Stdout is one line that names the image by digest; the registry has it under its tags."""
    done = site.invoke("publish")
    assert done.returncode == 0, done.stderr
    assert REFERENCE.fullmatch(done.stdout)
    assert "docker run" in done.stderr
    version = re.search(r"echo:([0-9a-f]{16}) is built", done.stderr)
    assert version
    assert {"latest", version[1]} <= tags(done.stdout.strip())


@pytest.mark.slow
def test_a_step_of_github_gets_outputs_and_a_summary(site: Site, tmp_path: Path) -> None:
    """Of what was published, below what is there; stdout is the same as anywhere."""
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = site.invoke("publish", **files)
    assert done.returncode == 0, done.stderr
    assert REFERENCE.fullmatch(done.stdout)
    outputs = outputs_of((tmp_path / "output").read_text())
    assert outputs["reference"] == done.stdout.strip() == f"{outputs['image']}@{outputs['digest']}"
    assert outputs["tags"].split("\n") == ["latest", outputs["version"]]
    assert {*outputs["tags"].split("\n")} <= tags(outputs["reference"])
    summary = (tmp_path / "summary").read_text()
    assert f"- digest: `{outputs['digest']}`" in summary
    assert f"docker run --rm -p 3000:3000 {outputs['reference']}" in summary
    assert "| sent | `source echo:" in summary
    again = site.invoke("publish", GITHUB_OUTPUT=str(tmp_path), GITHUB_STEP_SUMMARY=files["GITHUB_STEP_SUMMARY"])
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
    assert f"{tmp_path} was not written: Is a directory" in again.stderr
    assert (tmp_path / "summary").read_text().count("### Published") == 2


def test_publish_again_does_nothing_again(site: Site) -> None:
    """The second time nothing is built or sent, and the digest is the same; in a subfolder, too."""
    first = site.invoke("publish")
    again = site.below("data").invoke("publish")
    assert again.stdout == first.stdout
    assert "is up to date" in again.stderr
    assert "sent 0 B" in again.stderr


def test_one_line_of_source_sends_one_small_layer(site: Site) -> None:
    """After a change of the source, base, packages and models are there already."""
    first = site.invoke("publish")
    (site.folder / "service.py").open("a").write("\n# changed\n")
    again = site.invoke("publish")
    assert again.stdout != first.stdout
    sent = re.search(r"sent ([\d.]+) kB, [\d.]+ MB already existed", again.stderr)
    assert sent, again.stderr
    assert float(sent[1]) < 64


def test_steps_together_are_done_once(site: Site) -> None:
    """`invoke build push` builds once and prints one line."""
    done = site.invoke("build", "push", "publish")
    assert done.returncode == 0, done.stderr
    assert REFERENCE.fullmatch(done.stdout)
    assert done.stderr.count("is built") == 1


def test_each_step_takes_along_what_it_needs(site: Site) -> None:
    """`invoke containerize` builds first, leaves a layout that names the image, and prints nothing on stdout."""
    done = site.invoke("containerize")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    index = json.loads((site.folder / ".bentoship" / "image" / "index.json").read_text("utf-8"))
    digest = re.search(r"sha256:[0-9a-f]{64}", done.stderr)
    assert digest
    assert [manifest["digest"] for manifest in index["manifests"]] == [digest[0]]


def test_plan_tells_and_does_nothing(site: Site) -> None:
    """Before and after publishing it tells what would be sent; `--dry publish` is the same, and leaves no trace."""
    before = site.invoke("plan")
    assert before.returncode == 0, before.stderr
    assert "would be built" in before.stdout
    assert not (site.folder / ".bentoship").exists()
    assert not list((site.home / "bentoml" / "bentos").glob("*/*/bento.yaml"))
    dry = site.invoke("--dry", "publish")
    assert dry.stdout == before.stdout
    published = site.invoke("publish")
    assert published.returncode == 0
    after = site.invoke("plan")
    assert "is up to date" in after.stdout
    assert re.search(r"push +0 B to send", after.stdout)
    assert "new" not in after.stdout
    planned = re.findall(r"^ +([\d.]+ k?M?B) +present +(.+)$", after.stdout, re.MULTILINE)
    real = re.findall(r"^ +([\d.]+ k?M?B) +\w+ +(.+)$", published.stderr, re.MULTILINE)
    assert planned == real


def test_a_task_is_listed_with_its_line(site: Site) -> None:
    """Every task has a word on what it does."""
    done = site.invoke("--list")
    names = re.findall(r"^  ([a-z-]+)(?: \([^)]*\))?   ? *(\S.*)$", done.stdout, re.MULTILINE)
    expected = {"enable-api", "create-registry", "auth", "build", "containerize", "tag", "push", "publish", "plan"}
    expected |= {"services", "projects", "locations", "stop-registry", "clean", "verify", "doctor", "versions"}
    expected |= {"compare", "promote", "rollback", "catalog", "manifest", "resolve"}
    assert expected == {name for name, _ in names}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert all(f"`{name}`" in readme for name, _ in names)


def test_an_option_for_the_registry_never_cleans_this_machine(site: Site) -> None:
    """It says which one is missing instead."""
    done = site.invoke("clean", "--others", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Clean the registry: nothing says which versions may go" in done.stderr


def test_the_registry_runs_on_and_stops(tmp_path: Path, cache: Path) -> None:
    """`stop-registry` ends it, what it holds is there after the next start, and stopping twice is no mistake."""
    site = echo_site(tmp_path / "site", cache)
    first = site.invoke("publish")
    assert "stopped" in site.invoke("stop-registry").stderr
    assert "is not running" in site.invoke("stop-registry").stderr
    planned = site.invoke("plan")
    assert re.search(r"push +0 B to send", planned.stdout), planned.stdout
    again = site.invoke("publish")
    assert (again.stdout, "sent 0 B" in again.stderr) == (first.stdout, True)


@pytest.mark.parametrize(
    ("after", "how", "code"),
    cases(
        {
            f"{name} in {after}": (after, how, code)
            for name, how, code in (("SIGINT", signal.SIGINT, 130), ("SIGTERM", signal.SIGTERM, 143))
            for after in ("build", "containerize", "push")
        },
        "SIGINT in build",
        "SIGTERM in containerize",
        "SIGINT in push",
    ),
)
def test_a_signal_ends_it_cleanly(site: Site, after: str, how: signal.Signals, code: int) -> None:
    """Ctrl-C and SIGTERM end publish at once, without a traceback, and the next run ends well."""
    (site.folder / "data" / "large.bin").write_bytes(b"".join(bytes([i % 251]) * 4099 for i in range(9000)))
    running = site.start("publish")
    assert running.stderr
    for line in running.stderr:
        if line.startswith({"build": "auth", "containerize": "build", "push": "containerize"}[after]):
            break
    began = time.monotonic()
    running.send_signal(how)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code, err
    assert time.monotonic() - began < 10
    assert out == ""
    assert "Traceback" not in err
    assert "Stopped" in err
    assert REFERENCE.fullmatch(site.invoke("publish").stdout)


def test_an_image_is_taken_for_a_base(site: Site) -> None:
    """BASE_IMAGE names an image in a registry; its layers are taken over, and found there the next time."""
    first = site.invoke("publish")
    base = first.stdout.strip()
    done = site.invoke("publish", BASE_IMAGE=base, IMAGE_NAME="echo/again")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"localhost:\d+/bentoship/echo/again@sha256:[0-9a-f]{64}\n", done.stdout)
    assert done.stdout.partition("@")[2] != first.stdout.partition("@")[2]
    assert f"base {base}" in done.stderr
    again = site.invoke("publish", BASE_IMAGE=base, IMAGE_NAME="echo/again")
    assert again.stdout == done.stdout
    moving = base.partition("@")[0] + ":latest"
    named = site.invoke("publish", BASE_IMAGE=moving, IMAGE_NAME="echo/again")
    assert "may change; pin it" in named.stderr


def test_two_publishes_at_once_do_not_disturb_each_other(site: Site) -> None:
    """Both end well, with the same digest, and one registry runs."""
    running = [site.start("publish") for _ in range(2)]
    ended = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert len({out for out, _ in ended}) == 1


def test_a_taken_port_is_told(site: Site, tmp_path: Path) -> None:
    """Which port, which setting, and nothing is built."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = site.invoke("publish", LOCAL_REGISTRY_PORT=port, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port} is in use" in done.stderr
    assert "LOCAL_REGISTRY_PORT" in done.stderr
    assert "build" not in done.stderr.replace("is built", "")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"BACKEND": "magic", "PLATFORMS": "vax"}, ["BACKEND is 'magic'", "PLATFORMS is 'vax'"]),
        ({"BASE_IMAGE": "registry.invalid/base:1"}, ["registry.invalid", "BASE_IMAGE=debian"]),
        ({"REGISTRY": "registry.invalid/team"}, ["Reach the registry registry.invalid"]),
        (
            {"HTTPS_PROXY": "http://127.0.0.1:9", "REGISTRY": "ghcr.io/team", "RETRY_SECONDS": "1"},
            ["ghcr.io", "HTTPS_PROXY"],
        ),
    ],
)
def test_a_mistake_is_told_in_three_lines(site: Site, settings: dict[str, str], told: list[str]) -> None:
    """One clear error, exit code 1, nothing on stdout, no traceback."""
    done = site.invoke("publish", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    error = done.stderr[done.stderr.index("Error: ") :]
    assert all(part in error for part in told), error
    assert len(error.strip().splitlines()) <= 3


def test_a_misspelt_setting_in_the_file_is_told(site: Site) -> None:
    """A name in .env that is nearly one of ours is a warning: it may be the app's own."""
    (site.folder / ".env").write_text("BASE_IMGE=debian\nBENTOML_HOST=0.0.0.0\n", "utf-8")
    done = site.invoke("enable-api")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Unknown setting") == 1
    assert "Unknown setting BASE_IMGE; did you mean BASE_IMAGE?" in done.stderr


def test_a_wheel_that_is_missing_is_told(site: Site) -> None:
    """The package and the platform, before anything is sent."""
    (site.folder / "more.txt").write_text("no-such-package-anywhere==1.0\n", "utf-8")
    done = site.invoke("publish")
    assert done.returncode == 1
    error = done.stderr[done.stderr.index("Error: ") :]
    assert all(part in error for part in ("no-such-package-anywhere", "linux/amd64"))
    assert len(error.strip().splitlines()) <= 3


def test_a_bento_that_needs_a_dockerfile_is_refused(site: Site) -> None:
    """All reasons at once, and what would do."""
    bentofile = site.folder / "bentofile.yaml"
    text = bentofile.read_text("utf-8")
    more = "docker:\n  system_packages: [git]\n  setup_script: setup.sh\n"
    bentofile.write_text(text.replace("docker:\n", more), "utf-8")
    (site.folder / "setup.sh").write_text("#!/bin/sh\n", "utf-8")
    done = site.invoke("containerize", BASE_IMAGE="python:3.11-slim")
    assert done.returncode == 1
    error = done.stderr[done.stderr.index("Error: ") :]
    assert all(part in error for part in ("git", "setup_script", "BACKEND=docker"))


def test_nothing_published_after_a_failure(site: Site) -> None:
    """A change that does not build leaves the tag where it was."""
    first = site.invoke("publish")
    (site.folder / "service.py").write_text("import nothing_like_this\n", "utf-8")
    assert site.invoke("publish").returncode == 1
    host, _, path = first.stdout.partition("@")[0].partition("/")
    request = urllib.request.Request(f"http://{host}/v2/{path}/manifests/latest", method="HEAD")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Docker-Content-Digest"] == first.stdout.strip().partition("@")[2]
