"""What Google's refusals mean, and what to do about each.

Reasons are those of google/api/error_reason.proto and of each service; texts are looked at only where there is none.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from typing import Any

from google.auth.exceptions import GoogleAuthError, OAuthError, RefreshError

from bentoship.errors import CloudError, RegistryError, causes

LOGIN = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to the file with a service account's key, "
    "or log in: gcloud auth application-default login"
)

_CONSOLE = "https://console.cloud.google.com"
_ADDRESS = "Check GCP_API_ENDPOINT: https:// for TLS, http:// for none."
_NETWORK = "Check that this machine is on the network, and whether a proxy or firewall lies between."

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

_STATUSES = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 14: 503, 16: 401}
"""The HTTP statuses of the codes by which operations fail (google/rpc/code.proto)."""


@dataclass(frozen=True)
class Caller:
    """As whom, and about what, Google is asked.

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


class ApiError(CloudError):
    """An API of Google's refused, or could not be reached.

    Args:
        status: the HTTP status of the answer; 0 when none of Google's came.
        reason: Google's name for what is wrong ("SERVICE_DISABLED"); empty when it gives none.
        temporary: whether the same call may succeed later.
        retry_after: the seconds after which a quota that is exceeded has room again; 0 when they are unknown.
    """

    def __init__(
        self,
        doing: str,
        why: str,
        hint: str,
        *,
        status: int = 0,
        reason: str = "",
        temporary: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(doing, why, hint)
        self.status = status
        self.reason = reason
        self.temporary = temporary
        self.retry_after = retry_after


def refusal(doing: str, content: Mapping[str, Any], caller: Caller) -> ApiError:
    """Return the error for a google.rpc.Status, in Google's own words, and with what to do next.

    Args:
        doing: what was being done.
        content: "code" (of HTTP, or of google.rpc.Code), "message" and "details".
        caller: who asked.
    """
    details = {str(detail.get("@type", "")).rpartition(".")[2]: detail for detail in content.get("details", ())}
    info = details.get("ErrorInfo", {})
    text, reason = str(content.get("message", "")), str(info.get("reason", ""))
    status = _STATUSES.get(code := content.get("code", 0), code)
    words = text.partition("\nHelp Token:")[0]
    delay = str(details.get("RetryInfo", {}).get("retryDelay", "0s"))
    return ApiError(
        doing,
        words if len(words) <= 400 else f"{words[:400]}…",
        _hint(status, reason, text, info.get("metadata", {}), caller),
        status=status,
        reason=reason,
        temporary=status >= 500 and status != 504,
        retry_after=float(delay.removesuffix("s")) if status == 429 else 0.0,
    )


def foreign(doing: str, host: str, status: int, caller: Caller) -> ApiError:
    """Return the error for an answer that is not in Google's form: another server's, or that of one on the way."""
    if status >= 500:
        message = f"{host} answered HTTP {status} {responses.get(status, '')}".strip()
        return refusal(doing, {"code": status, "message": message}, caller)
    return ApiError(doing, f"{host} does not answer as Google's APIs do (HTTP {status})", _ADDRESS)


def unreached(doing: str, error: RegistryError, caller: Caller, *, local: bool = False) -> ApiError:
    """Return the error for a server of Google's that gave no answer.

    Args:
        doing: what was being done.
        error: why, or what is wrong with the settings for connections.
        caller: who asked.
        local: whether the server is on this machine, where the settings have it.
    """
    hint, root = _NETWORK, causes(error)[-1]
    if error.doing != doing or "certificate" in error.why:
        hint = error.hint
    elif " 407 " in error.why:  # "Tunnel connection failed: 407 Proxy Authentication Required"
        hint = "The proxy wants an account: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    elif error.why.startswith("the proxy "):
        hint = f"Check HTTPS_PROXY, which is {caller.proxy}, and NO_PROXY." if caller.proxy else error.hint
    elif " speak" in error.why:  # "speaks HTTP, not TLS", "does not speak HTTP"
        hint = _ADDRESS
    elif local and isinstance(root, ConnectionRefusedError):
        hint = f"Nothing listens there. {_ADDRESS}"
    # Who has not answered within the deadline is not waited for a second time.
    temporary = error.temporary and not isinstance(root, TimeoutError)
    return ApiError(error.doing, error.why, hint, temporary=temporary)


def permission_hint(permission: str, caller: Caller) -> str:
    """Return which role an account lacks, and how it is given; permission: empty when Google does not name it."""
    role = _ROLES.get(permission, "")
    if not permission:
        return f"We asked as {caller.account}: does that account have a role on {caller.project}?"
    if not role:
        return f"{caller.account} lacks {permission} on {caller.project}."
    return (
        f"{caller.account} needs {role} on {caller.project}; one of its owners gives it:\n"
        f"gcloud projects add-iam-policy-binding {caller.project} "
        f"--member={shlex.quote(_member(caller.account))} --role={role}"
    )


def _member(account: str) -> str:
    """Return what an account is called in a policy (cloud.google.com/iam/docs/principal-identifiers)."""
    if pool := re.search(r"//(iam\.googleapis\.com/.*/workloadIdentityPools/[^/]+)", account):
        return f"principalSet://{pool[1]}/*"  # all that come by it
    if "@" not in account:
        return "user:EMAIL"
    return f"{'serviceAccount' if account.endswith('.gserviceaccount.com') else 'user'}:{account}"


def _hint(status: int, reason: str, text: str, metadata: Mapping[str, str], caller: Caller) -> str:
    """Return what to do next about a refusal, by its reason, else its words, else its kind."""
    project = caller.project
    if reason == "SERVICE_DISABLED":
        service = metadata.get("service", "")
        if caller.payer not in ("", project):
            return (
                f"The credentials have calls counted for {caller.payer}, where it has to be enabled, too. Have them "
                f"counted for {project}: gcloud auth application-default set-quota-project {project}"
            )
        if service == "artifactregistry.googleapis.com":
            return "Enable it: invoke enable-api. (After enabling it takes effect within minutes.)"
        return f"Enable it: gcloud services enable {service or 'THE-API'} --project {project}"
    if "BILLING" in reason or "billing" in text.lower():
        return f"Link a billing account to the project: {_CONSOLE}/billing/linkedaccount?project={project}"
    if "constraint" in text.lower() or "ORG" in reason or "organization policy" in text.lower():
        return (
            "A policy of the organisation forbids it: choose a location or project that it allows, "
            "or ask the organisation's administrators."
        )
    if reason == "LOCATION_POLICY_VIOLATED":
        return (
            "Check GCP_CONTAINER_REGISTRY_LOCATION: `invoke locations` lists them, "
            "of which a few are open only to projects that have asked for them."
        )
    no_project = status in (403, 404) and re.search(r"(?i)project\b.*\bnot found", text)
    if no_project or reason in ("CONSUMER_INVALID", "RESOURCE_PROJECT_INVALID"):
        return f"Check GCP_PROJECT_ID ({project}): `invoke projects` lists those that {caller.account} may see."
    if status == 429 or "quota" in text.lower():
        return f"Wait a minute and go on, or ask for more: {_CONSOLE}/iam-admin/quotas?project={project}"
    if reason == "USER_PROJECT_DENIED":
        return f"Have calls counted for another project: gcloud auth application-default set-quota-project {project}"
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return f"The credentials were not made for Google Cloud (scope cloud-platform). {caller.login or LOGIN}"
    if reason == "ACCOUNT_STATE_INVALID":
        return f"{caller.account} is disabled or deleted: have it enabled, or choose other credentials."
    if status == 401:
        return f"The credentials of {caller.account} do not hold any more. {caller.login or LOGIN}"
    if status == 403:
        permission = metadata.get("permission", "") or next(iter(re.findall(r"'([a-z]+\.\w+\.\w+)'", text)), "")
        return permission_hint(permission, caller)
    if status == 400:
        return (
            "Check the settings GCP_CONTAINER_REGISTRY_…: the name is of a-z, 0-9 and - with a letter first, "
            "and `.env.example` explains the others."
        )
    if status >= 500:
        return "Google has a trouble of its own: try again later. https://status.cloud.google.com tells of great ones."
    return ""


def login_error(doing: str, error: GoogleAuthError, caller: Caller) -> CloudError:
    """Return the error for a token that is not had, in google-auth's words, and with what to do about that."""
    if network := next((cause for cause in causes(error) if isinstance(cause, RegistryError)), None):
        return unreached(doing, network, caller)
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return CloudError(doing, *_login_failure(words, error, caller))


def _login_failure(words: str, error: GoogleAuthError, caller: Caller) -> tuple[str, str]:
    if "short-lived token" in words or "Token used too early" in words or "iat" in words.split():
        return words, "The clock of this machine is wrong; set it, e.g. with: timedatectl set-ntp true"
    if "Invalid JWT Signature" in words or "account not found" in words or "Invalid JWT" in words:
        return words, "The key, or its service account, was deleted: make a new key, or choose other credentials."
    if "impersonated" in words:
        return f"{words}: {_message(error)}", (
            f"{caller.account} has to let us be it: roles/iam.workloadIdentityUser on it for a job of GitHub's, "
            "roles/iam.serviceAccountTokenCreator for a person."
        )
    if isinstance(error, OAuthError):
        return words, (
            "The workload identity pool's provider does not believe who we are: check its attribute condition, "
            "and that GOOGLE_APPLICATION_CREDENTIALS names it."
        )
    if isinstance(error, RefreshError):
        return words, f"The credentials do not hold any more. {caller.login or LOGIN}"
    return words, LOGIN


def _message(error: Exception) -> str:
    """Return the message in an answer that google-auth keeps as it came."""
    try:
        return str(json.loads(str(error.args[1]))["error"]["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        return str(error.args[-1])
