"""A repository of Artifact Registry, as the settings want it."""

from __future__ import annotations

from typing import Any

from google.cloud.artifactregistry_v1.types import Repository

from bentoship.google_settings import GoogleSettings
from bentoship.providers.google.cleanup import policies

_Scanning = Repository.VulnerabilityScanningConfig
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


def changes(settings: GoogleSettings, found: Repository) -> Repository | None:
    """What is to be changed in one that is there, with all else as it is; None for nothing."""
    changed = Repository.deserialize(Repository.serialize(found))
    for path, value in _options(settings).items():
        _put(changed, path, value)
    return None if changed == found else changed


def mask(settings: GoogleSettings) -> list[str]:
    """The fields that settings speak of."""
    return list(_options(settings))


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
