"""The REST side: who calls is checked, calls are counted, faults come in, refusals are sent as Google sends them.

Paths and bodies are those that Google's discovery documents name, read as google/api/http.proto has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from google.protobuf.message import Message
from tests.support.google import errors, keys
from tests.support.google.errors import RefusalError
from tests.support.google.faults import Answer
from tests.support.google.state import CLOUD_PLATFORM, Account, Project, State
from tests.support.google.web import Handler, document

_MAX_PAGE = 1000


@dataclass(frozen=True)
class Call:
    """One call of a method.

    Args:
        state: of everything.
        account: who calls.
        host: the API, "artifactregistry.googleapis.com".
        method: "google.devtools.artifactregistry.v1.ArtifactRegistry.GetRepository".
    """

    state: State
    account: Account
    host: str
    method: str

    @property
    def name(self) -> str:
        """The method's own name."""
        return self.method.rpartition(".")[2]

    def project(self, called: str) -> Project:
        """The project of that id or number, in which this API can be used. Raises RefusalError."""
        project = self.state.find_project(called)
        if not project:
            raise errors.consumer_invalid(self.host, called)
        self.state.check_api(project, self.host, called)
        return project

    def require(self, permission: str, resource: str) -> None:
        """Raise RefusalError unless the account has the permission."""
        if not self.account.may(permission, resource):
            raise errors.permission_denied(self.host, permission, resource)


@dataclass(frozen=True)
class Method:
    """A method of an API.

    Args:
        host: the API that it belongs to.
        service: its service's full name.
        verb: of HTTP.
        path: with a field of the request in braces, "/v1/{name=projects/*}/locations".
        answer: answers it, and has its name.
        request: the type of what is asked (protobuf's or proto-plus').
        body: the field that the body is; "*" for the request itself.
    """

    host: str
    service: str
    verb: str
    path: str
    answer: Callable[[Call, Any], Any]
    request: Any
    body: str = "*"

    @property
    def full_name(self) -> str:
        """As Google calls it."""
        return f"{self.service}.{self.answer.__name__.title().replace('_', '')}"

    def match(self, verb: str, path: str) -> dict[str, str] | None:
        """The fields that a path holds; None when it is another method's."""
        begin, field, pattern, end = re.fullmatch(r"([^{]*)(?:{([\w.]+)=([^}]*)})?(.*)", self.path, re.S).groups()  # type: ignore[union-attr]
        wanted = rf"{re.escape(begin)}({(pattern or '').replace('*', '[^/]+')}){re.escape(end)}"
        found = re.fullmatch(wanted, path) if verb == self.verb else None
        if not found:
            return None
        # A slash that is part of a name stays as it was sent (http.proto, "Path template syntax").
        return {field: unquote(found[1].replace("%2F", "%252F"))} if field else {}

    def read(self, path: Mapping[str, str], query: Mapping[str, list[str]], body: bytes) -> Any:
        """The request. Raises RefusalError when there is no such field in one."""
        request = self.request()
        message = self.request.pb(request) if hasattr(self.request, "pb") else request
        try:
            content = json.loads(body or b"{}")
            content = content if self.body == "*" else {self.body: content}
            for name, values in query.items():
                if not name.startswith("$"):  # how the answer is to be written
                    field = message.DESCRIPTOR.fields_by_camelcase_name.get(name)
                    content[name] = values if field and field.is_repeated else values[-1]
            for name, value in path.items():
                *parents, last = name.split(".")
                inner = content
                for parent in parents:
                    inner = inner.setdefault(parent, {})
                inner[last] = value
            json_format.ParseDict(content, message)
        except (ValueError, TypeError, json_format.ParseError) as error:
            raise errors.payload_invalid(str(error)) from error
        return request


class ApiHandler(Handler):
    """One connection to the APIs; `methods` are those that there are."""

    methods: tuple[Method, ...] = ()

    def respond(self) -> Answer:
        """The answer of the method that the path names."""
        for method in self.methods:
            if (path := method.match(self.command, self.place)) is not None:
                try:
                    return document(200, self._call(method, path))
                except RefusalError as refusal:
                    self.note += f": {refusal.message}"
                    return document(refusal.status, refusal.document())
        return Answer(404, b"<title>Error 404 (Not Found)!!1</title>", {"Content-Type": "text/html; charset=UTF-8"})

    def _call(self, method: Method, path: Mapping[str, str]) -> Any:
        state, full = self.state, method.full_name
        name = full.rpartition(".")[2]
        self.note = f" {'.'.join(full.split('.')[-2:])}"
        with state.lock:
            state.calls.append(name)
        state.fail(name)
        account = authenticate(state, self.headers, method.host, full)
        self.note += f" {account.email}"
        request = method.read(path, self.query, b"".join(self.body))
        answer = method.answer(Call(state, account, method.host, full), request)
        if isinstance(answer, dict):
            return answer
        return json_format.MessageToDict(answer if isinstance(answer, Message) else type(answer).pb(answer))


def page(items: list[Any], size: int, token: str) -> tuple[list[Any], str]:
    """One page of a list, and the token of the next. Raises RefusalError for a token that is none."""
    if token and not token.isdecimal():
        raise errors.invalid_argument()
    begin = int(token or 0)
    end = begin + min(size or _MAX_PAGE, _MAX_PAGE)
    return items[begin:end], str(end) if end < len(items) else ""


def authenticate(state: State, headers: Any, host: str, method: str) -> Account:
    """Whose call this is. Raises RefusalError when the token, or the project that is to pay, is none of its own."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value:
        raise errors.credentials_missing(host, method)
    token = state.tokens.get(value)
    # Service accounts may sign for themselves that they are who they are (self-signed JWT, AIP-4111).
    email, scopes = (token.account, token.scopes) if token else keys.self_signed(state, value, host)
    if not email or (token and token.kind != "access"):
        raise errors.credentials_invalid("ACCESS_TOKEN_TYPE_UNSUPPORTED", host, method)
    if token and token.ended:
        raise errors.credentials_invalid("ACCESS_TOKEN_EXPIRED", host, method)
    account = state.accounts.get(email)
    if not account or account.disabled:
        raise errors.credentials_invalid("ACCOUNT_STATE_INVALID", host, method)
    if CLOUD_PLATFORM not in scopes:
        raise errors.scope_insufficient(host, method)
    if pays := headers.get("x-goog-user-project", ""):
        project = state.find_project(pays)
        if not project or not account.may("serviceusage.services.use", f"projects/{project.id}"):
            raise errors.user_project_denied(host, pays)
    return account
