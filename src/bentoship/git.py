"""What git says of a project."""

from __future__ import annotations

from pathlib import Path

from bentoship.errors import ProcessError
from bentoship.process import environment, run


def clean_commit(folder: Path) -> str | None:
    """The short hash of the commit that a folder holds exactly; None when it has changes, or is in no repository."""
    env = environment(prefixes=("GIT_",), extra={"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"})
    try:
        changes = run(["git", "status", "--porcelain", "--", "."], env=env, cwd=folder).stdout
        commit = run(["git", "rev-parse", "--short=12", "HEAD"], env=env, cwd=folder).stdout.strip()
    except ProcessError:
        return None
    return None if changes.strip() else commit
