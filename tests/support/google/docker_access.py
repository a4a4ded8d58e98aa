"""Who may do what at the Docker endpoint, and its own tokens (Artifact Registry, "Docker API")."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.support.google import keys
from tests.support.google.artifacts import HOST
from tests.support.google.errors import RefusalError
from tests.support.google.faults import Answer
from tests.support.google.state import State, Token
from tests.support.google.web import Handler, StopError, document

ANYBODY = "allUsers"
"""Whose rights everybody has, logged in or not."""

_PERMISSIONS = {
    "pull": "artifactregistry.repositories.downloadArtifacts",
    "push": "artifactregistry.repositories.uploadArtifacts",
    "delete": "artifactregistry.versions.delete",
}
_TOKEN_USERS = {"oauth2accesstoken", "_dcgcloud_token", "_token"}
_CREDENTIALS = "not authenticated: No valid credential was supplied."


@dataclass(frozen=True)
class Place:
    """Where an image is.

    Args:
        name: the whole path, "PROJECT/REPOSITORY/IMAGE".
        repository: as the API calls it, "projects/PROJECT/locations/LOCATION/repositories/REPOSITORY".
        image: below it, may hold slashes.
    """

    name: str
    repository: str
    image: str

    @property
    def short(self) -> str:
        """The repository's own name."""
        return self.repository.rpartition("/")[2]


@dataclass(frozen=True)
class Caller:
    """Who asks: the account's name (empty for nobody), and with which token."""

    email: str
    token: Token | None = None


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    """A refusal in the form of the OCI distribution spec."""
    return document(status, {"errors": [{"code": code, "message": message}]}, headers)


def challenge(handler: Handler) -> Answer:
    """The refusal of somebody unknown, which tells where tokens are; without a scope."""
    host = handler.headers.get("Host", "")
    scheme = "https" if hasattr(handler.connection, "context") else "http"
    value = f'Bearer realm="{scheme}://{host}/v2/token",service="{host}"'
    return error(401, "UNAUTHORIZED", _CREDENTIALS, {"WWW-Authenticate": value})


def find_place(handler: Handler, name: str) -> Place:
    """The parts of a path. Raises StopError when one is missing."""
    project, _, rest = name.partition("/")
    repository, _, image = rest.partition("/")
    if not image:
        message = "Missing image name. Pushes should be of the form docker push HOST-NAME/PROJECT-ID/REPOSITORY/IMAGE"
        raise StopError(error(400, "NAME_INVALID", message))
    host = re.match(r"(.+)-docker\.pkg\.dev", handler.headers.get("Host", ""))
    location = host[1] if host else handler.state.docker_location
    full = f"projects/{project}/locations/{location}/repositories/{repository}"
    return Place(name, full, image)


def check(handler: Handler, target: Place, *actions: str) -> Caller:
    """Who asks, after making sure that they may; raises StopError."""
    asking = caller(handler)
    anonymous = handler.headers.get("Authorization") is None
    if not asking or (anonymous and not _held(handler.state, asking, target, *actions)):
        raise StopError(challenge(handler))
    if asking.token and asking.token.kind == "docker" and not _within(asking.token, target, actions):
        raise StopError(challenge(handler))
    permit(handler.state, asking, target, *actions)
    return asking


def permit(state: State, asking: Caller, target: Place, *actions: str) -> None:
    """Raise StopError unless the caller may do this, and there is such a repository."""
    project = target.repository.split("/")[1]
    found = state.find_project(project)
    if found:
        try:
            state.check_api(found, HOST, project)
        except RefusalError as refusal:
            raise StopError(error(403, "DENIED", refusal.message)) from refusal
    for action in actions:
        if not found or not _held(state, asking, target, action):
            denied = f'"{_PERMISSIONS[action]}"'
            resource = f'on resource "{target.repository}" (or it may not exist)'
            if asking.email:
                raise StopError(error(403, "DENIED", f"Permission {denied} denied {resource}"))
            begin = "Unauthenticated request. Unauthenticated requests do not have permission"
            raise StopError(error(403, "DENIED", f"{begin} {denied} {resource}"))
    if target.repository not in state.repositories:
        raise StopError(error(404, "NAME_UNKNOWN", f'Repository "{target.short}" not found'))


def issue(handler: Handler) -> Answer:
    """/v2/token: a token for what is asked, or the reason why not."""
    state = handler.state
    asking = caller(handler)
    if not asking:
        raise StopError(error(401, "UNAUTHORIZED", "authentication failed"))
    granted = []
    for scope in " ".join(handler.query.get("scope", [])).split():
        match = re.fullmatch(r"repository:([^:]+):([a-z,*]+)", scope)
        if not match:
            raise StopError(error(400, "NAME_INVALID", f"invalid scope {scope}"))
        # What is sent is asked for first: who may push, may pull.
        actions = sorted({"pull", "push", "delete"} & set(match[2].replace("*", "pull,push").split(",")), reverse=True)
        permit(state, asking, find_place(handler, match[1]), *actions)
        granted.append(f"{match[1]}:{','.join(actions)}")
    issued = state.issue(asking.email, tuple(granted), "docker", state.docker_token_seconds)
    issued.bytes_left = state.docker_token_bytes
    content = {
        "expires_in": round(state.docker_token_seconds),
        "issued_at": datetime.now(UTC).isoformat(),
        "token": issued.value,
    }
    return document(200, content)


def caller(handler: Handler) -> Caller | None:
    """Who asks; None when what they show is not good."""
    state = handler.state
    scheme, _, value = handler.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return Caller("")
    if scheme.lower() == "bearer":
        return _of_token(state, value, "access", "docker")
    user, _, password = base64.b64decode(value + "==").decode("utf-8", "replace").partition(":")
    if user in _TOKEN_USERS:
        return _of_token(state, password, "access")
    if user == "_json_key_base64":
        password = base64.b64decode(password + "==").decode("utf-8", "replace")
    email = keys.holder(state, password) if user in {"_json_key", "_json_key_base64"} else ""
    return Caller(email) if email else None


def _of_token(state: State, value: str, *kinds: str) -> Caller | None:
    token = state.tokens.get(value)
    if not token or token.ended or token.kind not in kinds:
        return None
    if token.account and state.account(token.account).disabled:
        return None
    return Caller(token.account, token)


def _held(state: State, asking: Caller, target: Place, *actions: str) -> bool:
    accounts = [state.accounts.get(email) for email in (asking.email, ANYBODY) if email]
    return all(
        any(account and account.may(_PERMISSIONS[action], target.repository) for account in accounts)
        for action in actions
    )


def _within(token: Token, target: Place, actions: tuple[str, ...]) -> bool:
    """Whether a token was given out for this."""
    granted = dict(scope.split(":") for scope in token.scopes)
    return set(actions) <= set(granted.get(target.name, "").split(","))
