"""The stand-in's APIs, by Google's own clients."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests.exceptions
from google.api_core import exceptions
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.artifactregistry_v1.types import CleanupPolicy, Repository
from google.cloud.service_usage_v1 import State
from google.protobuf.field_mask_pb2 import FieldMask

from tests.google_fake.clients import Clients
from tests.support.google import Google, errors
from tests.support.google.state import CLOUD_PLATFORM, EMAIL_SCOPE
from tests.support.registry import make_certificate, needs_openssl

ARTIFACTS = "artifactregistry.googleapis.com"
PROJECT = "projects/celestial-bodies-123456"
PLACE = f"{PROJECT}/locations/europe-west6"
NAME = f"{PLACE}/repositories/mlops-registry"
SERVICE = f"{PROJECT}/services/{ARTIFACTS}"
DOCKER = Repository(format_=Repository.Format.DOCKER)


def enable(clients: Clients, name: str = SERVICE) -> Any:
    """Ask for the API."""
    return clients.services.enable_service(request={"name": name}, timeout=5)


def create(clients: Clients, parent: str = PLACE, name: str = "mlops-registry", wanted: Repository = DOCKER) -> Any:
    """Ask for a repository."""
    return clients.artifacts.create_repository(parent=parent, repository_id=name, repository=wanted, timeout=5)


def get(clients: Clients, name: str = NAME) -> Repository:
    """Ask for what is known of it."""
    found: Repository = clients.artifacts.get_repository(name=name, timeout=5)
    return found


def refused(call: Callable[[], object]) -> GoogleAPICallError:
    """The error that a call ends with."""
    with pytest.raises(GoogleAPICallError) as caught:
        call()
    return caught.value


def test_an_api_is_enabled_and_a_repository_created(google: Google, clients: Clients) -> None:
    """The way that publishing goes; each call is counted."""
    assert clients.services.get_service(request={"name": SERVICE}).state is State.DISABLED
    assert enable(clients).result(timeout=5).service.state is State.ENABLED
    created = create(clients).result(timeout=5)
    assert created == get(clients)
    assert (created.name, created.registry_uri) == (
        NAME,
        "europe-west6-docker.pkg.dev/celestial-bodies-123456/mlops-registry",
    )
    assert [found.name for found in clients.artifacts.list_repositories(parent=PLACE)] == [NAME]
    assert google.calls == ["GetService", "EnableService", "CreateRepository", "GetRepository", "ListRepositories"]


def test_a_project_is_known_by_its_number_too(google: Google, clients: Clients) -> None:
    """Names in answers have the id."""
    google.add_repository()
    assert get(clients, NAME.replace(google.project.id, str(google.project.number))).name == NAME
    found = clients.projects.get_project(name=f"projects/{google.project.number}")
    assert (found.project_id, found.display_name) == (google.project.id, "Celestial Bodies")


def test_operations_take_as_long_as_is_wished(google: Google, clients: Clients) -> None:
    """Meanwhile the name is taken, the repository not there, and the operation asked for."""
    google.project.services.add(ARTIFACTS)
    google.state.operation_seconds = 60
    operation = create(clients)
    assert not operation.done()
    assert isinstance(refused(lambda: create(clients)), exceptions.Conflict)
    assert isinstance(refused(lambda: get(clients)), exceptions.NotFound)
    google.state.operations[operation.operation.name].ready = 0
    assert operation.result(timeout=5) == get(clients)


def test_what_is_enabled_is_seen_later(google: Google, clients: Clients) -> None:
    """As many calls as is wished are still told that it is disabled."""
    google.state.propagation_calls = 2
    enable(clients).result(timeout=5)
    reasons = [refused(lambda: create(clients)).reason for _ in range(2)]
    assert reasons == ["SERVICE_DISABLED"] * 2
    create(clients).result(timeout=5)
    assert enable(clients).operation.name == "operations/noop.DONE_OPERATION"


def test_an_operation_that_began_well_can_end_badly(google: Google, clients: Clients) -> None:
    """Its error comes with the result."""
    google.project.services.add(ARTIFACTS)
    google.faults.add(r"CreateRepository \(operation\)", errors.location_restricted(google.project.id, "europe-west6"))
    error = refused(lambda: create(clients).result(timeout=5))
    assert "constraints/gcp.resourceLocations" in error.message
    create(clients).result(timeout=5)


def test_faults_are_injected(google: Google, clients: Clients) -> None:
    """As often as is wished, then the real answer comes."""
    google.add_repository()
    google.faults.add("GetRepository", errors.unavailable(), times=2)
    for _ in range(2):
        assert isinstance(refused(lambda: get(clients)), exceptions.ServiceUnavailable)
    assert get(clients).name == NAME


def test_a_call_that_hangs_does_not_outlive_its_server(google: Google, clients: Clients) -> None:
    """The client gives up first; the end does not wait."""
    google.add_repository()
    google.faults.add("GetRepository", hang=3600)
    before = set(threading.enumerate())
    with pytest.raises(requests.exceptions.ReadTimeout):
        clients.artifacts.get_repository(name=NAME, timeout=0.2)
    [hanging] = set(threading.enumerate()) - before
    assert hanging.is_alive()
    google.__exit__()
    hanging.join(5)
    assert not hanging.is_alive()


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "CREDENTIALS_MISSING"), ("secret", "ACCESS_TOKEN_TYPE_UNSUPPORTED"), ("old", "ACCESS_TOKEN_EXPIRED")],
)
def test_who_is_unknown_is_refused(google: Google, token: str, reason: str) -> None:
    """By all APIs."""
    if token == "old":
        token = google.state.issue(google.account, (CLOUD_PLATFORM,), seconds=-1).value
    clients = Clients(google.api_port, token)
    for call in (lambda: get(clients), lambda: enable(clients), lambda: clients.projects.search_projects(timeout=5)):
        error = refused(call)
        assert isinstance(error, exceptions.Unauthorized)
        assert (error.reason, error.domain) == (reason, "googleapis.com")


def test_a_token_must_be_made_for_google_cloud(google: Google) -> None:
    """And its account be there."""
    narrow = Clients(google.api_port, google.state.issue(google.account, (EMAIL_SCOPE,)).value)
    assert refused(lambda: get(narrow)).reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    wide = Clients(google.api_port, google.token())
    google.state.account(google.account).disabled = True
    assert refused(lambda: get(wide)).reason == "ACCOUNT_STATE_INVALID"


def test_a_project_that_pays_must_allow_it(google: Google) -> None:
    """That of x-goog-user-project."""
    google.add_repository()
    clients = Clients(google.api_port, google.token(), google.project.id)
    assert get(clients).name == NAME
    google.deny(google.account, "serviceusage.services.use")
    assert refused(lambda: get(clients)).reason == "USER_PROJECT_DENIED"


def _nothing(google: Google) -> None: ...


def _repository(google: Google) -> None:
    google.add_repository()


def _enabled(google: Google) -> None:
    google.project.services.add(ARTIFACTS)


def _no_rights(google: Google) -> None:
    google.add_repository()
    google.deny(google.account)


def _no_billing(google: Google) -> None:
    google.project.billing = False


def _bill_unpaid(google: Google) -> None:
    google.add_repository()
    google.project.billing = False


def _restricted(google: Google) -> None:
    google.project.restricted.add(ARTIFACTS)


def _placed(google: Google) -> None:
    _enabled(google)
    google.project.locations = {"us-central1"}


REFUSALS = [
    (_nothing, get, "Forbidden", "SERVICE_DISABLED", "Artifact Registry API has not been used in project "),
    (_no_rights, get, "Forbidden", "IAM_PERMISSION_DENIED",
     f"Permission 'artifactregistry.repositories.get' denied on resource '//{ARTIFACTS}/{NAME}' (or it may"),
    (_no_rights, create, "Forbidden", "IAM_PERMISSION_DENIED",
     f"Permission 'artifactregistry.repositories.create' denied on resource '//{ARTIFACTS}/{PLACE}' (or it may"),
    (_enabled, get, "NotFound", None, "Requested entity was not found."),
    (_repository, create, "Conflict", None, "the repository already exists"),
    (_enabled, lambda it: create(it, name="Upper"), "BadRequest", None, "Request contains an invalid argument."),
    (_enabled, lambda it: create(it, wanted=Repository()), "BadRequest", None, "Request contains an invalid"),
    (_enabled, lambda it: create(it, f"{PROJECT}/locations/europe-west7"), "Forbidden",
     "LOCATION_POLICY_VIOLATED", "Permission denied on 'locations/europe-west7' (or it may not exist)."),
    (_enabled, lambda it: get(it, NAME.replace("123456", "1")), "Forbidden", "CONSUMER_INVALID",
     "Permission denied on resource project celestial-bodies-1."),
    (_placed, create, "BadRequest", None,
     "Org Policy Violated: 'europe-west6' violates constraint 'constraints/gcp.resourceLocations'"),
    (_bill_unpaid, get, "Forbidden", "BILLING_DISABLED", "This API method requires billing to be enabled."),
    (_no_billing, enable, "BadRequest", "UREQ_PROJECT_BILLING_NOT_FOUND",
     "Billing account for project '123456789012' is not found. Billing must be enabled for activation of service(s) "),
    (_no_rights, enable, "Forbidden", "AUTH_PERMISSION_DENIED",
     f"Permission denied to enable service [{ARTIFACTS}]\nHelp Token: "),
    (_restricted, enable, "Forbidden", "RESOURCE_USAGE_RESTRICTION_VIOLATED", "Request is disallowed by org"),
    (_nothing, lambda it: enable(it, f"{PROJECT}/services/nothing.googleapis.com"), "Forbidden",
     "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED", "Not found or permission denied for service(s): nothing."),
    (_nothing, lambda it: enable(it, f"projects/other/services/{ARTIFACTS}"), "Forbidden",
     "RESOURCES_NOT_FOUND", "Project 'other' not found or permission denied."),
    (_no_rights, lambda it: it.projects.get_project(name=PROJECT), "Forbidden", None, "The caller does not"),
    (_nothing, lambda it: it.projects.get_project(name="projects/other"), "Forbidden", None, "The caller does"),
]  # fmt: skip


@pytest.mark.parametrize(("arrange", "call", "kind", "reason", "text"), REFUSALS)
def test_what_is_wrong_is_told_in_googles_words(
    google: Google,
    clients: Clients,
    arrange: Callable[[Google], None],
    call: Callable[[Clients], object],
    kind: str,
    reason: str | None,
    text: str,
) -> None:
    """By the exception that Google's client raises, its reason, and its text."""
    arrange(google)
    error = refused(lambda: call(clients))
    assert (type(error).__name__, error.reason) == (kind, reason)
    assert re.match(rf"[A-Z]+ http://\S+: {re.escape(text)}", error.message)


def test_errors_tell_where_to_go(google: Google, clients: Clients) -> None:
    """With a link, with what to wait for, with what was missing."""
    links = [detail for detail in refused(lambda: get(clients)).details if detail["@type"].endswith("rpc.Help")]
    assert links[0]["links"][0]["url"].endswith(f"{ARTIFACTS}/overview?project={google.project.id}")
    google.faults.add("GetRepository", errors.quota_exceeded(ARTIFACTS, 1, "europe-west6", limit=60, retry_seconds=7))
    error = refused(lambda: get(clients))
    assert (type(error), error.reason) == (exceptions.TooManyRequests, "RATE_LIMIT_EXCEEDED")
    waits = [detail for detail in error.details if detail["@type"].endswith("rpc.RetryInfo")]
    assert waits[0]["retryDelay"] == "7s"
    google.add_repository()
    google.deny(google.account, "artifactregistry.repositories.get")
    assert refused(lambda: get(clients)).metadata["permission"] == "artifactregistry.repositories.get"


def test_what_is_not_in_the_api_is_refused(google: Google) -> None:
    """A path that there is not, and a field that there is not in a body or a query."""
    headers = {"Authorization": f"Bearer {google.token()}"}

    def asked(method: str, path: str, **content: Any) -> requests.Response:
        return requests.request(method, f"{google.api_endpoint}/v1/{path}", headers=headers, timeout=5, **content)

    assert asked("GET", "mlops-registry").status_code == 404
    assert asked("PUT", NAME).status_code == 404
    google.add_repository()
    for answer in (
        asked("PATCH", NAME, params={"updateMask": "description"}, json={"descripton": "Images"}),
        asked("PATCH", NAME, params={"updateMusk": "description"}, json={"description": "Images"}),
        asked("PATCH", NAME, params={"updateMask": "description"}, data="{"),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
        assert error["message"].startswith("Invalid JSON payload received.")


def test_lists_come_in_pages(google: Google, clients: Clients) -> None:
    """Repositories, APIs, projects; locations all at once."""
    for number in range(5):
        google.add_repository(f"r{number}")
    google.add_repository("elsewhere", location="us")
    found = clients.artifacts.list_repositories(request={"parent": PLACE, "page_size": 2})
    assert [len(page.repositories) for page in found.pages] == [2, 2, 1]
    request = {"parent": PROJECT, "filter": "state:ENABLED", "page_size": 3}
    enabled = [service.config.name for service in clients.services.list_services(request=request)]
    assert ARTIFACTS in enabled
    assert "run.googleapis.com" not in enabled
    both = clients.services.batch_get_services(
        request={"parent": PROJECT, "names": [SERVICE, f"{PROJECT}/services/run.googleapis.com"]}
    )
    assert [service.state for service in both.services] == [State.ENABLED, State.DISABLED]
    google.add_project("hidden", 2, "Hidden")
    google.add_project("other", 3, "Other")
    google.deny(google.account, on="projects/hidden")
    assert {one.project_id for one in clients.projects.search_projects()} == {google.project.id, "other"}
    assert [one.project_id for one in clients.projects.search_projects(query="id:oth*")] == ["other"]
    locations = clients.artifacts.list_locations({"name": PROJECT}).locations
    assert {"europe-west6", "us", "europe", "asia", "me-central2"} <= {one.location_id for one in locations}
    assert clients.artifacts.get_location({"name": PLACE}).name == PLACE


def test_permissions_are_tested(google: Google, clients: Clients) -> None:
    """On projects and repositories; on a repository that is not there nobody has any."""
    wanted = ["artifactregistry.repositories.uploadArtifacts", "artifactregistry.repositories.delete"]
    google.add_repository()
    google.deny(google.account, "artifactregistry.repositories.delete")
    asked = {"resource": NAME, "permissions": wanted}
    assert list(clients.artifacts.test_iam_permissions(asked).permissions) == wanted[:1]
    assert list(clients.artifacts.test_iam_permissions({**asked, "resource": f"{NAME}x"}).permissions) == []
    assert list(clients.projects.test_iam_permissions({**asked, "resource": PROJECT}).permissions) == wanted[:1]
    assert not clients.artifacts.get_iam_policy({"resource": NAME}).bindings


def test_a_repository_is_changed_where_it_can_be(google: Google, clients: Clients) -> None:
    """What the mask names; not what was fixed when it was created."""
    google.add_repository()
    wanted = Repository(
        name=NAME,
        description="Images",
        labels={"part": "3"},
        cleanup_policies={"old": CleanupPolicy(id="old", action=CleanupPolicy.Action.DELETE)},
        docker_config={"immutable_tags": True},
    )
    mask = FieldMask(paths=["description", "labels", "cleanup_policies", "docker_config.immutable_tags"])
    changed = clients.artifacts.update_repository(repository=wanted, update_mask=mask)
    assert changed == get(clients)
    assert (changed.description, changed.labels["part"], changed.docker_config.immutable_tags) == ("Images", "3", True)
    assert list(changed.cleanup_policies) == ["old"]
    assert changed.format_ == Repository.Format.DOCKER
    fixed = FieldMask(paths=["format"])
    error = refused(lambda: clients.artifacts.update_repository(repository=wanted, update_mask=fixed))
    assert isinstance(error, exceptions.BadRequest)


def test_a_repository_is_deleted(google: Google, clients: Clients) -> None:
    """When the operation is done."""
    google.add_repository()
    clients.artifacts.delete_repository(name=NAME).result(timeout=5)
    assert isinstance(refused(lambda: get(clients)), exceptions.NotFound)


@needs_openssl
def test_tls_is_spoken_with_a_certificate_of_ones_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By the APIs."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    with Google(folder / "google", tls=folder) as google:
        google.add_repository()
        certificate = folder / "certificate.pem"
        assert get(Clients(google.api_port, google.token(), certificate=certificate)).name == NAME
        assert google.api_endpoint == f"https://127.0.0.1:{google.api_port}"
