"""Provenance of images by SLSA (slsa.dev/spec/v1.0/provenance): what they were made from, by whom, how and when."""

from __future__ import annotations

import platform
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote

from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import Descriptor
from bentoship.system.git import Origin, Revision
from bentoship.system.process import environment
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass
from bentoship.versions.author import actor
from bentoship.versions.evidence.statement import statement
from bentoship.versions.times import rfc3339

BUILD_TYPE = "https://bentoship.org/publish/v1"
"""What `externalParameters` and `resolvedDependencies` mean; docs/registry.md describes it."""

_TOOLS = ("bentoship", "bentoml", "uv")

# The variables that say where a build runs: GitHub's and GitLab's documentation of predefined variables.
_CI = (
    "GITHUB_ACTIONS", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT",
    "RUNNER_ENVIRONMENT",
    "GITLAB_CI", "CI_SERVER_URL", "CI_RUNNER_ID", "CI_JOB_URL",
)  # fmt: skip


@dataclass(frozen=True)
class Making:
    """How an image was made.

    Args:
        parameters: what the user has chosen, by the names of settings.
        materials: what it was made of besides the project: resource descriptors.
        began: when.
        ended: when it was in the registry.
        revision: what the project had checked out; None outside a Git repository.
        origin: where the project comes from.
        platforms: what the image is for, such as linux/amd64.
    """

    parameters: Mapping[str, Any]
    materials: Sequence[Mapping[str, Any]]
    began: datetime
    ended: datetime
    revision: Revision | None = None
    origin: Origin = field(default_factory=Origin)
    platforms: Sequence[str] = ()


@dataclass(frozen=True)
class Host:
    """Where an image was made. Args: builder, invocation: their URIs; details: of the machine."""

    builder: str
    invocation: str
    details: Mapping[str, str]


def provenance(about: Mapping[str, Descriptor], making: Making) -> Artifact:
    """Return the provenance of an image, as an artifact that refers to it.

    Args:
        about: manifests by their names; the first is the image or index itself.
        making: how it was made.
    """
    host, by = _host(), actor() or making.origin.author
    content = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(making.parameters),
            "internalParameters": {"host": dict(host.details), **({"by": by} if by else {})},
            "resolvedDependencies": [*_source(making), *making.materials],
        },
        "runDetails": {
            "builder": {"id": host.builder, "version": _versions()},
            "metadata": {
                "invocationId": host.invocation,
                "startedOn": rfc3339(making.began),
                "finishedOn": rfc3339(making.ended),
            },
        },
    }
    platforms = {keys.PLATFORMS: ",".join(making.platforms)} if making.platforms else {}
    shown = {**source_annotations(making.revision), **platforms}
    return statement(about, keys.PROVENANCE, content, made=making.ended, annotations=shown)


def source_annotations(revision: Revision | None) -> dict[str, str]:
    """Return what lists of referrers show of an image's source. Args: revision: None outside a Git repository."""
    return {keys.COMMIT: revision.commit, keys.CLEAN: str(revision.is_clean).lower()} if revision else {}


def _source(making: Making) -> list[dict[str, Any]]:
    if making.revision is None:
        return []
    remote = without_secrets(making.origin.remote)
    source = {
        "name": "source",
        **({"uri": _uri(remote)} if remote else {}),
        "digest": {"gitCommit": making.revision.commit},
        "annotations": {"clean": making.revision.is_clean, "folder": making.origin.folder},
    }
    return [source]


_SCP = re.compile(r"(?P<host>[^/:\s]{2,}|(?:[^/:\s]+@)?\[[^]/\s]+\]):(?!:|//)/?(?P<path>.*)", re.DOTALL)
"""An address of SSH as scp has it, such as git@github.com:acme/planets.git, which is no URI."""


def _uri(remote: str) -> str:
    """Return the address of a repository as a URI, in the form that SPDX has for them ("Package download location")."""
    found = _SCP.fullmatch(remote)
    address = quote(f"ssh://{found['host']}/{found['path']}" if found else remote, safe="%:/?#[]@!$&'()*+,;=~")
    return address if address.startswith("git+") else f"git+{address}"


def _versions() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # bentoship itself, in a checkout that is not installed
            continue
    return found


def _host() -> Host:
    """Return where this process runs."""
    env = environment(names=_CI)
    details = {
        "name": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if env.get("GITHUB_ACTIONS") == "true" and "GITHUB_REPOSITORY" in env:
        kind = env.get("RUNNER_ENVIRONMENT", "github-hosted")
        runs = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env['GITHUB_REPOSITORY']}/actions/runs"
        run = f"{runs}/{env.get('GITHUB_RUN_ID', '')}/attempts/{env.get('GITHUB_RUN_ATTEMPT', '1')}"
        return Host(f"https://github.com/actions/runner/{kind}", run, details)
    if env.get("GITLAB_CI") == "true" and "CI_JOB_URL" in env:
        runner = f"{env.get('CI_SERVER_URL', '')}/-/runners/{env.get('CI_RUNNER_ID', '')}"
        return Host(runner, env["CI_JOB_URL"], details)
    return Host(f"{BUILD_TYPE}/local", f"urn:uuid:{uuid.uuid4()}", details)
