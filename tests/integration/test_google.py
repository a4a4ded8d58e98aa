"""`invoke publish` to Google Artifact Registry, on the stand-in for Google Cloud, as people run it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cache import needs_apt, of_run
from tests.support.google import Google
from tests.support.site import ROOT, Site, echo_site, shared_cache

pytestmark = needs_apt


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    """Google Cloud, with nothing in it and no API for images enabled."""
    with Google(tmp_path / "google") as google:
        yield google


@pytest.fixture
def site(tmp_path: Path, google: Google, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Site:
    """A project whose .env is filled in from .env.example."""
    cache = shared_cache(tmp_path_factory.mktemp("caches"), of_run(tmp_path_factory, worker_id))
    site = echo_site(tmp_path / "site", cache)
    lines = [f"{name}={value}\n" for name, value in google.environment.items()]
    (site.folder / ".env").write_text("".join(lines), "utf-8")
    return site


def test_publishing_twice(site: Site, google: Google) -> None:
    """The first time makes all there is to make; the second changes nothing, in few calls. Google lists the image."""
    first = site.invoke("publish")
    assert first.returncode == 0, first.stderr
    assert "Enabled artifactregistry" in first.stderr
    assert "Created the repository" in first.stderr
    assert first.stdout.startswith(f"{google.docker_host}/{google.project.id}/{google.repository}/")
    before, uploads = len(google.calls), google.count("PUT", "uploads")
    second = site.invoke("publish")
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    calls = [call.rpartition(".")[2] for call in google.calls[before:]]
    assert calls == ["GetService", "GetRepository", "TestIamPermissions"]
    assert google.count("PUT", "uploads") == uploads
    (listed,) = json.loads(site.invoke("versions", "--all", "--json").stdout)
    assert listed["repository"] == first.stdout.partition("@")[0]
    assert [version["digest"] for version in listed["versions"]] == [first.stdout.strip().partition("@")[2]]


def test_doctor_asks_google(site: Site, google: Google) -> None:
    """It tells what publish would make, and what it could not; it changes nothing."""
    done = site.invoke("doctor")
    assert re.search(r"^google +ok +artifactregistry.googleapis.com is not enabled", done.stdout, re.MULTILINE)
    assert (done.returncode, google.state.repositories) == (0, {})
    google.add_repository()
    assert re.search(rf"^google +ok +{google.account} may push", site.invoke("doctor").stdout, re.MULTILINE)
    google.deny(google.account, "artifactregistry.repositories.uploadArtifacts")
    done = site.invoke("doctor")
    assert done.returncode == 1
    assert "roles/artifactregistry.writer" in done.stdout


def test_lists_for_people_and_programs(site: Site, google: Google) -> None:
    """Tables, or JSON on stdout; a misspelt location gets its near miss."""
    google.add_repository()
    assert google.project.id in site.invoke("projects").stdout
    listed = json.loads(site.invoke("locations", "--json").stdout)
    assert {"europe-west6", "us"} <= {one["location"] for one in listed}
    wrong = site.invoke("locations", GCP_CONTAINER_REGISTRY_LOCATION="europe-wset6")
    assert "did you mean europe-west6?" in wrong.stderr


def test_no_credentials_at_all(site: Site, google: Google) -> None:
    """Every way to get some is named, and nothing is built."""
    done = site.invoke("publish", GOOGLE_APPLICATION_CREDENTIALS="", NO_GCE_CHECK="true")
    assert done.returncode == 1
    assert "GOOGLE_APPLICATION_CREDENTIALS" in done.stderr
    assert "Traceback" not in done.stderr
    assert "build" not in done.stderr


def test_an_error_is_all_that_is_said(site: Site, google: Google) -> None:
    """No library of Google's tells of a failure by itself."""
    done = site.invoke("services", GCP_API_ENDPOINT=google.api_endpoint.replace("http:", "https:"))
    first, second = done.stderr.splitlines()
    assert first.endswith("speaks HTTP, not TLS")
    assert second.startswith("Check GCP_API_ENDPOINT")
    assert (done.returncode, done.stdout) == (1, "")


def test_googles_modules_are_imported_by_its_tasks_alone() -> None:
    """A local publish, and the list of tasks, do without."""
    imported = "import sys, tasks, bentoship.commands.publish"
    code = f"{imported}; print({{m.split('.')[0] for m in sys.modules}} & {{'google', 'grpc'}})"
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
