"""The Git repository of a project: its commit, and how far up the project's files may lie."""

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


def nearest(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern in a folder, or else in the nearest of its parents that has any.

    Args:
        folder: where to begin. The last folder that is looked into is the Git root, the first with .git in it; without
            one it is this folder.
        pattern: relative to each of these folders, such as "model/*.bentomodel".

    Returns: the files of one folder, sorted.
    """
    folders = [folder, *folder.resolve().parents]
    root = next((number for number, place in enumerate(folders) if (place / ".git").exists()), 0)
    matches = (sorted(path for path in place.glob(pattern) if path.is_file()) for place in folders[: root + 1])
    return next(filter(None, matches), [])
