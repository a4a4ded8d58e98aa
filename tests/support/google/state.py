"""What this stand-in for Google Cloud knows: projects, accounts, tokens, repositories, operations."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from google.cloud.artifactregistry_v1.types import Repository
from google.longrunning import operations_pb2
from google.protobuf.message import Message
from tests.support.google import errors
from tests.support.google.errors import RefusalError
from tests.support.google.faults import Faults

CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
EMAIL_SCOPE = "https://www.googleapis.com/auth/userinfo.email"

SERVICES = {
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "compute.googleapis.com": "Compute Engine API",
    "containerscanning.googleapis.com": "Container Scanning API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "logging.googleapis.com": "Cloud Logging API",
    "run.googleapis.com": "Cloud Run Admin API",
    "serviceusage.googleapis.com": "Service Usage API",
    "storage.googleapis.com": "Cloud Storage API",
    "sts.googleapis.com": "Security Token Service API",
}
"""The APIs that can be enabled, and their titles."""

FREE = frozenset({"cloudresourcemanager.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com",
                  "logging.googleapis.com", "serviceusage.googleapis.com", "sts.googleapis.com"})  # fmt: skip
"""Those that need no billing."""


@dataclass
class Project:
    """A project.

    Args:
        id: "celestial-bodies-123456".
        number: of it; Google takes either.
        name: for people.
        billing: whether somebody pays for it.
        services: the APIs that are enabled.
        unseen: how many calls to an API will still be told that it is disabled.
        locations: those that the organization allows; None for all.
        restricted: APIs that the organization forbids.
    """

    id: str
    number: int
    name: str
    billing: bool = True
    services: set[str] = field(default_factory=lambda: set(FREE))
    unseen: dict[str, int] = field(default_factory=dict)
    locations: set[str] | None = None
    restricted: set[str] = field(default_factory=set)


@dataclass
class Account:
    """A user or a service account.

    Args:
        email: its name.
        allowed: what it may do: permission and beginning of the resource, the first with wildcards.
        denied: what it may not do nevertheless.
        keys: the public halves of its keys, PEM, by their ids.
        refresh_tokens: what applications may log in with for it, and their scopes.
        disabled: whether its tokens are refused.
        reauthenticate: whether its organization wants it to log in again before its refresh tokens are good again.
    """

    email: str
    allowed: set[tuple[str, str]] = field(default_factory=set)
    denied: set[tuple[str, str]] = field(default_factory=set)
    keys: dict[str, str] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[str, ...]] = field(default_factory=dict)
    disabled: bool = False
    reauthenticate: bool = False

    def may(self, permission: str, resource: str) -> bool:
        """Whether it has a permission on a resource ("projects/P/locations/L")."""

        def within(grants: set[tuple[str, str]]) -> bool:
            return any(
                fnmatchcase(permission, pattern) and f"{resource}/".startswith(f"{place}/" if place else "")
                for pattern, place in grants
            )

        return within(self.allowed) and not within(self.denied)


@dataclass
class Token:
    """Something that stands for an account for a while.

    Args:
        value: what is sent.
        account: whom it stands for; empty for nobody.
        ends: when, in seconds since 1970.
        scopes: what it was made for.
        kind: "access", or "docker".
        bytes_left: how much may be uploaded with it before it ends; None for no limit.
    """

    value: str
    account: str
    ends: float
    scopes: tuple[str, ...]
    kind: str = "access"
    bytes_left: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it is of no use any more."""
        return time.time() >= self.ends or (self.bytes_left is not None and self.bytes_left < 0)


@dataclass
class Operation:
    """Something that takes a while.

    Args:
        ready: when it is done, by time.monotonic.
        finish: does it, and gives the result.
        answer: what is known of it.
    """

    ready: float
    finish: Callable[[], Message]
    answer: operations_pb2.Operation


@dataclass
class Image:
    """A manifest in a repository.

    Args:
        path: below the repository, may hold slashes.
        digest: of the manifest.
        media_type: of it.
        size: of its config and layers, in bytes.
        uploaded: seconds since 1970.
        length: of the manifest, in bytes.
        content: the manifest.
        tags: those that stand for it.
    """

    path: str
    digest: str
    media_type: str
    size: int
    uploaded: int
    length: int
    content: dict[str, Any]
    tags: set[str] = field(default_factory=set)


@dataclass
class Request:
    """What was asked over HTTP, and how many bytes have come with it."""

    method: str
    path: str
    received: int = 0


class State:
    """All of it; who reads or changes more than one thing holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.projects: dict[str, Project] = {}
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}
        self.generations: dict[str, int] = {}
        self.coming: set[str] = set()
        self.operations: dict[str, Operation] = {}
        self.images: dict[str, dict[str, Image]] = {}
        self.uploads: dict[str, object] = {}
        self.downloads: dict[str, str] = {}
        self.registry = ""
        self.docker_location = "europe-west6"
        self.calls: list[str] = []
        self.requests: list[Request] = []
        self.faults = Faults()
        self.report: Callable[[str], None] = lambda line: None
        self.token_seconds = 3600.0
        self.docker_token_seconds = 3600.0
        self.docker_token_bytes: int | None = None
        self.operation_seconds = 0.0
        self.propagation_calls = 0
        self.machine_account = ""

    def account(self, email: str) -> Account:
        """The account of that name, made when it is new."""
        with self.lock:
            return self.accounts.setdefault(email, Account(email))

    def issue(self, account: str, scopes: tuple[str, ...], kind: str = "access", seconds: float = 0.0) -> Token:
        """A new token. Args: seconds: it lasts, instead of as long as all do."""
        shape = {"access": "ya29.c.", "docker": ""}[kind]
        value = shape + secrets.token_urlsafe(48)
        token = Token(value, account, time.time() + (seconds or self.token_seconds), scopes, kind)
        with self.lock:
            self.tokens[value] = token
        return token

    def find_project(self, name: str) -> Project | None:
        """The project of that id or number."""
        with self.lock:
            return self.projects.get(name) or next(
                (project for project in self.projects.values() if str(project.number) == name), None
            )

    def check_api(self, project: Project, host: str, called: str) -> None:
        """Raise RefusalError unless an API can be used in a project. Args: called: how it is named."""
        with self.lock:
            if host in project.restricted:
                raise errors.usage_restricted(host, project.number)
            unseen = project.unseen.get(host, 0)
            if host not in project.services or unseen:
                project.unseen[host] = max(0, unseen - 1)
                raise errors.service_disabled(host, SERVICES[host], called)
            if not project.billing and host not in FREE:
                raise errors.billing_disabled(host, called)

    def fail(self, call: str) -> None:
        """Let a call of an API hang or end as one of the faults has it, if any does. Raises RefusalError."""
        if fault := self.faults.take(call):
            self.ended.wait(fault.hang)
            if isinstance(fault.error, RefusalError):
                raise fault.error

    def begin(self, name: str, finish: Callable[[], Message], metadata: Message) -> operations_pb2.Operation:
        """Start something that takes operation_seconds."""
        operation = Operation(time.monotonic() + self.operation_seconds, finish, operations_pb2.Operation(name=name))
        operation.answer.metadata.Pack(metadata)
        with self.lock:
            self.operations[name] = operation
            self.settle()
            return operation.answer

    def settle(self) -> None:
        """Finish what is due."""
        with self.lock:
            for operation in list(self.operations.values()):
                if not operation.answer.done and time.monotonic() >= operation.ready:
                    operation.answer.done = True
                    try:
                        operation.answer.response.Pack(operation.finish())
                    except RefusalError as refusal:
                        operation.answer.error.CopyFrom(refusal.packed())

    def record(self, method: str, path: str) -> Request:
        """Keep what is asked over HTTP."""
        with self.lock:
            self.requests.append(Request(method, path))
            return self.requests[-1]

    def count(self, method: str, path: str = "") -> int:
        """How many such requests there were over HTTP. Args: path: that theirs contains, a regular expression."""
        with self.lock:
            return sum(asked.method == method and bool(re.search(path, asked.path)) for asked in self.requests)
