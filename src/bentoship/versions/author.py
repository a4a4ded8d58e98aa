"""Who changes something in a registry, as histories and provenance record it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from bentoship.system import git
from bentoship.system.process import environment

_ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "CIRCLE_USERNAME", "BUILDKITE_BUILD_CREATOR", "BUILD_REQUESTEDFOR")
"""The variables with the person who started a job, in continuous integration."""


def author(folder: Path) -> str:
    """Return the person who started this job of continuous integration, else Git's user, else the system's.

    Args:
        folder: the project, whose repository may name a user of its own.
    """
    return actor() or git.user(folder) or _account()


def actor() -> str:
    """Return the person who started this job of continuous integration; empty outside of one."""
    env = environment(names=_ACTORS)
    return next((env[name] for name in _ACTORS if env.get(name)), "")


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that is run as any user
        return str(os.getuid())
