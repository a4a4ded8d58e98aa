"""The git commit of a project."""

from pathlib import Path

from bentoship.errors import ProcessError
from bentoship.system.process import environment, run


def clean_commit(folder: Path) -> str | None:
    """Return the short hash of a folder's commit; None with uncommitted changes, or outside a repository."""
    env = environment(prefixes=("GIT_",), extra={"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"})
    try:
        status = run(["git", "status", "--porcelain=v2", "--branch", "--", "."], env=env, cwd=folder).stdout
    except ProcessError:
        return None
    commit, *changes = [line for line in status.splitlines() if line.startswith("# branch.oid") or line[:1] != "#"]
    oid = commit.removeprefix("# branch.oid ")
    return None if changes or oid == "(initial)" else oid[:12]
