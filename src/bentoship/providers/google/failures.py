"""What Google's refusals mean, and what to do about each.

Reasons are those of google/api/error_reason.proto and of each service; texts are looked at only where there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import requests.exceptions
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from bentoship.errors import CloudError

Failure = GoogleAPICallError | RetryError | GoogleAuthError
"""What Google's clients raise."""

LOGIN = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to the file with a service account's key, "
    "or log in: gcloud auth application-default login"
)

_CONSOLE = "https://console.cloud.google.com"

_ROLES = {
    "serviceusage.services.enable": "roles/serviceusage.serviceUsageAdmin",
    "serviceusage.services.get": "roles/serviceusage.serviceUsageViewer",
    "serviceusage.services.list": "roles/serviceusage.serviceUsageViewer",
    "artifactregistry.repositories.create": "roles/artifactregistry.admin",
    "artifactregistry.repositories.update": "roles/artifactregistry.admin",
    "artifactregistry.repositories.get": "roles/artifactregistry.reader",
    "artifactregistry.repositories.list": "roles/artifactregistry.reader",
    "artifactregistry.repositories.downloadArtifacts": "roles/artifactregistry.reader",
    "artifactregistry.repositories.uploadArtifacts": "roles/artifactregistry.writer",
    "artifactregistry.dockerimages.list": "roles/artifactregistry.reader",
    "resourcemanager.projects.get": "roles/browser",
}
"""The smallest of Google's own roles that has a permission (cloud.google.com/iam/docs/roles-permissions)."""


@dataclass(frozen=True)
class Asked:
    """About what, and as whom, Google was asked.

    Args:
        project: its id.
        account: an email address, or what is known instead.
    """

    project: str
    account: str


def explained(doing: str, error: Failure, asked: Asked) -> CloudError:
    """A failure in Google's own words, and what to do next."""
    cause = error.cause if isinstance(error, RetryError) and isinstance(error.cause, Exception) else error
    if isinstance(cause, GoogleAPICallError):
        return CloudError(doing, _words(cause), _api_hint(cause, asked))
    why, hint = _login_failure(cause)
    return CloudError(doing, why, hint)


def reason(error: GoogleAPICallError) -> str:
    """Google's name for what is wrong ("SERVICE_DISABLED"); empty when it gives none."""
    return str(error.reason or "") or _operation_info(error).reason


def permission_hint(permission: str, asked: Asked) -> str:
    """Which role an account lacks, and how it is given."""
    role = _ROLES.get(permission, "")
    if not role:
        return f"{asked.account} lacks {permission} on {asked.project}." if permission else _who(asked)
    member = "serviceAccount" if asked.account.endswith(".gserviceaccount.com") else "user"
    binding = f"--member={member}:{asked.account} --role={role}"
    return (
        f"{asked.account} needs {role} on {asked.project}; one of its owners gives it:\n"
        f"gcloud projects add-iam-policy-binding {asked.project} {binding}"
    )


def _who(asked: Asked) -> str:
    return f"We asked as {asked.account}: does that account have a role on {asked.project}?"


def _words(error: GoogleAPICallError) -> str:
    """What the server said; of a call that reached none, the end of gRPC's list of causes."""
    text = str(error.message)
    if _is_network(text):
        text = re.sub(r"^.*?errors? resolving|^failed to connect to all addresses; last error: ", "", text)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _is_network(text: str) -> bool:
    """Whether it is gRPC that speaks, for want of a server."""
    return bool(re.search(r"(?i)failed to connect|DNS resolution failed|http proxy|handshake|tcp .*refused", text))


def _operation_info(error: GoogleAPICallError) -> ErrorInfo:
    """What the error of a long-running operation holds, which Google's client leaves packed."""
    info = ErrorInfo()
    for status in error.errors:
        for packed in status.details if isinstance(status, Status) else ():
            if packed.Unpack(info):
                return info
    return info


def _metadata(error: GoogleAPICallError) -> dict[str, str]:
    return dict(error.metadata or _operation_info(error).metadata)


def _api_hint(error: GoogleAPICallError, asked: Asked) -> str:
    """What to do next about a refusal, by its reason, else its words, else its kind."""
    why, text, code = reason(error), str(error.message), int(error.code or 0)
    project = asked.project
    if why == "SERVICE_DISABLED":
        service = _metadata(error).get("service", "")
        if service == "artifactregistry.googleapis.com":
            return "Enable it: invoke enable-api. (After enabling it takes effect within minutes.)"
        return f"Enable it: gcloud services enable {service or 'THE-API'} --project {project}"
    if "BILLING" in why or "BILLING" in text or "billing" in text.lower():
        return f"Link a billing account to the project: {_CONSOLE}/billing/linkedaccount?project={project}"
    if "constraint" in text.lower() or "ORG" in why or "organization policy" in text.lower():
        return (
            "A policy of the organisation forbids it: choose a location or project that it allows, "
            "or ask the organisation's administrators."
        )
    if why == "LOCATION_POLICY_VIOLATED":
        return "Check GCP_CONTAINER_REGISTRY_LOCATION: `invoke locations` lists them."
    if why in ("CONSUMER_INVALID", "RESOURCE_PROJECT_INVALID", "USER_PROJECT_DENIED") or (
        code == 404 and "project" in text.lower()
    ):
        return f"Check GCP_PROJECT_ID ({project}): `invoke projects` lists those that {asked.account} may see."
    if code == 429 or "quota" in text.lower():
        return f"Wait a minute and go on, or ask for more: {_CONSOLE}/iam-admin/quotas?project={project}"
    if code == 401:
        return f"The credentials of {asked.account} do not hold any more. {LOGIN}"
    if code == 403:
        permission = _metadata(error).get("permission", "") or next(iter(re.findall(r"'([a-z]+\.\w+\.\w+)'", text)), "")
        return permission_hint(permission, asked)
    return _network_hint(text)


def _network_hint(text: str) -> str:
    """What to do about a server that was not reached."""
    lower = text.lower()
    if "certificate" in lower or "ssl" in lower:
        return "If a proxy of yours has its own authority, name a file with its certificate in SSL_CERT_FILE."
    if "proxy" in lower:
        return "Check HTTPS_PROXY and NO_PROXY."
    if _is_network(text) or "unavailable" in lower or "deadline" in lower or "timed out" in lower:
        return "Check that this machine is on the network, and whether a proxy or firewall lies between."
    return ""


def _login_failure(error: Exception) -> tuple[str, str]:
    """Why there is no token, and what to do about that."""
    network = next((one for one in _chain(error) if isinstance(one, requests.exceptions.RequestException)), None)
    if network is not None:
        text = _innermost(network)
        return text, _network_hint(f"{type(network).__name__} {text}") or _network_hint("timed out")
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if "short-lived token" in words or "Token used too early" in words or "iat" in words.split():
        return words, "The clock of this machine is wrong; set it, e.g. with: timedatectl set-ntp true"
    if "Invalid JWT Signature" in words or "account not found" in words or "Invalid JWT" in words:
        return words, "The key, or its service account, was deleted: make a new key, or choose other credentials."
    if isinstance(error, RefreshError):
        return words, f"They do not hold any more. Log in again. {LOGIN}"
    return words, LOGIN


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error, and what it came from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        error = inner or error.__cause__ or error.__context__
    return found


def _innermost(error: BaseException) -> str:
    """The words at the bottom of requests' and urllib3's nested errors, without their objects' addresses."""
    text = str(_chain(error)[-1])
    return re.sub(r"^<[^>]*>: |\(Caused by .*$", "", text) or type(error).__name__
