"""Google's clients, spoken to over REST."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud.artifactregistry_v1 import ArtifactRegistryClient
from google.cloud.resourcemanager_v3 import ProjectsClient
from google.cloud.service_usage_v1 import ServiceUsageClient
from google.oauth2.credentials import Credentials


class Clients:
    """The clients of one account.

    Args:
        port: of the APIs.
        token: the account's; empty for none.
        payer: the project that calls are counted for; empty for none.
        certificate: a file with what the server has to show; None for no TLS.
    """

    def __init__(self, port: int, token: str, payer: str = "", certificate: Path | None = None) -> None:
        def client(kind: Any) -> Any:
            transport = kind.get_transport_class("rest")(
                host=f"127.0.0.1:{port}",
                credentials=credentials,
                url_scheme="https" if certificate else "http",
            )
            session = transport._session
            session._max_refresh_attempts = 0  # a token that is refused stays so
            session.trust_env = False  # else the environment's certificates come before this one
            session.verify = str(certificate or "")
            return kind(transport=transport)

        # google.auth has no types.
        known: Any = Credentials(token, quota_project_id=payer or None)  # type: ignore[no-untyped-call]
        credentials = known if token else AnonymousCredentials()  # type: ignore[no-untyped-call]
        self.artifacts = client(ArtifactRegistryClient)
        self.services = client(ServiceUsageClient)
        self.projects = client(ProjectsClient)
