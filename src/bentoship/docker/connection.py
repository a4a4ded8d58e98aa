"""The connection to Docker's engine, or another one that speaks its API, and the meaning of its failures."""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import field
from typing import Any

import docker
import requests
import urllib3
from docker.context import ContextAPI
from docker.errors import APIError, DockerException, NotFound, TLSParameterError
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from bentoship.errors import EngineError, causes
from bentoship.stores.credentials import Credentials
from bentoship.system.network import is_loopback
from bentoship.system.process import environment, home
from bentoship.system.values import dataclass

_DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_OLDEST = docker.constants.MINIMUM_DOCKER_API_VERSION
_CONNECT_TIMEOUT = 20
_ANSWER_TIMEOUT = 600
"""Seconds of silence; a registry may take minutes to check a layer, while the engine has nothing to report."""


@dataclass(frozen=True)
class Endpoint:
    """The address of an engine.

    Args:
        host: "unix://…", "tcp://…" or "ssh://…".
        tls: the certificates to use; None for no TLS.
        env: the variables with which programs such as `docker` find the same engine.
    """

    host: str
    tls: TLSConfig | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Engine:
    """An engine that is reachable.

    Args:
        client: the client connected to it.
        endpoint: its address.
    """

    client: docker.DockerClient
    endpoint: Endpoint

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Raise an EngineError for failures of the engine in the block.

        Args:
            what: what is being done, for the error.
        """
        try:
            yield
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise error_from_exception(what, self.endpoint.host, error) from error

    @property
    def is_podman(self) -> bool:
        """Return whether it is podman with Docker's API."""
        components = self.client.version().get("Components") or []
        return any("podman" in str(component.get("Name", "")).lower() for component in components)

    @property
    def has_containerd_store(self) -> bool:
        """Return whether it keeps images in containerd's store, not in Docker's own."""
        return ["driver-type", "io.containerd.snapshotter.v1"] in (self.client.info().get("DriverStatus") or [])

    @property
    def platform(self) -> str:
        """Return the platform that it runs on, such as "linux/amd64"."""
        version = self.client.version()
        return f"{version['Os']}/{version['Arch']}"

    @contextmanager
    def reaching(self, registry: str) -> Iterator[None]:
        """Allow podman to use HTTP with a registry on loopback during the block, as Docker's engine does by default.

        Args:
            registry: the registry's host and port.
        """
        session = self.client.api
        before = session.params
        if is_loopback(registry) and self.is_podman:
            session.params = {"tlsVerify": "false"}  # podman's own parameter of /images/{name}/push
        try:
            yield
        finally:
            session.params = before

    def identity(self, name: str) -> str:
        """Return the id of the image with a name; empty for none."""
        try:
            return str(self.client.images.get(name).id)
        except NotFound:
            return ""

    def forget(self, identity: str) -> None:
        """Remove an image that has lost its name to another one, unless it is still needed."""
        with suppress(APIError):  # already gone, or used by a container or by an image built on it
            if identity and not self.client.images.get(identity).tags:
                self.client.api.remove_image(identity)


def connect() -> Engine:
    """Connect to the engine that Docker's settings name. Raises EngineError when it cannot be reached."""
    doing = "Reach Docker's engine"
    try:
        endpoint = find_endpoint()
    except (DockerException, OSError, ValueError) as error:
        hint = "Fix Docker's context (`docker context ls`), or DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."
        raise EngineError(doing, str(error).partition(". ")[0], hint) from error
    try:
        version = _client(endpoint, _OLDEST).version(api_version=False)["ApiVersion"]
        client = _client(endpoint, str(version))
    except Exception as error:  # the SDK passes on whatever its transports raise
        raise error_from_exception(doing, endpoint.host, error) from error
    client.api.timeout = _ANSWER_TIMEOUT
    return Engine(client, endpoint)


def _client(endpoint: Endpoint, version: str) -> docker.DockerClient:
    """Return a client for a version of the engine's API, not connected yet."""
    client = docker.DockerClient(
        base_url=endpoint.host,
        tls=endpoint.tls or False,
        version=version,
        timeout=_CONNECT_TIMEOUT,
        use_ssh_client=True,
    )
    # Otherwise requests trusts the certificates of REQUESTS_CA_BUNDLE instead of the engine's own.
    client.api.trust_env = not endpoint.tls
    return client


def find_endpoint() -> Endpoint:
    """Return the address of the engine: DOCKER_HOST, else the current context, else root's or the user's socket.

    Raises: DockerException, or ValueError, when a context or a certificate cannot be read.
    """
    env = environment(prefixes=("DOCKER_",))
    if env.get("DOCKER_HOST"):
        settings = kwargs_from_env(env)
        return Endpoint(settings["base_url"], settings.get("tls"))
    name = env.get("DOCKER_CONTEXT") or None
    context = ContextAPI.get_context(name)
    if context is None:
        raise ValueError(f"there is no context {name or 'with the name in its configuration'}")
    if context.name != "default":
        return Endpoint(context.Host, context.TLSConfig)
    sockets = [_DEFAULT_SOCKET, *_rootless(env)]
    usable = (socket for socket in sockets if os.access(socket.removeprefix("unix://"), os.W_OK))
    host = next(usable, _DEFAULT_SOCKET)
    # The docker command by itself only knows the first of them.
    return Endpoint(host, None, {} if host == _DEFAULT_SOCKET else {"DOCKER_HOST": host})


def _rootless(env: Mapping[str, str]) -> Iterator[str]:
    """Yield the sockets of rootless engines (dockerd-rootless-setuptool.sh, Docker Desktop)."""
    if folder := env.get("XDG_RUNTIME_DIR"):
        yield f"unix://{folder}/docker.sock"
    yield f"unix://{home(env)}/.docker/run/docker.sock"


def error_from_exception(doing: str, host: str, error: BaseException) -> EngineError:
    """Return the error for a failed connection to an engine, with its meaning and what to do next.

    Args:
        doing: what was being done.
        host: the engine's address.
        error: what the SDK raised.
    """
    if isinstance(error, APIError):
        return error_from_message(doing, str(error.explanation or error))
    chain = causes(error)
    # Sorted so that the first match is the closest to the cause.
    meanings = (
        (PermissionError, f"no permission for {host}", _PERMIT),
        (_CERTIFICATES, f"{host}: {chain[-1]}", _CERTIFY),
        (_ABSENT, f"nothing listens at {host}", _START),
        (_UNREACHED, f"{host} cannot be reached: {chain[-1]}", _START),
        (_CUT, f"the engine at {host} closed the connection", f"See its log. {_START}"),
        (BaseException, f"{host}: {chain[-1]}", _START),
    )
    why, hint = next((why, hint) for kinds, why, hint in meanings if any(isinstance(cause, kinds) for cause in chain))
    return EngineError(doing, why, hint)


def check_events(doing: str, events: Iterable[Mapping[str, Any]]) -> None:
    """Read an engine's stream of events to its end. Raises EngineError for an error event, in the engine's words."""
    for event in events:
        if (message := error_in(event)) is not None:
            raise error_from_message(doing, message)


def error_in(event: Mapping[str, Any]) -> str | None:
    """Return the error message in an event of an engine's streams (load, pull, push); None for other events."""
    if "errorDetail" not in event and "error" not in event:
        return None
    return str((event.get("errorDetail") or {}).get("message") or event.get("error"))


def error_from_message(doing: str, message: str) -> EngineError:
    """Return the error for an engine's error message."""
    hint = ""
    if "no space left" in message.lower():
        hint = "Free up the engine's disk: `docker system df` shows its use, `docker system prune` cleans up."
    return EngineError(doing, message, hint)


def auth_config(account: Credentials | None, registry: str) -> dict[str, str]:
    """Return an account in the form of the engine's API (X-Registry-Auth); empty for anonymous.

    Args:
        account: the account at the registry.
        registry: the registry's host and port.
    """
    if account is None:
        return {}
    if account.identity_token:
        return {"identitytoken": account.identity_token, "serveraddress": registry}
    return {"username": account.user, "password": account.password, "serveraddress": registry}


_START = (
    "Start it (systemctl start docker, or Docker Desktop), or set DOCKER_HOST to another; BACKEND=direct needs none."
)

_PERMIT = "Give your user access (sudo usermod -aG docker USER, then log in again), or run a rootless engine."
_CERTIFY = "Check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or the context's certificates."

_CERTIFICATES = (TLSParameterError, requests.exceptions.SSLError)
_ABSENT = (FileNotFoundError, NotADirectoryError, ConnectionRefusedError)
_UNREACHED = (socket.gaierror, TimeoutError, urllib3.exceptions.NewConnectionError, requests.exceptions.Timeout)
_CUT = (
    ConnectionResetError,
    BrokenPipeError,
    urllib3.exceptions.ProtocolError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ConnectionError,
)
