"""The provider for Google Artifact Registry: its API, its repository, and the account to push with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from bentoship.errors import CloudError
from bentoship.providers.generic import GenericProvider
from bentoship.settings.google import GoogleSettings
from bentoship.stores import docker_config
from bentoship.stores.credentials import Credentials
from bentoship.stores.http import Http
from bentoship.system import process

if TYPE_CHECKING:
    from bentoship.providers.google.account import Account
    from bentoship.providers.google.apis import Apis
    from bentoship.providers.google.lists import Lists
    from bentoship.providers.google.repositories import Repositories

_SERVICE = "artifactregistry.googleapis.com"
_UPLOAD = "artifactregistry.repositories.uploadArtifacts"


class GoogleRegistry(GenericProvider):
    """A provider whose registry is Google's. Where there are no Google credentials, it uses Docker's account.

    Args:
        settings: the repository's name, location and options.
        http: connections to Google's APIs and token servers.
        tell: receives progress messages: the task and a sentence.
    """

    def __init__(
        self, settings: GoogleSettings, http: Http, tell: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        super().__init__(settings.address)
        self.deletes_untagged = True  # also where Google is reached by another name
        self._settings = settings
        self._http = http
        self._tell = tell
        self._step = "auth"

    def enable_api(self) -> str:
        """Enable Artifact Registry in the project unless it already is. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}. It cannot be used with the APIs; assuming that {_SERVICE} is enabled."
        self._step = "enable-api"
        project = self._settings.project
        enabled = self._is_enabled()
        if enabled is None:
            return f"{self._account.name} may not check whether {_SERVICE} is enabled; continuing."
        if not enabled:
            doing = f"Enable {_SERVICE} in {project}"
            self._tell(self._step, f"enabling {_SERVICE} in {project}, which takes up to a minute")
            operation = self._apis.call(doing, "POST", f"{self._service}:enable", {})
            self._apis.wait(doing, "serviceusage", operation)
        self._apis.enabled = True
        return f"{_SERVICE} is already enabled in {project}." if enabled else f"Enabled {_SERVICE} in {project}."

    def create_registry(self) -> str:
        """Create the repository, or update an existing one to the settings. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}. It cannot be used with the APIs; assuming that the repository already exists."
        self._step = "create-registry"
        found = self._repositories.find()
        done = self._repositories.change(found) if found else self._repositories.create(self._report)
        if notice := self._repositories.dry_run_notice():
            self._report(notice)
        return done

    def login(self) -> str:
        """Find the account, check that it may push, and configure Docker to log in with it. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}."
        self._step = "auth"
        self._repositories.check_rights()
        done = f"{self._account.name} (from {self._account.source}) may push to {self._settings.host}."
        return f"{done} {changed}" if (changed := self._log_docker_in()) else done

    def outlook(self) -> str:
        """Return what publish would find, changing nothing. Raises CloudError for problems that it could not fix."""
        settings = self._settings
        if self._docker_only:
            return self._docker_only
        if self._is_enabled() is False:
            return f"{_SERVICE} is not enabled in {settings.project}; publish enables it"
        found = self._repositories.find()
        if found is None:
            elsewhere = self._repositories.elsewhere()
            but = f", but one of that name exists in {', '.join(elsewhere)}" if elsewhere else ""
            return f"there is no repository {settings.name} in {settings.location}{but}; publish creates it"
        self._repositories.check_fit(found)
        self._repositories.check_rights()
        return f"{self._account.name} may push to {settings.host}"

    def images(self) -> list[str] | None:
        """Return the paths of the images in the repository: Google has its own list of them, and no catalog there.

        Returns: None without Google credentials. Raises: CloudError.
        """
        if self._docker_only:
            return super().images()
        return [self.repository(name).path for name in self._repositories.images()]

    def credentials(self) -> Credentials | None:
        """Return an account with a fresh token, or Docker's account without Google credentials. Raises CloudError."""
        if self._docker_only:
            return super().credentials()
        from bentoship.providers.google.failures import Caller, permission_hint

        # The user name that goes with a token (cloud.google.com/artifact-registry/docs/docker/authentication).
        return Credentials(
            "oauth2accesstoken",
            self._account.token(),
            source=f"{self._account.name}'s token",
            login=self._account.login,
            rights=permission_hint(_UPLOAD, Caller(self._settings.project, self._account.name)),
        )

    @functools.cached_property
    def lists(self) -> Lists:
        """Return the lists of Google Cloud. Raises CloudError when there are no credentials."""
        from bentoship.providers.google.lists import Lists

        return Lists(self._apis, self._settings.project)

    @functools.cached_property
    def _repositories(self) -> Repositories:
        from bentoship.providers.google.repositories import Repositories

        return Repositories(self._apis, self._settings, self.lists)

    @functools.cached_property
    def _apis(self) -> Apis:
        from bentoship.providers.google.apis import Apis

        return Apis(self._settings.endpoint, self._settings.project, self._account, self._http, self._report)

    @property
    def _account(self) -> Account:
        if isinstance(self._account_or_error, CloudError):
            raise self._account_or_error
        return self._account_or_error

    @functools.cached_property
    def _account_or_error(self) -> Account | CloudError:
        """Return the account, or the error of finding none, which is cached because looking again takes as long."""
        from bentoship.providers.google.account import Account

        try:
            return Account(self._http, self._settings.project)
        except CloudError as error:
            return error

    @functools.cached_property
    def _docker_only(self) -> str:
        """Return a sentence on using Docker's account for lack of Google credentials; empty when there are some.

        Raises: CloudError when there is neither.
        """
        try:
            self._account  # noqa: B018 - raises when there are no credentials
        except CloudError as error:
            if found := super().credentials():
                return f"There are no Google credentials, only Docker's account {found.account} ({error.why})"
            raise
        return ""

    @property
    def _service(self) -> str:
        return f"serviceusage/v1/projects/{self._settings.project}/services/{_SERVICE}"

    def _report(self, text: str) -> None:
        self._tell(self._step, text)

    def _is_enabled(self) -> bool | None:
        """Return whether Artifact Registry is enabled; None when the account may not check. Raises CloudError."""
        from bentoship.providers.google.failures import ApiError

        try:
            doing = f"Check whether {_SERVICE} is enabled in {self._settings.project}"
            return bool(self._apis.call(doing, "GET", self._service).get("state") == "ENABLED")
        except ApiError as error:
            # An account that may push may lack this permission; if the API is disabled, the next step says so.
            if error.status == 403 and error.reason in ("IAM_PERMISSION_DENIED", "AUTH_PERMISSION_DENIED"):
                return None
            raise

    def _log_docker_in(self) -> str:
        """Configure Docker to use Google's helper for this host, if installed. Returns: what was changed."""
        helper = docker_config.installed_helper(process.environment())
        if not helper or not self.host.endswith(".pkg.dev"):  # helpers support no other hosts
            return ""
        changed = docker_config.name_helper(self.host, helper)
        return f"Docker now logs in to {self.host} with docker-credential-{helper} ({changed})." if changed else ""
