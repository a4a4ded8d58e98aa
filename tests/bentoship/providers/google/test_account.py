"""As whom Google is asked: each place that Google's own tools look in, and what goes wrong there."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.auth.compute_engine import _metadata

from bentoship.errors import CloudError
from bentoship.providers.google import GoogleRegistry
from bentoship.stores.registry import RegistryStore
from tests.support.google import Google, errors
from tests.support.google.tokens import principal

Provider = Callable[..., GoogleRegistry]
Place = Callable[[Google, Path, pytest.MonkeyPatch], str]
STUDENT = "student@example.com"


def key(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A service account's."""
    named(monkeypatch, google.service_account_key(folder / "key.json"))
    return f"{google.account} (from GOOGLE_APPLICATION_CREDENTIALS, {folder}/key.json)"


def login(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `gcloud auth application-default login` leaves in the home."""
    (folder / ".config/gcloud").mkdir(parents=True)
    google.authorized_user(folder / ".config/gcloud/application_default_credentials.json", STUDENT)
    return f"{STUDENT} (from gcloud auth application-default login)"


def job(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of GitHub's, which becomes a service account."""
    named(monkeypatch, google.external_account(folder / "job.json"))
    return f"{google.account} (from workload identity federation, GOOGLE_APPLICATION_CREDENTIALS"


def job_itself(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of GitHub's, which stays who it is."""
    named(monkeypatch, google.external_account(folder / "job.json", ""))
    google.allow(principal(google.project.number))
    return f"a member of //iam.googleapis.com/projects/{google.project.number}/locations/global/workloadIdentityPools/"


def machine(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine in Google Cloud."""
    google.state.machine_account = google.account
    served(google, monkeypatch)
    return f"{google.account} (from the metadata server of this machine)"


def gcloud(google: Google, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who is logged in to gcloud, and nowhere else."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    program(folder, monkeypatch, f'[ "$1" = config ] && echo {STUDENT} || echo {google.token(STUDENT)}')
    return f"{STUDENT} (from gcloud auth print-access-token)"


PLACES = [key, login, job, job_itself, machine, gcloud]


def named(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Have the file be the credentials."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))


def served(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a metadata server; google-auth reads its address when it is imported."""
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", google.machine_environment["GCE_METADATA_HOST"])
    monkeypatch.setenv("GCE_METADATA_IP", google.machine_environment["GCE_METADATA_IP"])


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a gcloud that does this."""
    (folder / "bin").mkdir()
    file = folder / "bin" / "gcloud"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


@pytest.fixture(autouse=True)
def _nobody(google: Google, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No credentials yet, and a repository that the student may push to; Google's own names lead to the stand-in."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "NO_GCE_CHECK"):
        monkeypatch.delenv(name, raising=False)
    google.allow(STUDENT)
    google.add_repository()
    with google.as_itself() as environment:
        for name in ("HTTPS_PROXY", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, environment[name])
        yield


@pytest.mark.parametrize("place", PLACES)
def test_each_kind_of_credentials_is_found(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    """Where it is, and whose they are, is told; the APIs and the registry take them."""
    who = place(google, tmp_path, monkeypatch)
    ours = provider()
    assert ours.login().startswith(who)
    RegistryStore(ours.repository("image"), ours.credentials, push=True).reach()


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        (key, "gcloud iam service-accounts keys create key.json --iam-account=publisher@"),
        (login, "gcloud auth application-default login"),
        (job, "Run the job again"),
        (machine, "scope cloud-platform"),
        (gcloud, "Log in again: gcloud auth login"),
    ],
)
def test_credentials_that_hold_no_more(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place, hint: str
) -> None:
    """The hint is for the place that they came from."""
    place(google, tmp_path, monkeypatch)
    refusal = errors.credentials_invalid("ACCESS_TOKEN_EXPIRED", "artifactregistry.googleapis.com", "GetRepository")
    google.faults.add("GetRepository", refusal)
    with pytest.raises(CloudError, match="invalid authentication") as caught:
        provider().create_registry()
    assert hint in caught.value.hint
    assert ("application-default" in caught.value.hint) == (place is login)


def test_the_role_is_given_to_the_pool_of_a_job_that_is_itself(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As IAM calls those that come by it, in quotes, since a shell takes the star for file names."""
    job_itself(google, tmp_path, monkeypatch)
    google.deny(principal(google.project.number), "artifactregistry.repositories.uploadArtifacts")
    with pytest.raises(CloudError, match="uploadArtifacts") as caught:
        provider().login()
    pool = f"projects/{google.project.number}/locations/global/workloadIdentityPools/github"
    assert f"--member='principalSet://iam.googleapis.com/{pool}/*' " in caught.value.hint


def test_a_login_that_was_revoked(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Has to be made again."""
    login(google, tmp_path, monkeypatch)
    google.state.account(STUDENT).refresh_tokens.clear()
    with pytest.raises(CloudError, match="expired or revoked") as caught:
        provider().login()
    assert "Log in again: gcloud auth application-default login" in caught.value.hint


def test_a_job_that_may_not_become_the_account(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names the account and the role that lets it."""
    job(google, tmp_path, monkeypatch)
    google.state.account(principal(google.project.number)).allowed.clear()
    with pytest.raises(CloudError, match=r"iam\.serviceAccounts\.getAccessToken") as caught:
        provider().login()
    needed = "needs a role on it: roles/iam.workloadIdentityUser"
    assert caught.value.hint.startswith(f"Impersonating {google.account} {needed}")


def test_a_job_that_the_pool_does_not_believe(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names the condition and the file."""
    job(google, tmp_path, monkeypatch)
    file = tmp_path / "job.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "audience": content["audience"].replace("github", "gitlab")}))
    with pytest.raises(CloudError, match="audience") as caught:
        provider().login()
    assert "attribute condition" in caught.value.hint


def test_a_machine_without_an_account(google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is to be given one."""
    served(google, monkeypatch)
    with pytest.raises(CloudError) as caught:
        provider().login()
    assert "give it a service account" in caught.value.hint


COMPLAINT = """
ERROR: (gcloud.auth.print-access-token) You do not currently have an active account selected.
Please run:

  $ gcloud auth login

to obtain new credentials.

If you have already logged in with a different account, run:

  $ gcloud config set account ACCOUNT
"""


def test_a_gcloud_where_nobody_is_logged_in(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is told by the first of its words, with the command to log in; it is asked once, whoever wants to know."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    program(tmp_path, monkeypatch, f"echo >>{tmp_path}/asked\ncat >&2 <<'END'{COMPLAINT}END\nexit 1")
    ours = provider()
    for step in (ours.outlook, ours.credentials, ours.login):
        with pytest.raises(CloudError) as caught:
            step()
    assert (tmp_path / "asked").read_text() == "\n"
    assert caught.value.why.endswith("gcloud says: You do not currently have an active account selected.")
    assert caught.value.hint.startswith("Log in: gcloud auth login")


def test_no_gcloud_either(google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All places are named that were looked in."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CloudError, match="no key file, no login, no metadata server, no gcloud") as caught:
        provider().login()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


def test_a_file_that_is_none_of_googles(
    google: Google, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is named."""
    (tmp_path / "key.json").write_text("no JSON")
    named(monkeypatch, tmp_path / "key.json")
    with pytest.raises(CloudError) as caught:
        provider().login()
    assert caught.value.why == f"File {tmp_path}/key.json is not a valid json file."
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    [
        '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\ns3cr3t"}',
        "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----",
        base64.b64encode(b"{" + 300 * b"s3cr3t").decode(),
        "ya29.s3cr3t",
    ],
    ids=["JSON", "PEM", "Base64", "token"],
)
def test_a_key_in_place_of_a_file_is_not_shown(
    google: Google, provider: Provider, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Neither in the error nor in what led to it, as a traceback would show that."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", value)
    with pytest.raises(
        CloudError, match="GOOGLE_APPLICATION_CREDENTIALS holds a secret itself, but has to name"
    ) as caught:
        provider().login()
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cr3t" not in shown
    assert value[:60] not in shown
