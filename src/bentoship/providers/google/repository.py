"""A repository of Artifact Registry, as the settings want it, in Google's JSON."""

import copy
from collections.abc import Mapping
from typing import Any

from bentoship.settings.google import GoogleSettings

_WORDS = {
    "description": "the description",
    "labels": "the labels",
    "dockerConfig.immutableTags": "immutable tags",
    "cleanupPolicies": "what is cleaned up",
    "cleanupPolicyDryRun": "whether cleaning up is a dry run",
    "vulnerabilityScanningConfig.enablementConfig": "scanning",
}


def new_repository(settings: GoogleSettings) -> dict[str, Any]:
    """Return the repository that is to be created."""
    fixed = {"format": "DOCKER", **({"kmsKeyName": settings.kms_key} if settings.kms_key else {})}
    return changes(settings, fixed)[0]


def mismatch(settings: GoogleSettings, found: Mapping[str, Any]) -> tuple[str, str]:
    """Return why one that is there takes no images as settings want it, and what to do; both empty when it does."""
    another = "Set GCP_CONTAINER_REGISTRY_NAME to another name."
    kind, mode, key = (found.get(field, "") for field in ("format", "mode", "kmsKeyName"))
    if kind != "DOCKER":
        return f"it exists with the format {kind.lower()}, not docker, which cannot be changed", another
    if mode not in ("STANDARD_REPOSITORY", "MODE_UNSPECIFIED", ""):
        return f"it is a {mode.removesuffix('_REPOSITORY').lower()} one, which takes no images", another
    if settings.kms_key and settings.kms_key != key:
        why = f"it is encrypted with {key or 'a key of Google'}, which cannot be changed"
        return why, "Unset GCP_CONTAINER_REGISTRY_KMS_KEY, or choose another name."
    return "", ""


def changes(settings: GoogleSettings, found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return one that is there as settings want it, and the fields that differed, with their names for people."""
    changed, fields = copy.deepcopy(dict(found)), {}
    for path, value in _options(settings).items():
        *parents, name = path.split(".")
        message = changed
        for parent in parents:
            message = message.setdefault(parent, {})
        # JSON leaves out what is false or empty.
        if message.get(name, type(value)()) != value:
            fields[path] = _WORDS[path]
            message[name] = value
    return changed, fields


def _options(settings: GoogleSettings) -> dict[str, Any]:
    """Return the fields that are set, by their path in a repository."""
    cleanup = _cleanup_policies(settings)
    scanning = {True: "INHERITED", False: "DISABLED", None: None}[settings.scanning]
    options = {
        "description": settings.description,
        "labels": None if settings.labels is None else dict(settings.labels),
        "dockerConfig.immutableTags": settings.immutable_tags,
        "cleanupPolicies": cleanup or None,
        "cleanupPolicyDryRun": not settings.cleanup if cleanup else None,
        "vulnerabilityScanningConfig.enablementConfig": scanning,
    }
    return {path: value for path, value in options.items() if value is not None}


def _cleanup_policies(settings: GoogleSettings) -> dict[str, Any]:
    """Return the policies that settings ask for; Google's types for them take a while to import."""
    if not settings.keep and not settings.delete_untagged_days:
        return {}
    from bentoship.providers.google.cleanup import policies

    return policies(settings)
