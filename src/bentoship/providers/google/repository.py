"""A repository of Artifact Registry, as the settings want it."""

from __future__ import annotations

from typing import Any

from google.cloud.artifactregistry_v1.types import Repository

from bentoship.providers.google.cleanup import policies
from bentoship.settings.google import GoogleSettings

_Scanning = Repository.VulnerabilityScanningConfig
_WORDS = {
    "description": "the description",
    "labels": "the labels",
    "docker_config.immutable_tags": "immutable tags",
    "cleanup_policies": "what is cleaned up",
    "cleanup_policy_dry_run": "whether cleaning up is a dry run",
    "vulnerability_scanning_config.enablement_config": "scanning",
}
_SCANNING = {True: _Scanning.EnablementConfig.INHERITED, False: _Scanning.EnablementConfig.DISABLED}


def wanted(settings: GoogleSettings) -> Repository:
    """The repository that is to be created."""
    repository = Repository(format_=Repository.Format.DOCKER, kms_key_name=settings.kms_key or "")
    for path, value in _options(settings).items():
        _put(repository, path, value)
    return repository


def unfit(settings: GoogleSettings, found: Repository) -> tuple[str, str]:
    """Why one that is there takes no images as settings want it, and what to do; both empty when it does."""
    another = "Set GCP_CONTAINER_REGISTRY_NAME to another name."
    if found.format_.name != "DOCKER":
        return f"it exists with the format {found.format_.name.lower()}, not docker, which cannot be changed", another
    if found.mode.name not in ("STANDARD_REPOSITORY", "MODE_UNSPECIFIED"):
        return f"it is a {found.mode.name.removesuffix('_REPOSITORY').lower()} one, which takes no images", another
    if settings.kms_key and settings.kms_key != found.kms_key_name:
        why = f"it is encrypted with {found.kms_key_name or 'a key of Google'}, which cannot be changed"
        return why, "Unset GCP_CONTAINER_REGISTRY_KMS_KEY, or choose another name."
    return "", ""


def changes(settings: GoogleSettings, found: Repository) -> tuple[Repository, dict[str, str]]:
    """One that is there as settings want it, and the fields in which it was not so, with their names for people."""
    changed = Repository.deserialize(Repository.serialize(found))
    fields = {}
    for path, value in _options(settings).items():
        before = Repository.deserialize(Repository.serialize(changed))
        _put(changed, path, value)
        if changed != before:
            fields[path] = _WORDS[path]
    return changed, fields


def _options(settings: GoogleSettings) -> dict[str, Any]:
    """The fields that are set, by their path in a Repository."""
    cleanup = policies(settings)
    options = {
        "description": settings.description,
        "labels": None if settings.labels is None else dict(settings.labels),
        "docker_config.immutable_tags": settings.immutable_tags,
        "cleanup_policies": cleanup or None,
        "cleanup_policy_dry_run": not settings.cleanup if cleanup else None,
        "vulnerability_scanning_config.enablement_config": (
            None if settings.scanning is None else _SCANNING[settings.scanning]
        ),
    }
    return {path: value for path, value in options.items() if value is not None}


def _put(repository: Repository, path: str, value: Any) -> None:
    *parents, name = path.split(".")
    message: Any = repository
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, value)
