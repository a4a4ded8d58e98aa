"""Calls to Google's APIs: where they go, how long they may take, and what is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
from google.api_core.exceptions import (
    GatewayTimeout,
    GoogleAPICallError,
    ServerError,
    TooManyRequests,
    from_grpc_status,
)
from google.auth.exceptions import GoogleAuthError
from google.rpc.error_details_pb2 import RetryInfo

from bentoship.errors import CloudError
from bentoship.providers.google import reach
from bentoship.providers.google.account import Account
from bentoship.providers.google.failures import Asked, explained, reason
from bentoship.system.network import Network, is_loopback, redacted

T = TypeVar("T")

CALL_TIMEOUT = 20.0
"""Seconds that one call may take."""

_ATTEMPTS = 4
_LONGEST_PAUSE = 70.0
"""Seconds; what is counted by the minute has room again after one."""

_OPERATION_TIMEOUT = 600.0
_PROPAGATION = 180.0
"""Seconds that an API which was enabled may still say that it is not."""


class Apis:
    """Google's APIs, asked as one account.

    Args:
        endpoint: their address, in which {service} stands for the name of one.
        project: the id of the project that is asked about.
        account: who asks.
        network: proxies and certificates.
        tell: told in words what takes a while.
    """

    def __init__(
        self, endpoint: str, project: str, account: Account, network: Network, tell: Callable[[str], None]
    ) -> None:
        self.account = account
        proxy = _proxy(endpoint.replace("{service}", "artifactregistry"), network)
        self.asked = Asked(project, account.name, account.login, redacted(proxy) if proxy else "", account.payer)
        self.enabled = False
        """Whether the API is known to be enabled: if it says otherwise, it is that it does not know yet."""
        self._endpoint = endpoint
        self._network = network
        self._tell = tell
        self._clients: dict[type[Any], Any] = {}

    def call(self, doing: str, client: type[Any], method: str, request: Any) -> Any:
        """Ask, and again after what is temporary.

        Args:
            doing: for errors.
            client: Google's class for the API.
            method: of that class.
            request: as the method takes it.

        Raises:
            GoogleAPICallError: the API refused; not all refusals are failures.
            CloudError: it could not be asked.
        """
        began = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                ask = getattr(self._client(client), method)
                return ask(request=request, retry=None, timeout=CALL_TIMEOUT, metadata=self.account.metadata)
            except GoogleAPICallError as error:
                waited = time.monotonic() - began
                if self._will_be_enabled(error) and waited < _PROPAGATION:
                    pause = min(0.5 * attempt, 5.0)
                    self._tell(f"the API is enabled, but does not answer yet ({waited:.0f} s)")
                elif isinstance(error, ServerError) and _is_temporary(error) and attempt < _ATTEMPTS:
                    pause = 0.5 * 2 ** (attempt - 1)
                    self._tell(f"{doing}: {_shortened(str(error.message))}; trying again")
                elif attempt < _ATTEMPTS and (pause := _asked_pause(error)):
                    self._tell(f"{doing}: {_shortened(str(error.message))}; trying again in {pause:.0f} s")
                elif isinstance(error, ServerError):
                    raise explained(doing, error, self.asked) from error
                else:
                    raise
                time.sleep(pause)
            except GoogleAuthError as error:
                raise explained(doing, error, self.asked) from error

    def must(self, doing: str, client: type[Any], method: str, request: Any) -> Any:
        """As `call`, where every refusal is a failure. Raises CloudError."""
        try:
            return self.call(doing, client, method, request)
        except GoogleAPICallError as error:
            raise explained(doing, error, self.asked) from error

    def wait(self, doing: str, client: type[Any], operation: Any) -> None:
        """Wait for what a call has begun (google.longrunning.Operations). Raises CloudError when it fails."""
        began, told, pause = time.monotonic(), time.monotonic(), 0.2
        current = operation.operation
        while not current.done:
            if time.monotonic() - began > _OPERATION_TIMEOUT:
                raise CloudError(doing, f"{current.name} is not done after {_OPERATION_TIMEOUT:.0f} s", "Run it again.")
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)
            if time.monotonic() - told >= 5.0:
                told = time.monotonic()
                self._tell(f"waiting for Google ({told - began:.0f} s)")
            current = self.must(doing, client, "get_operation", {"name": current.name})
        if current.HasField("error"):
            status = current.error
            # google.api_core has types in some of its parts alone.
            failed = from_grpc_status(status.code, status.message, errors=(status,))  # type: ignore[no-untyped-call]
            raise explained(doing, failed, self.asked)

    def _will_be_enabled(self, error: GoogleAPICallError) -> bool:
        """Whether an API that says it is disabled is enabled, in the project that the calls are counted for."""
        ours = self.asked.payer in ("", self.asked.project)
        return self.enabled and ours and reason(error) == "SERVICE_DISABLED"

    def _client(self, client: type[Any]) -> Any:
        if client not in self._clients:
            transport = client.get_transport_class("grpc")
            host = str(client.DEFAULT_ENDPOINT)
            channel = _channel(self._endpoint.replace("{service}", host.partition(".")[0]), self._network)
            self._clients[client] = client(transport=transport(channel=channel))
        return self._clients[client]


def _is_temporary(error: ServerError) -> bool:
    """Whether the same call may succeed in a while."""
    return not isinstance(error, GatewayTimeout) and not reach.is_lasting(str(error.message))


def _asked_pause(error: GoogleAPICallError) -> float:
    """The seconds after which a quota that is exceeded has room again, as Google tells them; 0 when it does not."""
    if not isinstance(error, TooManyRequests):
        return 0.0
    asked = (detail.retry_delay for detail in error.details if isinstance(detail, RetryInfo))
    seconds = max((float(delay.seconds + delay.nanos / 1e9) for delay in asked), default=0.0)
    return seconds if seconds <= _LONGEST_PAUSE else 0.0


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"


def _channel(address: str, network: Network) -> grpc.Channel:
    """A connection to an API, by the proxy and with the certificates that everything else here uses.

    gRPC would look for a proxy under other names, and believe only certificates of its own.
    """
    parts = urlsplit(address)
    target = parts.netloc if parts.port else f"{parts.netloc}:{80 if parts.scheme == 'http' else 443}"
    proxy = _proxy(address, network)
    options: list[tuple[str, Any]] = [("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0)]
    if parts.scheme == "http":
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(_certificates(network)), options)


def _proxy(address: str, network: Network) -> str | None:
    """The proxy to an API; None for none. Raises CloudError for one that gRPC cannot use, and would pass over."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    proxy = None if is_loopback(host) else network.proxy(parts.scheme, host)
    if proxy and not proxy.startswith("http://"):
        why = "Google's clients reach a proxy by http:// only"
        raise CloudError(f"Use the proxy {redacted(proxy)}", why, "Correct HTTPS_PROXY.")
    return proxy


def _certificates(network: Network) -> bytes | None:
    """The authorities to believe, in PEM; gRPC's own list when the system has none."""
    named = network.ca_bundle
    if network.ca_folder and not named:
        files = [path for path in sorted(Path(network.ca_folder).glob("*")) if path.suffix in (".pem", ".crt", ".0")]
        return b"\n".join(path.read_bytes() for path in files if path.is_file()) or None
    try:
        return Path(named).read_bytes() if named else None
    except OSError as error:
        why = error.strerror or str(error)
        raise CloudError(f"Read the certificates in {named}", why, "Correct SSL_CERT_FILE.") from error
