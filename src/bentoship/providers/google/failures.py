"""Errors from Google's responses, with what to do about each.

Reasons are those of google/api/error_reason.proto and of each service; messages are searched only where there is none.
"""

import json
import re
import shlex
from collections.abc import Mapping
from http.client import responses
from typing import Any

from google.auth.exceptions import GoogleAuthError, OAuthError, RefreshError

from bentoship.errors import CloudError, RegistryError, causes
from bentoship.system.values import dataclass

LOGIN = (
    "Set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file, "
    "or log in: gcloud auth application-default login"
)

_CONSOLE = "https://console.cloud.google.com"
_ADDRESS = "Check GCP_API_ENDPOINT: https:// for TLS, http:// without."
_NETWORK = "Check this machine's network connection, and whether a proxy or firewall blocks it."

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
"""The smallest predefined role that grants a permission (cloud.google.com/iam/docs/roles-permissions)."""

_STATUSES = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 14: 503, 16: 401}
"""The HTTP statuses of an operation's error codes (google/rpc/code.proto)."""


@dataclass(frozen=True)
class Caller:
    """The account and project of a call, for error messages.

    Args:
        project: the project's id.
        account: the account's email address, or another description.
        login: a sentence on how to log in again; empty when that is unknown.
        proxy: the URL of the proxy; empty for none.
        payer: the quota project that the credentials name; empty for none.
    """

    project: str
    account: str
    login: str = ""
    proxy: str = ""
    payer: str = ""


class ApiError(CloudError):
    """A Google API refused a call or could not be reached.

    Args:
        status: the HTTP status of the response; 0 when Google did not respond.
        reason: Google's reason code ("SERVICE_DISABLED"); empty when there is none.
        retry_after: the seconds after which the same call may succeed; 0 when unknown, None for never.
    """

    def __init__(
        self,
        doing: str,
        why: str,
        hint: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(doing, why, hint)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def refusal(doing: str, content: Mapping[str, Any], caller: Caller) -> ApiError:
    """Return the error for a google.rpc.Status, in Google's own words, with what to do next.

    Args:
        doing: what was being done.
        content: "code" (an HTTP status, or a google.rpc.Code), "message" and "details".
        caller: the account and project of the call.
    """
    details = {str(detail.get("@type", "")).rpartition(".")[2]: detail for detail in content.get("details", ())}
    info = details.get("ErrorInfo", {})
    text, reason = str(content.get("message", "")), str(info.get("reason", ""))
    code = content.get("code", 0)
    status = _STATUSES.get(code, code)
    words = text.partition("\nHelp Token:")[0]
    retry_after = 0.0 if status >= 500 and status != 504 else None
    if status == 429 and (delay := details.get("RetryInfo", {}).get("retryDelay")):
        retry_after = float(str(delay).removesuffix("s"))
    return ApiError(
        doing,
        words if len(words) <= 400 else f"{words[:400]}…",
        _hint(status, reason, text, info.get("metadata", {}), caller),
        status=status,
        reason=reason,
        retry_after=retry_after,
    )


def foreign(doing: str, host: str, status: int, caller: Caller) -> ApiError:
    """Return the error for a response that is not in Google's format: from another server, or a proxy."""
    if status >= 500:
        message = f"{host} responded with HTTP {status} {responses.get(status, '')}".strip()
        return refusal(doing, {"code": status, "message": message}, caller)
    return ApiError(doing, f"{host} does not respond like a Google API (HTTP {status})", _ADDRESS)


def unreached(doing: str, error: RegistryError, caller: Caller, *, local: bool = False) -> ApiError:
    """Return the error for a Google server that did not respond.

    Args:
        doing: what was being done.
        error: the reason, or an error in the network settings.
        caller: the account and project of the call.
        local: whether the configured server is on this machine.
    """
    hint, root = _NETWORK, causes(error)[-1]
    if error.doing != doing or "certificate" in error.why:
        hint = error.hint
    elif " 407 " in error.why:  # "Tunnel connection failed: 407 Proxy Authentication Required"
        hint = "The proxy requires a login: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
    elif error.why.startswith("the proxy "):
        hint = f"Check HTTPS_PROXY, which is {caller.proxy}, and NO_PROXY." if caller.proxy else error.hint
    elif " speak" in error.why:  # "speaks HTTP, not TLS", "does not speak HTTP"
        hint = _ADDRESS
    elif local and isinstance(root, ConnectionRefusedError):
        hint = f"Nothing listens there. {_ADDRESS}"
    # After a timeout there is no second attempt: it would take as long again.
    temporary = error.temporary and not isinstance(root, TimeoutError)
    return ApiError(error.doing, error.why, hint, retry_after=0.0 if temporary else None)


def permission_hint(permission: str, caller: Caller) -> str:
    """Return which role an account lacks and how to grant it. Args: permission: empty when Google does not name it."""
    role = _ROLES.get(permission, "")
    if not permission:
        return f"The account used is {caller.account}: check that it has a role on {caller.project}."
    if not role:
        return f"{caller.account} lacks {permission} on {caller.project}."
    return (
        f"{caller.account} needs {role} on {caller.project}; an owner of the project can grant it:\n"
        f"gcloud projects add-iam-policy-binding {caller.project} "
        f"--member={shlex.quote(_member(caller.account))} --role={role}"
    )


def _member(account: str) -> str:
    """Return an account's principal identifier in a policy (cloud.google.com/iam/docs/principal-identifiers)."""
    if pool := re.search(r"//(iam\.googleapis\.com/.*/workloadIdentityPools/[^/]+)", account):
        return f"principalSet://{pool[1]}/*"  # all identities of the pool
    if "@" not in account:
        return "user:EMAIL"
    return f"{'serviceAccount' if account.endswith('.gserviceaccount.com') else 'user'}:{account}"


def _hint(status: int, reason: str, text: str, metadata: Mapping[str, str], caller: Caller) -> str:
    """Return what to do next about an error, by its reason, else its message, else its status."""
    project = caller.project
    if reason == "SERVICE_DISABLED":
        service = metadata.get("service", "")
        if caller.payer not in ("", project):
            return (
                f"The credentials' quota project is {caller.payer}, where the API has to be enabled, too. "
                f"Use {project} instead: gcloud auth application-default set-quota-project {project}"
            )
        if service == "artifactregistry.googleapis.com":
            return "Enable it: invoke enable-api. (It takes effect within minutes.)"
        return f"Enable it: gcloud services enable {service or 'THE-API'} --project {project}"
    if "BILLING" in reason or "billing" in text.lower():
        return f"Link a billing account to the project: {_CONSOLE}/billing/linkedaccount?project={project}"
    if "constraint" in text.lower() or "ORG" in reason or "organization policy" in text.lower():
        return (
            "An organisation policy forbids it: choose a location or project that the policy allows, "
            "or ask the organisation's administrators."
        )
    if reason == "LOCATION_POLICY_VIOLATED":
        return (
            "Check GCP_CONTAINER_REGISTRY_LOCATION: `invoke locations` lists the locations, "
            "a few of which are available only on request."
        )
    no_project = status in (403, 404) and re.search(r"(?i)project\b.*\bnot found", text)
    if no_project or reason in ("CONSUMER_INVALID", "RESOURCE_PROJECT_INVALID"):
        return f"Check GCP_PROJECT_ID ({project}): `invoke projects` lists the projects that {caller.account} may see."
    if status == 429 or "quota" in text.lower():
        return f"Wait a minute and try again, or request more: {_CONSOLE}/iam-admin/quotas?project={project}"
    if reason == "USER_PROJECT_DENIED":
        return f"Use another quota project: gcloud auth application-default set-quota-project {project}"
    if reason == "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
        return f"The credentials lack the scope cloud-platform. {caller.login or LOGIN}"
    if reason == "ACCOUNT_STATE_INVALID":
        return f"{caller.account} is disabled or deleted: enable it, or use other credentials."
    if status == 401:
        return f"The credentials of {caller.account} are no longer valid. {caller.login or LOGIN}"
    if status == 403:
        permission = metadata.get("permission", "") or next(iter(re.findall(r"'([a-z]+\.\w+\.\w+)'", text)), "")
        return permission_hint(permission, caller)
    if status == 400:
        return (
            "Check the settings GCP_CONTAINER_REGISTRY_…: the name consists of a-z, 0-9 and -, starting with a "
            "letter; `.env.example` explains the others."
        )
    if status >= 500:
        return "Google reported an internal error: try again later. Outages: https://status.cloud.google.com"
    return ""


def login_error(doing: str, error: GoogleAuthError, caller: Caller) -> CloudError:
    """Return the error for a failed login, in google-auth's words, with what to do next."""
    if network := next((cause for cause in causes(error) if isinstance(cause, RegistryError)), None):
        return unreached(doing, network, caller)
    words = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    return CloudError(doing, *_login_failure(words, error, caller))


def _login_failure(words: str, error: GoogleAuthError, caller: Caller) -> tuple[str, str]:
    if "short-lived token" in words or "Token used too early" in words or "iat" in words.split():
        return words, "This machine's clock is wrong; set it, for example with: timedatectl set-ntp true"
    if "Invalid JWT Signature" in words or "account not found" in words or "Invalid JWT" in words:
        return words, "The key or its service account was deleted: create a new key, or use other credentials."
    if "impersonated" in words:
        return f"{words}: {_message(error)}", (
            f"Impersonating {caller.account} needs a role on it: roles/iam.workloadIdentityUser for a GitHub job, "
            "roles/iam.serviceAccountTokenCreator for a user."
        )
    if isinstance(error, OAuthError):
        return words, (
            "The workload identity pool's provider rejected the identity: check its attribute condition, "
            "and that GOOGLE_APPLICATION_CREDENTIALS names this provider."
        )
    if isinstance(error, RefreshError):
        return words, f"The credentials are no longer valid. {caller.login or LOGIN}"
    return words, LOGIN


def _message(error: Exception) -> str:
    """Return the message in a response that google-auth passes on unparsed."""
    try:
        return str(json.loads(str(error.args[1]))["error"]["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        return str(error.args[-1])
