"""The gRPC side: who calls is checked, calls are counted, faults come in, refusals are sent as Google sends them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_status import rpc_status

from tests.support.google import errors, keys
from tests.support.google.errors import RefusalError
from tests.support.google.state import CLOUD_PLATFORM, Account, Project, State

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
    """How a method is answered, and the types of question and answer (protobuf's or proto-plus')."""

    answer: Callable[[Call, Any], Any]
    request: Any
    response: Any


@dataclass(frozen=True)
class Service:
    """A service: its full name, the API it belongs to, its methods by name."""

    name: str
    host: str
    methods: Mapping[str, Method]


@contextmanager
def serving(state: State, services: Iterable[Service], port: int, tls: Path | None = None) -> Iterator[int]:
    """A server on loopback, as long as the block lasts; gives its port.

    Args:
        state: of everything.
        services: what it serves.
        port: to listen on; 0 for any.
        tls: a folder with key.pem and certificate.pem, for a server that speaks TLS.
    """
    # Calls that hang keep their threads.
    pool = ThreadPoolExecutor(32, "google")
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(_handler(state, service) for service in services))
    address = f"127.0.0.1:{port}"
    if tls:
        pair = ((tls / "key.pem").read_bytes(), (tls / "certificate.pem").read_bytes())
        port = server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(1.0).wait()
        # What hangs ends with everything else.
        pool.shutdown(wait=state.ended.is_set())


def page(items: list[Any], size: int, token: str) -> tuple[list[Any], str]:
    """One page of a list, and the token of the next. Raises RefusalError for a token that is none."""
    if token and not token.isdecimal():
        raise errors.invalid_argument()
    begin = int(token or 0)
    end = begin + min(size or _MAX_PAGE, _MAX_PAGE)
    return items[begin:end], str(end) if end < len(items) else ""


def _handler(state: State, service: Service) -> Any:
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            functools.partial(_answer, state, service, name, method),
            request_deserializer=getattr(method.request, "deserialize", None) or method.request.FromString,
            response_serializer=getattr(method.response, "serialize", None) or method.response.SerializeToString,
        )
        for name, method in service.methods.items()
    }
    return grpc.method_handlers_generic_handler(service.name, handlers)


def _answer(
    state: State, service: Service, name: str, method: Method, request: Any, context: grpc.ServicerContext
) -> Any:
    begun = time.monotonic()
    said = ""
    with state.lock:
        state.calls.append(name)
    try:
        if fault := state.faults.take(name):
            state.ended.wait(fault.hang)
            if isinstance(fault.error, RefusalError):
                raise fault.error
        state.settle()
        full = f"{service.name}.{name}"
        metadata = dict(context.invocation_metadata())
        account = authenticate(state, metadata, service.host, full)
        said = f" {account.email}"
        return method.answer(Call(state, account, service.host, full), request)
    except RefusalError as refusal:
        said += f": {refusal.message}"
        context.abort_with_status(rpc_status.to_status(refusal.status()))
        raise
    finally:
        state.told(f"{service.name.rpartition('.')[2]}.{name}{said} ({(time.monotonic() - begun) * 1000:.0f} ms)")


def authenticate(state: State, metadata: Mapping[str, str | bytes], host: str, method: str) -> Account:
    """Whose call this is. Raises RefusalError when the token, or the project that is to pay, is none of its own."""
    scheme, _, value = str(metadata.get("authorization", "")).partition(" ")
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
    if pays := str(metadata.get("x-goog-user-project", "")):
        project = state.find_project(pays)
        if not project or not account.may("serviceusage.services.use", f"projects/{project.id}"):
            raise errors.user_project_denied(host, pays)
    return account
