"""A stand-in for Google Cloud that speaks its protocols to its real clients, on loopback: `with Google(tmp_path)`.

By hand: `python -m tests.support.google`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Self

from google.cloud.artifactregistry_v1.types import Repository
from tests.support.google import apis, artifacts, credentials, hosts, web
from tests.support.google.docker import DockerHandler
from tests.support.google.faults import Answer, Fault, Faults
from tests.support.google.state import Account, Project, State, Token
from tests.support.google.tokens import TokenHandler

__all__ = ["Account", "Answer", "Fault", "Google", "Project", "State", "Token"]

_EVERYTHING = "*"


class Google:
    """Google Cloud with one project, one service account that may do everything, and nothing in it.

    Args:
        folder: for keys and what the registry holds.
        port: the first of three to listen on (APIs, tokens, images); 0 for any.
        tls: a folder with key.pem and certificate.pem, for APIs and images over TLS; tokens stay on HTTP.
        report: gets a line for each call.
    """

    def __init__(
        self, folder: Path, *, port: int = 0, tls: Path | None = None, report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.folder = folder
        self.state = State()
        self.state.report = report
        self.project = self.add_project("celestial-bodies-123456", 123456789012, "Celestial Bodies")
        self.account = f"publisher@{self.project.id}.iam.gserviceaccount.com"
        self.repository = "mlops-registry"
        self.allow(self.account)
        self._port = port
        self._tls = tls
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # It needs bentoship, which is not found yet when this package is imported by `python -m`.
        from tests.support import registry

        ports = [self._port + number if self._port else 0 for number in range(3)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            self.state.registry = stack.enter_context(registry.running(self.folder / "registry")).host
            self.api_port = stack.enter_context(web.serving(self.state, apis.Handler, ports[0], self._tls))
            self.token_port = stack.enter_context(web.serving(self.state, TokenHandler, ports[1]))
            self.docker_port = stack.enter_context(web.serving(self.state, DockerHandler, ports[2], self._tls))
            self.key = self.service_account_key(self.folder / "key.json")
            stack.callback(self.state.ended.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def api_endpoint(self) -> str:
        """Where all APIs are."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.api_port}"

    @property
    def token_origin(self) -> str:
        """Where tokens are given out, and told whose they are."""
        return f"http://127.0.0.1:{self.token_port}"

    @property
    def docker_host(self) -> str:
        """Where images are."""
        return f"localhost:{self.docker_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What is to be put into .env."""
        return {
            "GCP_PROJECT_ID": self.project.id,
            "GCP_CONTAINER_REGISTRY_NAME": self.repository,
            "GCP_CONTAINER_REGISTRY_LOCATION": self.state.docker_location,
            "GCP_CONTAINER_REGISTRY_HOST": f"{self.docker_host}/{self.project.id}/{self.repository}",
            "GCP_API_ENDPOINT": self.api_endpoint,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "key.json"),
        }

    @property
    def machine_environment(self) -> dict[str, str]:
        """What lets google-auth find the metadata server here. (It reads them once, when it is imported.)"""
        host = f"127.0.0.1:{self.token_port}"
        return {"GCE_METADATA_HOST": host, "GCE_METADATA_ROOT": host, "GCE_METADATA_IP": host}

    def as_itself(self) -> AbstractContextManager[dict[str, str]]:
        """Let Google's own host names lead here: gives the environment for a process in which they do.

        Credential files for it are written with hosts.ORIGIN as their origin.
        """
        return hosts.led_here(self.state, self.folder / "hosts")

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self.state.faults

    @property
    def calls(self) -> list[str]:
        """The methods of the APIs that were called, in order."""
        return self.state.calls

    def count(self, method: str, path: str = "") -> int:
        """How many such requests there were over HTTP. Args: path: that theirs contains, a regular expression."""
        return self.state.count(method, path)

    def add_project(self, id: str, number: int, name: str) -> Project:
        """Let there be another project."""
        project = Project(id, number, name)
        self.state.projects[id] = project
        return project

    def add_repository(self, name: str = "", *, location: str = "", immutable_tags: bool = False) -> Repository:
        """Let there be a repository for images, and its API be enabled."""
        self.project.services.add(artifacts.HOST)
        place = f"projects/{self.project.id}/locations/{location or self.state.docker_location}"
        wanted = Repository(format_=Repository.Format.DOCKER, docker_config={"immutable_tags": immutable_tags})
        return artifacts.add(self.state, f"{place}/repositories/{name or self.repository}", wanted)

    def allow(self, account: str, *permissions: str, on: str = "") -> None:
        """Let an account do something.

        Args:
            account: its email, or "allUsers".
            permissions: "artifactregistry.repositories.get", with wildcards; none for all.
            on: the resource, and what is below it ("projects/P"); empty for everything.
        """
        found = self.state.account(account)
        for permission in permissions or [_EVERYTHING]:
            found.allowed.add((permission, on))
            found.denied.discard((permission, on))

    def deny(self, account: str, *permissions: str, on: str = "") -> None:
        """Let an account not do something, whatever else it may do. Args: as those of allow."""
        self.state.account(account).denied.update((permission, on) for permission in permissions or [_EVERYTHING])

    def token(self, account: str = "") -> str:
        """An access token, as `gcloud auth print-access-token` prints it."""
        return self.state.issue(account or self.account, credentials.USER_SCOPES).value

    def service_account_key(self, path: Path, email: str = "", *, origin: str = "") -> Path:
        """Write a new key of a service account. Args: origin: where tokens are given out, if not token_origin."""
        return credentials.service_account_key(self.state, path, email or self.account, origin or self.token_origin)

    def authorized_user(self, path: Path, email: str = "student@example.com") -> Path:
        """Write what `gcloud auth application-default login` leaves."""
        return credentials.authorized_user(self.state, path, email, self.token_origin, self.project.id)

    def external_account(self, path: Path, email: str | None = None, *, origin: str = "") -> Path:
        """Write what google-github-actions/auth does.

        Args:
            path: to write.
            email: whom the job becomes; empty for nobody, None for the service account that there is.
            origin: where tokens are given out, if not token_origin.
        """
        email = self.account if email is None else email
        return credentials.external_account(self.state, path, email, origin or self.token_origin, self.project.number)
