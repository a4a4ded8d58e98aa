"""Google Artifact Registry, by Google's own clients; no gcloud is needed.

Calls carry a deadline each, because these clients have none of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bentoship.errors import CloudError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.providers.generic import GenericProvider
from bentoship.settings.google import GoogleSettings
from bentoship.stores import credentials, docker_config
from bentoship.stores.credentials import Credentials
from bentoship.system import process
from bentoship.system.network import Network

if TYPE_CHECKING:
    from google.cloud.artifactregistry_v1.types import Repository

    from bentoship.providers.google.account import Account
    from bentoship.providers.google.apis import Apis
    from bentoship.providers.google.lists import Lists

_SERVICE = "artifactregistry.googleapis.com"
_UPLOAD = "artifactregistry.repositories.uploadArtifacts"
_DOWNLOAD = "artifactregistry.repositories.downloadArtifacts"
_SIDE_BY_SIDE = 8


class GoogleRegistry:
    """A provider whose registry is Google's.

    Args:
        settings: which repository, and how it is to be.
        network: proxies and certificates.
        tell: told in words what takes a while: the task, and a sentence.
    """

    def __init__(
        self, settings: GoogleSettings, network: Network, tell: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._settings = settings
        self._network = network
        self._tell = tell
        self._place = GenericProvider.parse(settings.host)
        self._step = "auth"
        self.plain_http = self._place.plain_http
        # gRPC would tell of each failure on stderr, too. It reads this when it is imported.
        process.preset("GRPC_VERBOSITY", "NONE")

    def enable_api(self) -> str:
        """Enable Artifact Registry in the project, unless it is. Raises CloudError."""
        from google.cloud.service_usage_v1 import ServiceUsageClient

        if self._docker_only:
            return f"{self._docker_only}, which tells nothing of APIs: taken for enabled."
        self._step = "enable-api"
        project = self._settings.project
        enabled = self._is_enabled()
        if enabled is None:
            return f"{self._account.name} may not look whether {_SERVICE} is enabled; going on."
        if enabled:
            self._apis.enabled = True
            return f"{_SERVICE} is enabled in {project}."
        doing = f"Enable {_SERVICE} in {project}"
        self._tell(self._step, f"enabling {_SERVICE} in {project}, which takes up to a minute")
        request = {"name": self._service}
        operation = self._apis.must(doing, ServiceUsageClient, "enable_service", request)
        self._apis.wait(doing, ServiceUsageClient, operation)
        self._apis.enabled = True
        return f"Enabled {_SERVICE} in {project}."

    def create_registry(self) -> str:
        """Create the repository unless it is there; change there what settings say otherwise. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}, which cannot create one: taken to be there."
        self._step = "create-registry"
        found = self._present()
        said = self._there(found) if found else self._create()
        self._rehearse()
        return said

    def login(self) -> str:
        """Find the account, and see that it may push; tell Docker how to log in, too. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}."
        self._step = "auth"
        self._check_rights()
        said = f"{self._account.name} (from {self._account.source}) may push to {self._settings.host}."
        return f"{said} {changed}" if (changed := self._log_docker_in()) else said

    def outlook(self) -> str:
        """What publish would meet, without changing anything. Raises CloudError for what it could not mend."""
        settings = self._settings
        if self._docker_only:
            return self._docker_only
        if self._is_enabled() is False:
            return f"{_SERVICE} is not enabled in {settings.project}; publish enables it"
        found = self._present()
        if found is None:
            elsewhere = self._elsewhere()
            but = f", but one of that name in {', '.join(elsewhere)}" if elsewhere else ""
            return f"there is no repository {settings.name} in {settings.location}{but}; publish creates it"
        self._check_fit(found)
        self._check_rights()
        return f"{self._account.name} may push to {settings.host}"

    def _is_enabled(self) -> bool | None:
        """Whether Artifact Registry is enabled; None when the account may not look. Raises CloudError."""
        from google.api_core.exceptions import Forbidden
        from google.cloud.service_usage_v1 import ServiceUsageClient
        from google.cloud.service_usage_v1.types import State

        from bentoship.providers.google.failures import explained, reason

        doing = f"Look whether {_SERVICE} is enabled in {self._settings.project}"
        try:
            service = self._apis.call(doing, ServiceUsageClient, "get_service", {"name": self._service})
        except Forbidden as error:
            # Who may push need not be allowed to look; if it is not enabled, the next step says so.
            if reason(error) not in ("IAM_PERMISSION_DENIED", "AUTH_PERMISSION_DENIED"):
                raise explained(doing, error, self._apis.asked) from error
            return None
        except Exception as error:
            raise self._as_error(doing, error) from error
        return bool(service.state == State.ENABLED)

    def _check_rights(self) -> None:
        """See that the account may push. Raises CloudError."""
        from google.api_core.exceptions import NotFound

        from bentoship.providers.google.failures import permission_hint

        doing = f"Check that {self._account.name} may push to {self._settings.host}"
        request = {"resource": self._name, "permissions": [_UPLOAD, _DOWNLOAD]}
        try:
            granted = self._apis.call(doing, self._client, "test_iam_permissions", request).permissions
        except NotFound as error:
            raise self._missing(doing) from error
        except Exception as error:
            raise self._misplaced(doing, error) from error
        for permission in (_UPLOAD, _DOWNLOAD):
            if permission not in granted:
                # Nobody may do anything with what is not there.
                if hint := self._location_hint():
                    raise CloudError(doing, f"there is no location {self._settings.location}", hint)
                if self._is_in(self._settings.location) is False:
                    raise self._missing(doing)
                hint = permission_hint(permission, self._apis.asked)
                raise CloudError(doing, f"it lacks {permission}", hint)

    def repository(self, image_name: str) -> ImageReference:
        """LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/NAME. Raises InvalidReferenceError."""
        return self._place.repository(image_name)

    def credentials(self) -> Credentials | None:
        """A fresh token; else the account that Docker keeps. Raises CloudError."""
        if self._docker_only:
            return self._place.credentials()
        from bentoship.providers.google.failures import Asked, permission_hint

        # A token's user at Google's registries (cloud.google.com/artifact-registry/docs/docker/authentication).
        return Credentials(
            "oauth2accesstoken",
            self._account.token(),
            source=f"{self._account.name}'s token",
            login=self._account.login,
            rights=permission_hint(_UPLOAD, Asked(self._settings.project, self._account.name)),
        )

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """It has to be asked."""
        return None

    @functools.cached_property
    def lists(self) -> Lists:
        """What there is in Google Cloud. Raises CloudError when there are no credentials."""
        from bentoship.providers.google.lists import Lists

        return Lists(self._apis, self._settings.project)

    @property
    def _name(self) -> str:
        return f"{self._parent}/repositories/{self._settings.name}"

    @property
    def _service(self) -> str:
        return f"projects/{self._settings.project}/services/{_SERVICE}"

    @property
    def _parent(self) -> str:
        return f"projects/{self._settings.project}/locations/{self._settings.location}"

    @property
    def _account(self) -> Account:
        if isinstance(self._found, CloudError):
            raise self._found
        return self._found

    @functools.cached_property
    def _found(self) -> Account | CloudError:
        """Who we are, or why we are nobody: looking again would take as long, with the same end."""
        from bentoship.providers.google.account import Account

        # Else google-auth would ask gcloud or Resource Manager for it, at each start.
        process.preset("GOOGLE_CLOUD_PROJECT", self._settings.project)
        try:
            return Account(self._network)
        except CloudError as error:
            return error

    @functools.cached_property
    def _docker_only(self) -> str:
        """Whose account Docker keeps, where Google's tools know none; empty when they do."""
        try:
            self._account  # noqa: B018 - for the error, if there is one
        except CloudError as error:
            if found := credentials.find(self._place.host, self._place.path):
                return f"For Google there is only Docker's account {found.account} ({error.why})"
            raise
        return ""

    @functools.cached_property
    def _apis(self) -> Apis:
        from bentoship.providers.google.apis import Apis

        settings = self._settings
        return Apis(
            settings.endpoint, settings.project, self._account, self._network, lambda text: self._tell(self._step, text)
        )

    @property
    def _client(self) -> type[Any]:
        from google.cloud.artifactregistry_v1 import ArtifactRegistryClient

        return ArtifactRegistryClient

    def _present(self) -> Repository | None:
        """The repository; None when there is none in its location. Raises CloudError."""
        from google.api_core.exceptions import NotFound

        doing = f"Look for the repository {self._settings.name} in {self._settings.location}"
        try:
            found: Repository = self._apis.call(doing, self._client, "get_repository", {"name": self._name})
        except NotFound as error:
            if "project" in str(error.message).lower():
                raise self._as_error(doing, error) from error
            return None
        except Exception as error:
            raise self._misplaced(doing, error) from error
        return found

    def _create(self) -> str:
        from google.api_core.exceptions import Conflict

        from bentoship.providers.google.repository import wanted

        settings = self._settings
        doing = f"Create the repository {settings.name} in {settings.location}"
        elsewhere = self._elsewhere()
        request = {"parent": self._parent, "repository_id": settings.name, "repository": wanted(settings)}
        self._tell(self._step, f"creating the repository {settings.name} in {settings.location}")
        try:
            operation = self._apis.call(doing, self._client, "create_repository", request)
        except Conflict:  # made meanwhile, by another run or by an attempt whose answer was lost
            found = self._apis.must(doing, self._client, "get_repository", {"name": self._name})
            return self._there(found)
        except Exception as error:
            raise self._misplaced(doing, error) from error
        self._apis.wait(doing, self._client, operation)
        also = f" (One of that name is also in {', '.join(elsewhere)}.)" if elsewhere else ""
        return f"Created the repository {settings.name} for Docker images in {settings.location}.{also}"

    def _there(self, found: Repository) -> str:
        """What there is to say and to change of a repository that is there."""
        from bentoship.providers.google.repository import changes

        settings = self._settings
        self._check_fit(found)
        there = f"The repository {settings.name} is there, in {settings.location}."
        changed, fields = changes(settings, found)
        if not fields:
            return there
        doing = f"Change the repository {settings.name}"
        self._apis.must(
            doing, self._client, "update_repository", {"repository": changed, "update_mask": {"paths": list(fields)}}
        )
        return f"{there} Changed to the settings: {', '.join(fields.values())}."

    def _check_fit(self, found: Repository) -> None:
        """See that a repository that is there takes images, as settings want it. Raises CloudError."""
        from bentoship.providers.google.repository import unfit

        why, hint = unfit(self._settings, found)
        if why:
            raise CloudError(f"Use the repository {self._settings.name} in {self._settings.location}", why, hint)

    def _rehearse(self) -> None:
        """Tell what cleaning up would delete, when that is a dry run."""
        from bentoship.providers.google import cleanup
        from bentoship.providers.google.lists import pages

        if not cleanup.rehearsed(self._settings):
            return
        doing = f"List the images in {self._settings.name}"
        try:
            images = pages(self._apis, doing, self._client, "list_docker_images", {"parent": self._name})
        except CloudError:  # who may push need not be allowed to look
            images = None
        self._tell(self._step, cleanup.told(self._settings, images, datetime.now(UTC)))

    def _missing(self, doing: str) -> CloudError:
        """There is no repository."""
        settings, hint = self._settings, "Create it: invoke create-registry"
        if elsewhere := self._elsewhere():
            there = f"One of that name is in {', '.join(elsewhere)}: check GCP_CONTAINER_REGISTRY_LOCATION"
            hint = f"{there}, or create it here, too: invoke create-registry"
        return CloudError(doing, f"there is no repository {settings.name} in {settings.location}", hint)

    def _elsewhere(self) -> list[str]:
        """The other locations with a repository of the name; none when that cannot be told."""
        try:
            others = [one for one in self.lists.known if one != self._settings.location]
        except CloudError:
            return []
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return [location for location, there in zip(others, pool.map(self._is_in, others), strict=True) if there]

    def _is_in(self, location: str) -> bool | None:
        """Whether there is a repository of the name in a location; None when that cannot be told."""
        from google.api_core.exceptions import GoogleAPICallError, NotFound

        name = f"projects/{self._settings.project}/locations/{location}/repositories/{self._settings.name}"
        try:
            self._apis.call("Look for the repository", self._client, "get_repository", {"name": name})
        except NotFound:
            return False
        except (GoogleAPICallError, CloudError):
            return None
        return True

    def _misplaced(self, doing: str, error: Exception) -> Exception:
        """A refusal; one for a location that there is not names it, and what may have been meant."""
        from google.api_core.exceptions import GoogleAPICallError

        from bentoship.providers.google.failures import reason

        failure = self._as_error(doing, error)
        refused = (
            isinstance(error, GoogleAPICallError)
            and error.code in (400, 403, 404)
            and reason(error) != "SERVICE_DISABLED"
        )
        hint = self._location_hint() if refused else ""
        return CloudError(doing, getattr(failure, "why", str(failure)), hint) if hint else failure

    def _location_hint(self) -> str:
        """What to do about a location that there is not; empty when there is one, or that cannot be told."""
        location = self._settings.location
        try:
            if location in self.lists.known:
                return ""
        except CloudError:
            return ""
        near = self.lists.nearest(location)
        meant = f"did you mean {near}? " if near else ""
        return f"GCP_CONTAINER_REGISTRY_LOCATION={location} is no location: {meant}`invoke locations` lists them."

    def _as_error(self, doing: str, error: Exception) -> Exception:
        """Google's refusals in words; other exceptions as they are."""
        from google.api_core.exceptions import GoogleAPICallError

        from bentoship.providers.google.failures import explained

        return explained(doing, error, self._apis.asked) if isinstance(error, GoogleAPICallError) else error

    def _log_docker_in(self) -> str:
        """Have Docker ask Google's helper for this host, where there is one. Returns: what was changed, in words."""
        host = self._place.host
        helper = docker_config.installed_helper(process.environment())
        if not helper or not host.endswith(".pkg.dev"):  # helpers know no other hosts
            return ""
        changed = docker_config.name_helper(host, helper)
        return f"Docker logs in to {host} by docker-credential-{helper} now ({changed})." if changed else ""
