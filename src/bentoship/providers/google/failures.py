"""What Google's refusals mean, and what to do about each.

Reasons are those of google/api/error_reason.proto and of each service; texts are looked at only where there is none.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests.exceptions
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError, OAuthError, RefreshError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from bentoship.errors import CloudError
from bentoship.providers.google import reach

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
        login: how that account logs in anew, as a sentence; empty when that is unknown.
        proxy: the address of the proxy on the way; empty for none.
        payer: the project that calls are counted for, where the credentials name one.
    """

    project: str
    account: str
    login: str = ""
    proxy: str = ""
    payer: str = ""


def explained(doing: str, error: Failure, asked: Asked) -> CloudError:
    """A failure in Google's own words, and what to do next."""
    cause = error.cause if isinstance(error, RetryError) and isinstance(error.cause, Exception) else error
    if isinstance(cause, GoogleAPICallError):
        return CloudError(doing, _words(cause, asked), _api_hint(cause, asked))
    why, hint = _login_failure(cause, asked)
    return CloudError(doing, why, hint)


def reason(error: GoogleAPICallError) -> str:
    """Google's name for what is wrong ("SERVICE_DISABLED"); empty when it gives none."""
    return str(error.reason or "") or _operation_info(error).reason


def permission_hint(permission: str, asked: Asked) -> str:
    """Which role an account lacks, and how it is given."""
    role = _ROLES.get(permission, "")
    if not role:
        return f"{asked.account} lacks {permission} on {asked.project}." if permission else _who(asked)
    return (
        f"{asked.account} needs {role} on {asked.project}; one of its owners gives it:\n"
        f"gcloud projects add-iam-policy-binding {asked.project} "
        f"--member={shlex.quote(_member(asked.account))} --role={role}"
    )


def _member(account: str) -> str:
    """What an account is called in a policy (cloud.google.com/iam/docs/principal-identifiers)."""
    if pool := re.search(r"//(iam\.googleapis\.com/.*/workloadIdentityPools/[^/]+)", account):
        return f"principalSet://{pool[1]}/*"  # all that come by it
    if "@" not in account:
        return "user:EMAIL"
    return f"{'serviceAccount' if account.endswith('.gserviceaccount.com') else 'user'}:{account}"


def _who(asked: Asked) -> str:
    return f"We asked as {asked.account}: does that account have a role on {asked.project}?"


def _words(error: GoogleAPICallError, asked: Asked) -> str:
    """What the server said; where none was reached, what gRPC said."""
    text = str(error.message).partition("\nHelp Token:")[0]
    text = reach.words(text, asked.proxy) if reach.is_grpcs_own(text) else text
    return text if len(text) <= 400 else f"{text[:400]}…"


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
        if asked.payer not in ("", project):
            return (
                f"The credentials have calls counted for {asked.payer}, where it has to be enabled, too. Have them "
                f"counted for {project}: gcloud auth application-default set-quota-project {project}"
            )
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
        return (
            "Check GCP_CONTAINER_REGISTRY_LOCATION: `invoke locations` lists them, "
            "of which a few are open only to projects that have asked for them."
        )
    no_project = code in (403, 404) and re.search(r"(?i)project\b.*\bnot found", text)
    if no_project or why in ("CONSUMER_INVALID", "RESOURCE_PROJECT_INVALID"):
        return f"Check GCP_PROJECT_ID ({project}): `invoke projects` lists those that {asked.account} may see."
    if code == 429 or "quota" in text.lower():
        return f"Wait a minute and go on, or ask for more: {_CONSOLE}/iam-admin/quotas?project={project}"
    if why == "USER_PROJECT_DENIED":
        return f"Have calls counted for another project: gcloud auth application-default set-quota-project {project}"
    if why == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return f"The credentials were not made for Google Cloud (scope cloud-platform). {asked.login or LOGIN}"
    if why == "ACCOUNT_STATE_INVALID":
        return f"{asked.account} is disabled or deleted: have it enabled, or choose other credentials."
    if code == 401:
        return f"The credentials of {asked.account} do not hold any more. {asked.login or LOGIN}"
    if code == 403:
        permission = _metadata(error).get("permission", "") or next(iter(re.findall(r"'([a-z]+\.\w+\.\w+)'", text)), "")
        return permission_hint(permission, asked)
    if code == 400:
        return (
            "Check the settings GCP_CONTAINER_REGISTRY_…: the name is of a-z, 0-9 and - with a letter first, "
            "and `.env.example` explains the others."
        )
    if code == 503 and not reach.is_grpcs_own(text):
        return "Google has a trouble of its own: try again later. https://status.cloud.google.com tells of great ones."
    return reach.hint(text, asked.proxy)


def _login_failure(error: Exception, asked: Asked) -> tuple[str, str]:
    """Why there is no token, and what to do about that."""
    network = next((one for one in _chain(error) if isinstance(one, requests.exceptions.RequestException)), None)
    if network is not None:
        text = _innermost(network)
        return _unreached(network, text), reach.hint(f"{type(network).__name__} {text}") or reach.hint("timed out")
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if "short-lived token" in words or "Token used too early" in words or "iat" in words.split():
        return words, "The clock of this machine is wrong; set it, e.g. with: timedatectl set-ntp true"
    if "Invalid JWT Signature" in words or "account not found" in words or "Invalid JWT" in words:
        return words, "The key, or its service account, was deleted: make a new key, or choose other credentials."
    if "impersonated" in words:
        return f"{words}: {_said(error)}", (
            f"{asked.account} has to let us be it: roles/iam.workloadIdentityUser on it for a job of GitHub's, "
            "roles/iam.serviceAccountTokenCreator for a person."
        )
    if isinstance(error, OAuthError):
        return words, (
            "The workload identity pool's provider does not believe who we are: check its attribute condition, "
            "and that GOOGLE_APPLICATION_CREDENTIALS names it."
        )
    if isinstance(error, RefreshError):
        return words, f"The credentials do not hold any more. {asked.login or LOGIN}"
    return words, LOGIN


def _unreached(error: requests.exceptions.RequestException, text: str) -> str:
    """Which server was not reached, and why; the words are the registry's and the APIs' own. Args: text: the cause."""
    request = error.request
    host = urlsplit(request.url).netloc if request is not None and isinstance(request.url, str) else ""
    cause = _chain(error)[-1]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not trusted: {cause.verify_message}"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy on the way to {host}: {text}"
    if isinstance(cause, socket.gaierror):
        return f"no address is known for {host}"
    return f"{host}: {text}" if host and host not in text else text


def _said(error: Exception) -> str:
    """The message in an answer that google-auth keeps as it came."""
    try:
        return str(json.loads(str(error.args[1]))["error"]["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        return str(error.args[-1])


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
    text = re.sub(r"^<[^>]*>: |\(Caused by .*$|^\[Errno -?\d+\] ", "", str(_chain(error)[-1]))
    return text or type(error).__name__
