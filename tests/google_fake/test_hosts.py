"""Google's own host names, led to the stand-in: clients with nothing set but proxy and certificate."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from bentoship.system.network import network_settings
from tests.support.google import Google, hosts
from tests.support.images import put_image

PROGRAM = """
import google.auth
from google.cloud.artifactregistry_v1 import ArtifactRegistryClient
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
client = ArtifactRegistryClient(credentials=credentials, transport="rest")
for found in client.list_repositories(parent=f"projects/{project}/locations/europe-west6", timeout=10):
    print(project, found.name)
"""


def key(google: Google, path: Path) -> Path:
    """Of a service account."""
    return google.service_account_key(path, origin=hosts.ORIGIN)


def user(google: Google, path: Path) -> Path:
    """Of somebody who logged in with gcloud."""
    google.allow("student@example.com")
    return google.authorized_user(path)


def job(google: Google, path: Path) -> Path:
    """Of a job of GitHub's."""
    return google.external_account(path, origin=hosts.ORIGIN)


@pytest.mark.parametrize("kind", [key, user, job])
def test_clients_find_it_as_they_find_google(
    google: Google, tmp_path: Path, kind: Callable[[Google, Path], Path]
) -> None:
    """With application default credentials of each kind, and no address set."""
    name = google.add_repository().name
    own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    own["GOOGLE_APPLICATION_CREDENTIALS"] = str(kind(google, tmp_path / "credentials.json"))
    if kind is user:
        own["GOOGLE_CLOUD_PROJECT"] = google.project.id
    with google.as_itself() as environment:
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, env={**own, **environment}, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{google.project.id} {name}\n", done.stderr


def test_images_are_pushed_to_the_location_in_the_hosts_name(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TLS; the address of a download is on the same host."""
    google.add_repository(location="us-central1")
    host = "us-central1-docker.pkg.dev"
    reference = ImageReference.parse(f"{host}/{google.project.id}/{google.repository}/x")
    with google.as_itself() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        user = Credentials("oauth2accesstoken", google.token())
        store = RegistryStore(reference, user, push=True, session=Session(network_settings()))
        image = put_image(store)
        with store.open(image) as manifest:
            assert manifest.read()
    assert google.count("PUT", "^/artifacts-uploads/") == 3
