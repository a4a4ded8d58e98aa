"""Google's clients, spoken to over gRPC without TLS."""

from __future__ import annotations

from typing import Any

import grpc
from google.cloud.artifactregistry_v1 import ArtifactRegistryClient
from google.cloud.resourcemanager_v3 import ProjectsClient
from google.cloud.service_usage_v1 import ServiceUsageClient


class Clients:
    """The clients of one account.

    Args:
        port: of the APIs.
        token: the account's; empty for none.
        headers: further ones.
        certificate: what the server has to show, PEM; None for no TLS.
    """

    def __init__(self, port: int, token: str, *headers: tuple[str, str], certificate: bytes | None = None) -> None:
        said = [("authorization", f"Bearer {token}")] if token else []
        if certificate:
            plain = grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(certificate))
        else:
            plain = grpc.insecure_channel(f"127.0.0.1:{port}")
        channel = grpc.intercept_channel(plain, _Saying([*said, *headers]))
        self.artifacts = ArtifactRegistryClient(transport=_transport(ArtifactRegistryClient, channel))
        self.services = ServiceUsageClient(transport=_transport(ServiceUsageClient, channel))
        self.projects = ProjectsClient(transport=_transport(ProjectsClient, channel))


def _transport(client: Any, channel: Any) -> Any:
    return client.get_transport_class("grpc")(channel=channel)


class _Saying(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc] # has no types
    """Adds headers to each call."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self._headers = headers

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(details._replace(metadata=[*(details.metadata or []), *self._headers]), request)
