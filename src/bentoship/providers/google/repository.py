"""A repository of Artifact Registry, as the settings want it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.cloud.artifactregistry_v1.types import CleanupPolicy, Repository

from bentoship.google_settings import GoogleSettings

_KEEP, _DELETE = "bentoship-keep", "bentoship-delete-untagged"

_Scanning = Repository.VulnerabilityScanningConfig
_SCANNING = {True: _Scanning.EnablementConfig.INHERITED, False: _Scanning.EnablementConfig.DISABLED}


def wanted(settings: GoogleSettings) -> Repository:
    """The repository that is to be created."""
    repository = Repository(format_=Repository.Format.DOCKER, kms_key_name=settings.kms_key or "")
    for path, value in _options(settings).items():
        _put(repository, path, value)
    return repository


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
    policies = _policies(settings)
    options = {
        "description": settings.description,
        "labels": None if settings.labels is None else dict(settings.labels),
        "docker_config.immutable_tags": settings.immutable_tags,
        "cleanup_policies": policies or None,
        "cleanup_policy_dry_run": not settings.cleanup if policies else None,
        "vulnerability_scanning_config.enablement_config": (
            None if settings.scanning is None else _SCANNING[settings.scanning]
        ),
    }
    return {path: value for path, value in options.items() if value is not None}


def _policies(settings: GoogleSettings) -> dict[str, CleanupPolicy]:
    policies = {}
    if settings.keep:
        policies[_KEEP] = CleanupPolicy(
            id=_KEEP, action=CleanupPolicy.Action.KEEP, most_recent_versions={"keep_count": settings.keep}
        )
    if settings.delete_untagged_days:
        age = timedelta(days=settings.delete_untagged_days)
        policies[_DELETE] = CleanupPolicy(
            id=_DELETE, action=CleanupPolicy.Action.DELETE, condition={"tag_state": "UNTAGGED", "older_than": age}
        )
    return policies


def _put(repository: Repository, path: str, value: Any) -> None:
    *parents, name = path.split(".")
    message: Any = repository
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, name, value)
