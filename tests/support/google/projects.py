"""Resource Manager: the projects an account may see."""

from __future__ import annotations

import re
from typing import Any

from google.cloud import resourcemanager_v3 as manager
from google.iam.v1 import iam_policy_pb2
from tests.support.google import errors
from tests.support.google.rest import Call, Method, page
from tests.support.google.state import Project

HOST = "cloudresourcemanager.googleapis.com"


def get_project(call: Call, request: Any) -> manager.Project:
    """GetProject, by id or number."""
    return _message(_visible(call, request.name))


def get_project_v1(call: Call, request: Any) -> dict[str, str]:
    """GetProject of the API's first version, which google-auth asks for the project of a job of GitHub's."""
    project = _visible(call, request.name)
    number, state = str(project.number), "ACTIVE"
    return {"projectNumber": number, "projectId": project.id, "lifecycleState": state, "name": project.name}


def search_projects(call: Call, request: Any) -> manager.SearchProjectsResponse:
    """SearchProjects: by nothing, or by id, displayName (with wildcards) or state."""
    with call.state.lock:
        projects = [project for project in call.state.projects.values() if _may_get(call, project)]
    chosen = [project for project in projects if _fits(project, request.query)]
    found, following = page(chosen, request.page_size, request.page_token)
    return manager.SearchProjectsResponse(projects=[_message(project) for project in found], next_page_token=following)


def test_iam_permissions(call: Call, request: Any) -> iam_policy_pb2.TestIamPermissionsResponse:
    """TestIamPermissions: those of the asked that the account has."""
    project = _named(call, request.resource)
    if not project:
        raise errors.caller_denied()
    held = [name for name in request.permissions if call.account.may(name, f"projects/{project.id}")]
    return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)


def _named(call: Call, name: str) -> Project | None:
    called = name.partition("/")[2]
    project = call.state.find_project(called)
    if project:
        call.state.check_api(project, call.host, called)
    return project


def _visible(call: Call, name: str) -> Project:
    project = _named(call, name)
    if not project or not _may_get(call, project):
        raise errors.caller_denied()
    return project


def _may_get(call: Call, project: Project) -> bool:
    return call.account.may("resourcemanager.projects.get", f"projects/{project.id}")


def _fits(project: Project, query: str) -> bool:
    for term in query.split():
        key, _, value = term.partition(":")
        values = {"id": project.id, "projectId": project.id, "displayName": project.name, "state": "ACTIVE"}
        if key not in values:
            raise errors.invalid_argument()
        pattern = re.escape(value).replace(r"\*", ".*")
        if not re.fullmatch(pattern, values[key], re.IGNORECASE):
            return False
    return True


def _message(project: Project) -> manager.Project:
    return manager.Project(
        name=f"projects/{project.number}",
        project_id=project.id,
        display_name=project.name,
        state=manager.Project.State.ACTIVE,
    )


METHODS = tuple(
    Method(HOST, "google.cloud.resourcemanager.v3.Projects", verb, path, answer, request)
    for verb, path, answer, request in (
        ("GET", "/v3/{name=projects/*}", get_project, manager.GetProjectRequest),
        ("GET", "/v1/{name=projects/*}", get_project_v1, manager.GetProjectRequest),
        ("GET", "/v3/projects:search", search_projects, manager.SearchProjectsRequest),
        (
            "POST",
            "/v3/{resource=projects/*}:testIamPermissions",
            test_iam_permissions,
            iam_policy_pb2.TestIamPermissionsRequest,
        ),
    )
)
