"""The repositories of Artifact Registry: the configured one, and those of the same name in other locations."""

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

from bentoship.errors import CloudError
from bentoship.providers.google.apis import Apis
from bentoship.providers.google.failures import ApiError, permission_hint
from bentoship.providers.google.lists import Lists
from bentoship.settings.google import GoogleSettings

_PERMISSIONS = ("artifactregistry.repositories.uploadArtifacts", "artifactregistry.repositories.downloadArtifacts")
"""The permissions that pushing needs."""

_WORDS = {
    "description": "the description",
    "labels": "the labels",
    "dockerConfig.immutableTags": "immutable tags",
    "cleanupPolicies": "the cleanup policies",
    "cleanupPolicyDryRun": "whether cleanup is a dry run",
    "vulnerabilityScanningConfig.enablementConfig": "scanning",
}


class Repositories:
    """The repositories of one name in a project.

    Args:
        apis: the APIs to call.
        settings: the repository's name, location and options.
        lists: the list of locations.
    """

    def __init__(self, apis: Apis, settings: GoogleSettings, lists: Lists) -> None:
        self._apis = apis
        self._settings = settings
        self._lists = lists
        self._path = self._path_in(settings.location)

    def find(self) -> dict[str, Any] | None:
        """Return the configured repository; None when it does not exist in its location. Raises CloudError."""
        try:
            doing = f"Look for the repository {self._settings.name} in {self._settings.location}"
            return self._apis.call(doing, "GET", self._path)
        except ApiError as error:
            if error.status == 404 and "project" not in error.why.lower():
                return None
            raise self._with_location_hint(error) from error

    def create(self, tell: Callable[[str], None]) -> str:
        """Create the repository. Args: tell: receives progress. Returns: what was done. Raises CloudError."""
        settings = self._settings
        doing = f"Create the repository {settings.name} in {settings.location}"
        elsewhere = self.elsewhere()
        tell(f"creating the repository {settings.name} in {settings.location}")
        path = f"{self._path.rpartition('/')[0]}?repositoryId={settings.name}"
        fixed = {"format": "DOCKER", **({"kmsKeyName": settings.kms_key} if settings.kms_key else {})}
        try:
            operation = self._apis.call(doing, "POST", path, _changes(settings, fixed)[0])
        except ApiError as error:
            if error.status == 409:  # created meanwhile, by another run or by an attempt whose response was lost
                return self.change(self._apis.call(doing, "GET", self._path))
            raise self._with_location_hint(error) from error
        self._apis.wait(doing, "artifactregistry", operation)
        also = f" (A repository of that name also exists in {', '.join(elsewhere)}.)" if elsewhere else ""
        return f"Created the repository {settings.name} for Docker images in {settings.location}.{also}"

    def change(self, found: Mapping[str, Any]) -> str:
        """Update an existing repository to the settings. Returns: what was done. Raises CloudError."""
        settings = self._settings
        self.check_fit(found)
        there = f"The repository {settings.name} already exists in {settings.location}."
        changed, fields = _changes(settings, found)
        if not fields:
            return there
        path = f"{self._path}?updateMask={','.join(fields)}"
        self._apis.call(f"Update the repository {settings.name}", "PATCH", path, changed)
        return f"{there} Updated {', '.join(fields.values())}."

    def check_fit(self, found: Mapping[str, Any]) -> None:
        """Check that an existing repository accepts images and fits the settings. Raises CloudError."""
        doing = f"Use the repository {self._settings.name} in {self._settings.location}"
        another = "Set GCP_CONTAINER_REGISTRY_NAME to another name."
        kind, mode, key = (found.get(field, "") for field in ("format", "mode", "kmsKeyName"))
        if kind != "DOCKER":
            raise CloudError(
                doing, f"it exists with the format {kind.lower()}, not docker, which cannot be changed", another
            )
        if mode not in ("STANDARD_REPOSITORY", "MODE_UNSPECIFIED", ""):
            raise CloudError(
                doing, f"it is a {mode.removesuffix('_REPOSITORY').lower()} one, which accepts no images", another
            )
        if self._settings.kms_key and self._settings.kms_key != key:
            raise CloudError(
                doing,
                f"it is encrypted with {key or 'a Google-managed key'}, which cannot be changed",
                "Unset GCP_CONTAINER_REGISTRY_KMS_KEY, or choose another name.",
            )

    def check_rights(self) -> None:
        """Check that the account may push. Raises CloudError when it may not."""
        caller = self._apis.caller
        doing = f"Check that {caller.account} may push to {self._settings.host}"
        try:
            answer = self._apis.call(doing, "POST", f"{self._path}:testIamPermissions", {"permissions": _PERMISSIONS})
        except ApiError as error:
            raise self._missing(doing) if error.status == 404 else self._with_location_hint(error) from error
        for permission in _PERMISSIONS:
            if permission not in answer.get("permissions", ()):
                # Every permission is lacking on a repository that does not exist.
                if hint := self._location_hint():
                    raise CloudError(doing, f"there is no location {self._settings.location}", hint)
                if self._is_in(self._settings.location) is False:
                    raise self._missing(doing)
                raise CloudError(doing, f"it lacks {permission}", permission_hint(permission, caller))

    def elsewhere(self) -> list[str]:
        """Return the other locations with a repository of the name; none when that cannot be determined."""
        try:
            others = [location for location in self._lists.known if location != self._settings.location]
        except CloudError:
            return []
        with ThreadPoolExecutor(max_workers=8) as pool:
            return [location for location, there in zip(others, pool.map(self._is_in, others), strict=True) if there]

    def images(self) -> list[str]:
        """Return the names of the images in the repository, which Google calls packages. Raises CloudError."""
        doing = f"List the images in {self._settings.name}"
        found = self._apis.pages(doing, f"{self._path}/packages", "packages")
        # Slashes are escaped in them (the API's reference, Package.name).
        return [unquote(one["name"].rpartition("/")[2]) for one in found]

    def dry_run_notice(self) -> str:
        """Return a notice of what cleanup would delete, when it is a dry run; else an empty text."""
        if self._settings.cleanup or not self._settings.delete_untagged_days:
            return ""
        from bentoship.providers.google import cleanup

        try:
            doing = f"List the images in {self._settings.name}"
            images = list(self._apis.pages(doing, f"{self._path}/dockerImages", "dockerImages"))
        except CloudError:  # an account that may push may lack the permission to list
            images = None
        return cleanup.dry_run_notice(self._settings, images)

    def _path_in(self, location: str) -> str:
        place = f"projects/{self._settings.project}/locations/{location}"
        return f"artifactregistry/v1/{place}/repositories/{self._settings.name}"

    def _is_in(self, location: str) -> bool | None:
        """Return whether a location has a repository of the name; None when that cannot be determined."""
        try:
            self._apis.call("Look for the repository", "GET", self._path_in(location))
        except CloudError as error:
            return False if isinstance(error, ApiError) and error.status == 404 else None
        return True

    def _missing(self, doing: str) -> CloudError:
        """Return the error for a repository that does not exist."""
        settings, hint = self._settings, "Create it: invoke create-registry"
        if elsewhere := self.elsewhere():
            there = f"One of that name exists in {', '.join(elsewhere)}: check GCP_CONTAINER_REGISTRY_LOCATION"
            hint = f"{there}, or create it here as well: invoke create-registry"
        return CloudError(doing, f"there is no repository {settings.name} in {settings.location}", hint)

    def _with_location_hint(self, error: ApiError) -> CloudError:
        """Return an error, with a hint if it is due to a location that does not exist."""
        refused = error.status in (400, 403, 404) and error.reason != "SERVICE_DISABLED"
        hint = self._location_hint() if refused else ""
        return CloudError(error.doing, error.why, hint) if hint else error

    def _location_hint(self) -> str:
        """Return a hint for a location that does not exist; empty when it exists, or that cannot be determined."""
        location = self._settings.location
        try:
            if location in self._lists.known:
                return ""
        except CloudError:
            return ""
        near = self._lists.nearest(location)
        meant = f"; did you mean {near}?" if near else "."
        return f"Unknown location GCP_CONTAINER_REGISTRY_LOCATION={location}{meant} `invoke locations` lists them."


def _changes(settings: GoogleSettings, found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a repository updated to the settings, and the display names of the changed fields, by path."""
    changed, fields = copy.deepcopy(dict(found)), {}
    for path, value in _options(settings).items():
        *parents, name = path.split(".")
        message = changed
        for parent in parents:
            message = message.setdefault(parent, {})
        # Google's JSON omits values that are false or empty.
        if message.get(name, type(value)()) != value:
            fields[path] = _WORDS[path]
            message[name] = value
    return changed, fields


def _options(settings: GoogleSettings) -> dict[str, Any]:
    """Return the configured fields of a repository, by their path in Google's JSON."""
    cleanup = None
    if settings.keep or settings.delete_untagged_days:
        from bentoship.providers.google.cleanup import policies  # slow to import

        cleanup = policies(settings)
    scanning = {True: "INHERITED", False: "DISABLED", None: None}[settings.scanning]
    options = {
        "description": settings.description,
        "labels": None if settings.labels is None else dict(settings.labels),
        "dockerConfig.immutableTags": settings.immutable_tags,
        "cleanupPolicies": cleanup,
        "cleanupPolicyDryRun": not settings.cleanup if cleanup else None,
        "vulnerabilityScanningConfig.enablementConfig": scanning,
    }
    return {path: value for path, value in options.items() if value is not None}
