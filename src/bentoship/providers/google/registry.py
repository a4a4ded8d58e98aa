"""The provider for Google Artifact Registry: its API, its repository, and who may push to it."""

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
    """A provider whose registry is Google's; the account that Docker keeps is for where Google's tools know none.

    Args:
        settings: which repository, and how it is to be.
        http: connections to Google's APIs and token servers.
        tell: gets in words what takes a while: the task, and a sentence.
    """

    def __init__(
        self, settings: GoogleSettings, http: Http, tell: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        super().__init__(settings.address)
        self._settings = settings
        self._http = http
        self._tell = tell
        self._step = "auth"

    def enable_api(self) -> str:
        """Enable Artifact Registry in the project, unless it is. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}, which tells nothing of APIs: taken for enabled."
        self._step = "enable-api"
        project = self._settings.project
        enabled = self._is_enabled()
        if enabled is None:
            return f"{self._account.name} may not look whether {_SERVICE} is enabled; going on."
        if not enabled:
            doing = f"Enable {_SERVICE} in {project}"
            self._tell(self._step, f"enabling {_SERVICE} in {project}, which takes up to a minute")
            operation = self._apis.call(doing, "POST", f"{self._service}:enable", {})
            self._apis.wait(doing, "serviceusage", operation)
        self._apis.enabled = True
        return f"{_SERVICE} is enabled in {project}." if enabled else f"Enabled {_SERVICE} in {project}."

    def create_registry(self) -> str:
        """Create the repository unless it is there; change there what settings say otherwise. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}, which cannot create one: taken to be there."
        self._step = "create-registry"
        found = self._repositories.find()
        done = self._repositories.change(found) if found else self._repositories.create(self._report)
        if notice := self._repositories.dry_run_notice():
            self._report(notice)
        return done

    def login(self) -> str:
        """Find the account, and see that it may push; tell Docker how to log in, too. Raises CloudError."""
        if self._docker_only:
            return f"{self._docker_only}."
        self._step = "auth"
        self._repositories.check_rights()
        done = f"{self._account.name} (from {self._account.source}) may push to {self._settings.host}."
        return f"{done} {changed}" if (changed := self._log_docker_in()) else done

    def outlook(self) -> str:
        """Return what publish would meet, changing nothing. Raises CloudError for what it could not mend."""
        settings = self._settings
        if self._docker_only:
            return self._docker_only
        if self._is_enabled() is False:
            return f"{_SERVICE} is not enabled in {settings.project}; publish enables it"
        found = self._repositories.find()
        if found is None:
            elsewhere = self._repositories.elsewhere()
            but = f", but one of that name in {', '.join(elsewhere)}" if elsewhere else ""
            return f"there is no repository {settings.name} in {settings.location}{but}; publish creates it"
        self._repositories.check_fit(found)
        self._repositories.check_rights()
        return f"{self._account.name} may push to {settings.host}"

    def credentials(self) -> Credentials | None:
        """Return a fresh token; else the account that Docker keeps. Raises CloudError."""
        if self._docker_only:
            return super().credentials()
        from bentoship.providers.google.failures import Caller, permission_hint

        # A token's user at Google's registries (cloud.google.com/artifact-registry/docs/docker/authentication).
        return Credentials(
            "oauth2accesstoken",
            self._account.token(),
            source=f"{self._account.name}'s token",
            login=self._account.login,
            rights=permission_hint(_UPLOAD, Caller(self._settings.project, self._account.name)),
        )

    @functools.cached_property
    def lists(self) -> Lists:
        """What there is in Google Cloud. Raises CloudError when there are no credentials."""
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
        """Who we are, or why we are nobody: looking again would take as long, with the same end."""
        from bentoship.providers.google.account import Account

        try:
            return Account(self._http, self._settings.project)
        except CloudError as error:
            return error

    @functools.cached_property
    def _docker_only(self) -> str:
        """Whose account Docker keeps, where Google's tools know none; empty when they do."""
        try:
            self._account  # noqa: B018 - for the error, if there is one
        except CloudError as error:
            if found := super().credentials():
                return f"For Google there is only Docker's account {found.account} ({error.why})"
            raise
        return ""

    @property
    def _service(self) -> str:
        return f"serviceusage/v1/projects/{self._settings.project}/services/{_SERVICE}"

    def _report(self, text: str) -> None:
        self._tell(self._step, text)

    def _is_enabled(self) -> bool | None:
        """Return whether Artifact Registry is enabled; None when the account may not look. Raises CloudError."""
        from bentoship.providers.google.failures import ApiError

        try:
            doing = f"Look whether {_SERVICE} is enabled in {self._settings.project}"
            return bool(self._apis.call(doing, "GET", self._service).get("state") == "ENABLED")
        except ApiError as error:
            # Who may push need not be allowed to look; if it is not enabled, the next step says so.
            if error.status == 403 and error.reason in ("IAM_PERMISSION_DENIED", "AUTH_PERMISSION_DENIED"):
                return None
            raise

    def _log_docker_in(self) -> str:
        """Have Docker ask Google's helper for this host, where there is one; return what was changed, in words."""
        helper = docker_config.installed_helper(process.environment())
        if not helper or not self.host.endswith(".pkg.dev"):  # helpers know no other hosts
            return ""
        changed = docker_config.name_helper(self.host, helper)
        return f"Docker logs in to {self.host} by docker-credential-{helper} now ({changed})." if changed else ""
