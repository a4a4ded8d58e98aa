"""Google's refusals, as its APIs send them: code, text, and details.

Texts and details are those that users of Google Cloud report; `google/api/error_reason.proto` documents the reasons of
the domain googleapis.com. Where no report was found, the docstring says so.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

GOOGLE = "googleapis.com"
HELP_TOKEN = "ARD_zUbFpP-0qySPromvgtJNdw33QM1HJpmBG-BiRaVI9eOZ4mMJ9"

_STATUSES = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.UNAVAILABLE: 503,
}
_CONSOLE = "https://console.developers.google.com"
_SIGN_IN = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class RefusalError(Exception):
    """An API's answer that is an error.

    Args:
        code: of google.rpc.Code.
        message: the text.
        details: messages of google.rpc.
    """

    def __init__(self, code: int, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def status(self) -> int:
        """What it is in HTTP (google/rpc/code.proto)."""
        return _STATUSES[self.code]

    def document(self) -> dict[str, object]:
        """It, as it is sent."""
        return {
            "error": {
                **json_format.MessageToDict(self.packed()),
                "code": self.status,
                "status": code_pb2.Code.Name(self.code),
            }
        }

    def packed(self) -> status_pb2.Status:
        """It, as an operation holds it."""
        packed = []
        for detail in self.details:
            packed.append(Packed())
            packed[-1].Pack(detail)
        return status_pb2.Status(code=self.code, message=self.message, details=packed)


def credentials_missing(host: str, method: str) -> RefusalError:
    """No bearer token was sent."""
    reason = info("CREDENTIALS_MISSING", GOOGLE, service=host, method=method)
    return RefusalError(
        code_pb2.UNAUTHENTICATED, f"Request is missing required authentication credential. {_SIGN_IN}", reason
    )


def credentials_invalid(reason: str, host: str, method: str) -> RefusalError:
    """The token is ACCESS_TOKEN_EXPIRED, ACCESS_TOKEN_TYPE_UNSUPPORTED (no token at all) or ACCOUNT_STATE_INVALID."""
    detail = info(reason, GOOGLE, service=host, method=method)
    return RefusalError(code_pb2.UNAUTHENTICATED, f"Request had invalid authentication credentials. {_SIGN_IN}", detail)


def scope_insufficient(host: str, method: str) -> RefusalError:
    """The token was not made for Google Cloud."""
    reason = info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", GOOGLE, service=host, method=method)
    return RefusalError(code_pb2.PERMISSION_DENIED, "Request had insufficient authentication scopes.", reason)


def permission_denied(host: str, permission: str, resource: str) -> RefusalError:
    """The account lacks a permission, or there is no such resource."""
    message = f"Permission '{permission}' denied on resource '//{host}/{resource}' (or it may not exist)."
    reason = info("IAM_PERMISSION_DENIED", host, permission=permission, resource=resource)
    return RefusalError(code_pb2.PERMISSION_DENIED, message, reason)


def caller_denied() -> RefusalError:
    """As Resource Manager says it, which names no permission."""
    return RefusalError(code_pb2.PERMISSION_DENIED, "The caller does not have permission")


def service_disabled(host: str, title: str, project: str) -> RefusalError:
    """The API is not enabled in the project."""
    url = activation_url(host, project)
    message = service_disabled_text(host, title, project)
    reason = info(
        "SERVICE_DISABLED",
        GOOGLE,
        service=host,
        consumer=f"projects/{project}",
        serviceTitle=title,
        containerInfo=project,
        activationUrl=url,
    )
    details = [reason, _localized(message), link("Google developers console API activation", url)]
    return RefusalError(code_pb2.PERMISSION_DENIED, message, *details)


def service_disabled_text(host: str, title: str, project: str) -> str:
    """What is said of it, by the Docker endpoint, too."""
    return (
        f"{title} has not been used in project {project} before or it is disabled. "
        f"Enable it by visiting {activation_url(host, project)} then retry. If you enabled this API recently, "
        "wait a few minutes for the action to propagate to our systems and retry."
    )


def activation_url(host: str, project: str) -> str:
    """Where people enable an API."""
    return f"{_CONSOLE}/apis/api/{host}/overview?project={project}"


def consumer_invalid(host: str, project: str) -> RefusalError:
    """There is no such project."""
    message = f"Permission denied on resource project {project}."
    reason = info("CONSUMER_INVALID", GOOGLE, service=host, consumer=f"projects/{project}", containerInfo=project)
    details = [reason, _localized(message), link("Google developers console", _CONSOLE)]
    return RefusalError(code_pb2.PERMISSION_DENIED, message, *details)


def user_project_denied(host: str, project: str) -> RefusalError:
    """The account may not let a project pay for its calls (x-goog-user-project)."""
    url = f"{_CONSOLE}/iam-admin/iam/project?project={project}"
    message = (
        f"Caller does not have required permission to use project {project}. Grant the caller the "
        "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission, "
        f"by visiting {url} and then retry. Propagation of the new permission may take a few minutes."
    )
    reason = info("USER_PROJECT_DENIED", GOOGLE, service=host, consumer=f"projects/{project}", containerInfo=project)
    details = [reason, _localized(message), link("Google developer console IAM admin", url)]
    return RefusalError(code_pb2.PERMISSION_DENIED, message, *details)


def location_denied(host: str, project: str, location: str) -> RefusalError:
    """There is no such location, or not for this project (me-central2 is for those who ask for it)."""
    message = f"Permission denied on 'locations/{location}' (or it may not exist)."
    reason = info("LOCATION_POLICY_VIOLATED", GOOGLE, service=host, consumer=f"projects/{project}", location=location)
    return RefusalError(code_pb2.PERMISSION_DENIED, message, reason, _localized(message))


def payload_invalid(why: str) -> RefusalError:
    """The body or the query has a field that the API does not know, or a value that is none for it."""
    return RefusalError(code_pb2.INVALID_ARGUMENT, f"Invalid JSON payload received. {why}")


def invalid_argument() -> RefusalError:
    """Something else in a request is wrong; Artifact Registry says no more."""
    return RefusalError(code_pb2.INVALID_ARGUMENT, "Request contains an invalid argument.")


def not_found() -> RefusalError:
    """There is no such thing, and the account may know it."""
    return RefusalError(code_pb2.NOT_FOUND, "Requested entity was not found.")


def already_exists() -> RefusalError:
    """There is a repository of that name."""
    return RefusalError(code_pb2.ALREADY_EXISTS, "the repository already exists")


def usage_denied(doing: str, host: str, permission: str) -> RefusalError:
    """Service Usage's way to say that a permission is missing.

    Args:
        doing: "enable service [artifactregistry.googleapis.com]".
        host: the API it is about.
        permission: what is missing.
    """
    query = urlencode({"error_code": 110002, "service": "serviceusage.googleapis.com", "permission": permission})
    reason = info("AUTH_PERMISSION_DENIED", "serviceusage.googleapis.com", permission=permission, resource=host)
    return _usage(code_pb2.PERMISSION_DENIED, f"Permission denied to {doing}", GOOGLE, f"?{query}", reason)


def usage_project_missing(project: str) -> RefusalError:
    """Service Usage's way to say that there is no such project."""
    query = urlencode({"error_code": 210002, "type": "Project", "resource_id": project})
    reason = info("RESOURCES_NOT_FOUND", "serviceusage.googleapis.com", type="Project", resource_id=project)
    message = f"Project '{project}' not found or permission denied."
    return _usage(code_pb2.PERMISSION_DENIED, message, GOOGLE, f"?{query}", reason)


def service_missing(service: str) -> RefusalError:
    """There is no such API."""
    message = f"Not found or permission denied for service(s): {service}."
    reason = info("SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED", "serviceusage.googleapis.com", services=service)
    subject = f"?error_code=220002&services={quote(service)}"
    return _usage(code_pb2.PERMISSION_DENIED, message, GOOGLE, subject, reason)


def billing_missing(number: int, service: str) -> RefusalError:
    """An API that costs something cannot be enabled in a project that nobody pays for."""
    message = (
        f"Billing account for project '{number}' is not found. "
        f"Billing must be enabled for activation of service(s) '{service}' to proceed."
    )
    domain = "serviceusage.googleapis.com/billing-enabled"
    reason = info("UREQ_PROJECT_BILLING_NOT_FOUND", domain, project=str(number), services=service)
    subject = f"?error_code=390001&project={number}&services={quote(service)}"
    return _usage(code_pb2.FAILED_PRECONDITION, message, "googleapis.com/billing-enabled", subject, reason)


def billing_disabled(host: str, project: str) -> RefusalError:
    """Nobody pays any more for a project in which the API is enabled."""
    url = f"{_CONSOLE}/billing/enable?project={project}"
    message = (
        f"This API method requires billing to be enabled. Please enable billing on project #{project} by visiting "
        f"{url} then retry. If you enabled billing for this project recently, "
        "wait a few minutes for the action to propagate to our systems and retry."
    )
    reason = info("BILLING_DISABLED", GOOGLE, service=host, consumer=f"projects/{project}", containerInfo=project)
    details = [reason, _localized(message), link("Google developers console billing", url)]
    return RefusalError(code_pb2.PERMISSION_DENIED, message, *details)


def usage_restricted(host: str, number: int) -> RefusalError:
    """The organization does not allow the API."""
    message = (
        "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint "
        f"for 'projects/{number}' attempting to use service '{host}'."
    )
    reason = info("RESOURCE_USAGE_RESTRICTION_VIOLATED", GOOGLE, service=host, consumer=f"projects/{number}")
    return RefusalError(code_pb2.PERMISSION_DENIED, message, reason)


def location_restricted(project: str, location: str) -> RefusalError:
    """The organization does not allow the location. Text as gcr.io's; of the API's own none was found."""
    constraint = "constraints/gcp.resourceLocations"
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=constraint,
        subject=f"orgpolicy:projects/{project}",
        description=f"Constraint {constraint} violated for projects/{project} attempting to create a repository "
        f"with location set to {location}. See "
        "https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints "
        "for more information.",
    )
    message = f"Org Policy Violated: '{location}' violates constraint '{constraint}'"
    return RefusalError(
        code_pb2.FAILED_PRECONDITION, message, error_details_pb2.PreconditionFailure(violations=[violation])
    )


def quota_exceeded(host: str, number: int, location: str, *, limit: int, retry_seconds: int) -> RefusalError:
    """More requests than are allowed in a minute."""
    name = "Requests per minute per project per region"
    message = (
        f"Quota exceeded for quota metric 'Requests' and limit '{name}' of service '{host}' "
        f"for consumer 'project_number:{number}'."
    )
    reason = info(
        "RATE_LIMIT_EXCEEDED",
        GOOGLE,
        service=host,
        consumer=f"projects/{number}",
        quota_metric=f"{host}/project_region_requests",
        quota_limit="ProjectRegionRequestsPerMinutePerProjectPerRegion",
        quota_limit_value=str(limit),
        quota_location=location,
        quota_unit="1/min/{project}/{region}",
    )
    violation = error_details_pb2.QuotaFailure.Violation(subject=f"project_number:{number}", description=message)
    wait = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=retry_seconds))
    more = link("Request a higher quota limit.", "https://cloud.google.com/docs/quotas/help/request_increase")
    quota = error_details_pb2.QuotaFailure(violations=[violation])
    return RefusalError(code_pb2.RESOURCE_EXHAUSTED, message, reason, quota, more, wait)


def unavailable() -> RefusalError:
    """A trouble of Google's own."""
    return RefusalError(code_pb2.UNAVAILABLE, "The service is currently unavailable.")


def info(reason: str, domain: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    """The part of an error that is made for programs."""
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


def link(description: str, url: str) -> error_details_pb2.Help:
    """Where to go."""
    return error_details_pb2.Help(links=[error_details_pb2.Help.Link(description=description, url=url)])


def _localized(message: str) -> error_details_pb2.LocalizedMessage:
    return error_details_pb2.LocalizedMessage(locale="en-US", message=message)


def _usage(code: int, message: str, kind: str, subject: str, reason: error_details_pb2.ErrorInfo) -> RefusalError:
    """An error of Service Usage, with its token for Google's support and its numbered precondition."""
    violation = error_details_pb2.PreconditionFailure.Violation(type=kind, subject=subject)
    failure = error_details_pb2.PreconditionFailure(violations=[violation])
    return RefusalError(code, f"{message}\nHelp Token: {HELP_TOKEN}", failure, reason)
