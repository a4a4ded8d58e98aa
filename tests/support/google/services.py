"""Service Usage: which APIs are enabled, and enabling them."""

from __future__ import annotations

import re
import uuid
from typing import Any

from google.cloud import service_usage_v1 as usage
from google.longrunning.operations_pb2 import Operation
from tests.support.google import errors
from tests.support.google.rest import Call, Method, page
from tests.support.google.state import FREE, Project
from tests.support.google.state import SERVICES as TITLES

HOST = "serviceusage.googleapis.com"

_MAX_BATCH = 30


def get_service(call: Call, request: Any) -> usage.Service:
    """GetService."""
    project, service = _split(call, request.name)
    _require(call, project, "get", f"get service [{service}]")
    return _service(project, service)


def batch_get_services(call: Call, request: Any) -> usage.BatchGetServicesResponse:
    """BatchGetServices."""
    project = _project(call, request.parent)
    if len(request.names) > _MAX_BATCH:
        raise errors.invalid_argument()
    _require(call, project, "get", f"get service [{request.names[0] if request.names else ''}]")
    services = [_service(project, _split(call, name)[1]) for name in request.names]
    return usage.BatchGetServicesResponse(services=services)


def list_services(call: Call, request: Any) -> usage.ListServicesResponse:
    """ListServices, all or by state."""
    project = _project(call, request.parent)
    _require(call, project, "list", f"list services for consumer container [projects/{project.number}]")
    wanted = re.fullmatch(r"(?:state:(ENABLED|DISABLED))?", request.filter)
    if not wanted:
        raise errors.invalid_argument()
    services = [_service(project, name) for name in sorted(TITLES)]
    chosen = [service for service in services if not wanted[1] or service.state.name == wanted[1]]
    found, following = page(chosen, request.page_size or 50, request.page_token)
    return usage.ListServicesResponse(services=found, next_page_token=following)


def enable_service(call: Call, request: Any) -> Operation:
    """EnableService; what is enabled already is done at once."""
    project, service = _split(call, request.name)
    _require(call, project, "enable", f"enable service [{service}]", service)
    if service in project.restricted:
        raise errors.usage_restricted(service, project.number)
    if not project.billing and service not in FREE:
        raise errors.billing_missing(project.number, service)
    if service in project.services:
        operation = Operation(name="operations/noop.DONE_OPERATION", done=True)
        operation.response.Pack(_enabled(project, service))
        return operation

    def finish() -> Any:
        call.state.fail(f"{call.name} (operation)")
        with call.state.lock:
            project.services.add(service)
            project.unseen[service] = call.state.propagation_calls
        return _enabled(project, service)

    metadata = usage.OperationMetadata(resource_names=[f"services/{service}/projectSettings/{project.number}"])
    name = f"operations/acat.p2-{project.number}-{uuid.uuid4()}"
    return call.state.begin(name, finish, usage.OperationMetadata.pb(metadata))


def _enabled(project: Project, service: str) -> Any:
    return usage.EnableServiceResponse.pb(usage.EnableServiceResponse(service=_service(project, service)))


def _service(project: Project, name: str) -> usage.Service:
    parent = f"projects/{project.number}"
    return usage.Service(
        name=f"{parent}/services/{name}",
        parent=parent,
        config=usage.ServiceConfig(name=name, title=TITLES[name]),
        state=usage.State.ENABLED if name in project.services else usage.State.DISABLED,
    )


def _project(call: Call, parent: str) -> Project:
    called = parent.partition("/")[2]
    if not call.state.find_project(called):
        raise errors.usage_project_missing(called)
    return call.project(called)


def _split(call: Call, name: str) -> tuple[Project, str]:
    parent, _, service = name.partition("/services/")
    project = _project(call, parent)
    if service not in TITLES:
        raise errors.service_missing(service)
    return project, service


def _require(call: Call, project: Project, verb: str, doing: str, service: str = HOST) -> None:
    permission = f"serviceusage.services.{verb}"
    if not call.account.may(permission, f"projects/{project.id}"):
        raise errors.usage_denied(doing, service, permission)


METHODS = tuple(
    Method(HOST, "google.api.serviceusage.v1.ServiceUsage", verb, f"/v1/{path}", answer, request)
    for verb, path, answer, request in (
        ("GET", "{name=*/*/services/*}", get_service, usage.GetServiceRequest),
        ("POST", "{name=*/*/services/*}:enable", enable_service, usage.EnableServiceRequest),
        ("GET", "{parent=*/*}/services", list_services, usage.ListServicesRequest),
        ("GET", "{parent=*/*}/services:batchGet", batch_get_services, usage.BatchGetServicesRequest),
    )
)
