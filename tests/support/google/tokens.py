"""Who is who over HTTP: OAuth 2 tokens, workload identity federation, the metadata server, and whose a token is.

Texts are those of Google's token endpoints (developers.google.com/identity/protocols/oauth2/service-account, "JWT
error codes"; google-auth's own handling of invalid_rapt).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

from google.auth import crypt, jwt
from tests.support.google import keys
from tests.support.google.faults import Answer
from tests.support.google.state import CLOUD_PLATFORM, EMAIL_SCOPE, State, Token
from tests.support.google.web import Handler, document

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
OIDC_SUBJECT = "repo:swiss-ai-center/celestial-bodies:ref:refs/heads/main"
OIDC_REQUEST_TOKEN = "request-token"
POOL = "locations/global/workloadIdentityPools/github/providers/github"

_OIDC_KEY = 1
_OIDC_SECONDS = 300
_METADATA = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}


class TokenHandler(Handler):
    """All of these on one port."""

    def respond(self) -> Answer:
        """The answer of the first address that fits."""
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, unquote(self.place))
            if match and self.command == method:
                return answer(self, match)
        return document(404, {"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}})


def token(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """oauth2.googleapis.com/token."""
    form = handler.form()
    grants = {JWT_BEARER: _jwt_bearer, "refresh_token": _refresh}
    grant = grants.get(form.get("grant_type", ""))
    if not grant:
        return _error(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    return grant(handler.state, form)


def _jwt_bearer(state: State, form: dict[str, str]) -> Answer:
    try:
        content = keys.claims(state, form.get("assertion", ""))
    except keys.WrongJWTError as error:
        return _error(400, "invalid_grant", str(error))
    if not str(content.get("aud", "")).endswith("/token"):
        message = "Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token"
        return _error(400, "invalid_grant", message)
    scopes = tuple(str(content.get("scope", "")).split())
    if not scopes:
        return _error(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    if state.accounts[content["iss"]].disabled:
        return _error(400, "invalid_grant", "Invalid grant: account not found")
    return _issued(state.issue(content["iss"], scopes))


def _refresh(state: State, form: dict[str, str]) -> Answer:
    sent = form.get("refresh_token", "")
    for account in list(state.accounts.values()):
        if sent in account.refresh_tokens and not account.disabled:
            if account.reauthenticate:
                # The organization wants its people to log in again from time to time.
                body = {
                    "error": "invalid_grant",
                    "error_description": "reauth related error (invalid_rapt)",
                    "error_uri": "https://support.google.com/a/answer/9368756",
                    "error_subtype": "invalid_rapt",
                }
                return document(400, body)
            granted = account.refresh_tokens[sent]
            scopes = tuple(form.get("scope", "").split()) or granted
            if not set(scopes) <= set(granted):
                return _error(400, "invalid_scope", "Bad Request")
            return _issued(state.issue(account.email, scopes))
    return _error(400, "invalid_grant", "Token has been expired or revoked.")


def exchange(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """sts.googleapis.com/v1/token: another's identity becomes a token of Google's."""
    form = handler.form()
    state = handler.state
    if form.get("grant_type") != TOKEN_EXCHANGE:
        return _error(400, "unsupported_grant_type", f"Unsupported grant type: {form.get('grant_type', '')}")
    audience = re.fullmatch(rf"//iam\.googleapis\.com/projects/(\d+)/{POOL}", form.get("audience", ""))
    if not audience or not state.find_project(audience[1]):
        return _error(
            400,
            "invalid_request",
            'Invalid value for "audience". This value should be the full resource name of the Identity Provider. See '
            "https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        )
    subject = _oidc_subject(form.get("subject_token", ""), form["audience"])
    if not subject:
        return _error(400, "invalid_grant", "The given credential is rejected by the attribute condition.")
    issued = state.issue(principal(int(audience[1]), subject), tuple(form.get("scope", "").split()))
    answer = {
        "access_token": issued.value,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": _seconds(issued),
    }
    return document(200, answer)


def principal(number: int, subject: str = OIDC_SUBJECT) -> str:
    """How IAM calls somebody of the pool in a project of that number."""
    return f"principal://iam.googleapis.com/projects/{number}/{POOL.partition('/providers/')[0]}/subject/{subject}"


def impersonate(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """iamcredentials.googleapis.com: generateAccessToken."""
    form = handler.form()
    state = handler.state
    caller = _bearer(handler)
    if not caller:
        return _api_error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    target = state.accounts.get(match[1])
    permission = "iam.serviceAccounts.getAccessToken"
    allowed = state.account(caller.account).may(permission, f"projects/-/serviceAccounts/{match[1]}")
    if not target or target.disabled or not allowed:
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "IAM_PERMISSION_DENIED",
            "domain": "iam.googleapis.com",
            "metadata": {"permission": permission},
        }
        message = f"Permission '{permission}' denied on resource (or it may not exist)."
        return _api_error(403, "PERMISSION_DENIED", message, info)
    issued = state.issue(target.email, tuple(form.get("scope", [])))
    ends = datetime.fromtimestamp(int(issued.ends), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return document(200, {"accessToken": issued.value, "expireTime": ends})


def oidc(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """An identity provider as GitHub Actions has one: says who the job is."""
    if handler.headers.get("Authorization") != f"bearer {OIDC_REQUEST_TOKEN}":
        return document(401, {"message": "Unauthorized"})
    now = int(time.time())
    claims = {
        "iss": "https://token.actions.githubusercontent.com",
        "sub": OIDC_SUBJECT,
        "aud": handler.query.get("audience", [""])[0],
        "iat": now,
        "exp": now + _OIDC_SECONDS,
    }
    signer = crypt.RSASigner.from_string(keys.pair(_OIDC_KEY)[0])  # type: ignore[no-untyped-call]
    value = jwt.encode(signer, claims).decode()  # type: ignore[no-untyped-call]
    return document(200, {"count": len(value), "value": value})


def _oidc_subject(value: str, audience: str) -> str:
    """Who an OIDC token says somebody is; empty when it is not believed."""
    try:
        content = jwt.decode(value, certs=keys.pair(_OIDC_KEY)[1], audience=[audience, f"https:{audience}"])  # type: ignore[no-untyped-call]
    except ValueError:
        return ""
    return str(content["sub"])


def tokeninfo(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """oauth2.googleapis.com/tokeninfo: names the account when the token was made for that."""
    found = handler.state.tokens.get(handler.query.get("access_token", [""])[0])
    if not found or found.ended or found.kind != "access":
        return _error(400, "invalid_token", "Invalid Value")
    client = "123456789012-client.apps.googleusercontent.com"
    content = {
        "azp": client,
        "aud": client,
        "scope": " ".join(found.scopes),
        "exp": str(int(found.ends)),
        "expires_in": str(_seconds(found)),
        "access_type": "online",
    }
    return document(200, content | _identity(found))


def userinfo(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """openidconnect.googleapis.com/v1/userinfo."""
    found = _bearer(handler)
    if not found:
        return _error(401, "invalid_request", "Invalid Credentials")
    return document(200, {"sub": "101234567890123456789"} | _identity(found, verified=True))


def _identity(found: Token, verified: object = "true") -> dict[str, object]:
    known = EMAIL_SCOPE in found.scopes or "email" in found.scopes
    return {"email": found.account, "email_verified": verified} if known else {}


def metadata(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """metadata.google.internal, of a machine in the first project."""
    if handler.headers.get("Metadata-Flavor") != "Google" and match[1]:
        return Answer(403, b"Missing Metadata-Flavor:Google header.", _METADATA)
    state = handler.state
    project = next(iter(state.projects.values()))
    email, scopes = state.machine_account, [CLOUD_PLATFORM, EMAIL_SCOPE]
    accounts = "instance/service-accounts"
    texts = {
        "": "computeMetadata/\n",
        "project/project-id": project.id,
        "project/numeric-project-id": str(project.number),
        "universe/universe-domain": "googleapis.com",
    }
    path = match[2] or ""
    if path in texts:
        return Answer(200, texts[path].encode(), {"Content-Type": "application/text", **_METADATA})
    of_account = re.fullmatch(rf"{accounts}/(default|{re.escape(email)})/(|email|scopes|token)", path)
    if not of_account or not email:
        return Answer(404, b"Not Found", {"Content-Type": "text/html; charset=UTF-8", **_METADATA})
    if of_account[2] == "token":
        asked = tuple(handler.query.get("scopes", [",".join(scopes)])[0].split(","))
        issued = state.issue(email, asked)
        answer = {"access_token": issued.value, "expires_in": _seconds(issued), "token_type": "Bearer"}
        return document(200, answer, _METADATA)
    if not of_account[2]:
        return document(200, {"aliases": ["default"], "email": email, "scopes": scopes}, _METADATA)
    text = email if of_account[2] == "email" else "\n".join(scopes) + "\n"
    return Answer(200, text.encode(), {"Content-Type": "application/text", **_METADATA})


def locations(handler: TokenHandler, match: re.Match[str]) -> Answer:
    """iamcredentials.googleapis.com: where an account may be used, which google-auth asks beside the first call."""
    return document(200, {"locations": [], "encodedLocations": "0x0"})


def _bearer(handler: TokenHandler) -> Token | None:
    value = handler.headers.get("Authorization", "").partition(" ")[2]
    found = handler.state.tokens.get(value)
    return found if found and not found.ended and found.kind == "access" else None


def _issued(issued: Token) -> Answer:
    body = {"access_token": issued.value, "expires_in": _seconds(issued), "token_type": "Bearer"}
    return document(200, body | {"scope": " ".join(issued.scopes)})


def _seconds(issued: Token) -> int:
    return max(0, round(issued.ends - time.time()))


def _error(status: int, error: str, description: str) -> Answer:
    return document(status, {"error": error, "error_description": description})


def _api_error(code: int, status: str, message: str, *details: object) -> Answer:
    return document(code, {"error": {"code": code, "message": message, "status": status, "details": details}})


_ROUTES: tuple[tuple[str, str, Callable[[TokenHandler, re.Match[str]], Answer]], ...] = (
    ("POST", "/token", token),
    ("POST", "/v1/token", exchange),
    ("POST", "/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken", impersonate),
    ("GET", "/v1/projects/.*/allowedLocations", locations),
    ("GET", "/oidc", oidc),
    ("GET", "/tokeninfo", tokeninfo),
    ("GET", "/(?:v1|oauth2/v3)/userinfo", userinfo),
    ("GET", "/(computeMetadata/v1/)?(.*)", metadata),
)
