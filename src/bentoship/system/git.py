"""Git repositories: a project's, with its commit and how far up its files may lie, and the commits of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bentoship.errors import ProcessError
from bentoship.system.process import environment, run
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Revision:
    """What a folder of a repository has checked out. Args: commit: its hash; is_clean: whether nothing differs."""

    commit: str
    is_clean: bool


@dataclass(frozen=True)
class Origin:
    """Where a folder comes from. Args: remote: the repository's, without passwords; folder: in it; author: of changes.

    Each is empty where Git does not know it.
    """

    remote: str = ""
    folder: str = ""
    author: str = ""


def revision(folder: Path) -> Revision | None:
    """Return what a folder has checked out; None outside a repository, or before its first commit."""
    try:
        status = run(["git", "status", "--porcelain=v2", "--branch", "--", "."], env=_own(), cwd=folder).stdout
    except ProcessError:
        return None
    commit, *changes = [line for line in status.splitlines() if line.startswith("# branch.oid") or line[:1] != "#"]
    oid = commit.removeprefix("# branch.oid ")
    return None if oid == "(initial)" else Revision(oid, not changes)


def origin(folder: Path) -> Origin:
    """Return where a folder comes from, as far as Git knows it."""
    answers = []
    for command in (["config", "--get-regexp", r"^(remote\.origin\.url|user\.name)$"], ["rev-parse", "--show-prefix"]):
        try:
            answers.append(run(["git", *command], env=_own(), cwd=folder).stdout)
        except ProcessError:
            answers.append("")
    # The last of several is what Git takes.
    said = dict(line.partition(" ")[::2] for line in answers[0].splitlines())
    remote, author, place = said.get("remote.origin.url", ""), said.get("user.name", ""), answers[1].strip()
    is_elsewhere = _ELSEWHERE.match(remote) and not remote.startswith(("file:", "ext::"))
    return Origin(without_secrets(remote) if is_elsewhere else "", place.rstrip("/"), author)


_ELSEWHERE = re.compile(r"[\w.+-]+:(//|:)|[^/:\s]{2,}:|\[[^]/\s]+\]:")
"""A URL, or as scp has it: a path of this machine, and a command of it, is of no use elsewhere (git-fetch(1))."""


def check_out(folder: Path, commit: str, into: Path) -> Path:
    """Make a clone of a folder's repository with a commit checked out; return where the folder is in it.

    Its submodules are there if the repository has them checked out, too, each with the commit that the other names.

    Args:
        folder: a folder in a repository, in which nothing is changed.
        commit: the hash of one that the repository has; anyone may have written it.
        into: the folder to be made.

    Raises: ProcessError, also for anything else than a hash: it would be a branch, or an option of Git's.
    """
    if not _COMMIT.fullmatch(commit):
        raise ProcessError("Check out a commit", f"{commit[:80]!r} is not the hash of one")
    place = run(["git", "rev-parse", "--show-prefix"], env=_own(), cwd=folder).stdout.strip()
    root = run(["git", "rev-parse", "--show-toplevel"], env=_own(), cwd=folder).stdout.strip()
    _check_out(Path(root), commit, into)
    return into / place


def _check_out(root: Path, commit: str, into: Path) -> None:
    # The user's hooks may change what is there, such as by installing packages.
    git = ["git", "-c", f"core.hooksPath={os.devnull}"]
    run([*git, "clone", "-q", "--shared", "--no-checkout", "--", root, into], env=_own())
    run([*git, "checkout", "-q", "--detach", commit, "--"], env=_own(), cwd=into)
    listed = run(["git", "ls-files", "--stage", "-z"], env=_own(), cwd=into).stdout
    for facts, _, path in (entry.partition("\t") for entry in listed.split("\0")):
        mode, named = facts.split(" ")[:2] if path else ("", "")
        if mode == _SUBMODULE and (root / path / ".git").exists():
            _check_out(root / path, named, into / path)


_SUBMODULE = "160000"
"""The mode of a submodule's commit (git-fast-import(1), "gitlink")."""


_PLACES = frozenset((
    "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE",
))  # fmt: skip
"""The variables by which Git's hooks are told of the repository that they run in (`git rev-parse --local-env-vars`)."""


def _own() -> dict[str, str]:
    """Return the environment for Git. Only the folder says which repository is meant: there may be a clone in it."""
    env = environment(prefixes=("GIT_",), extra={"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"})
    return {name: value for name, value in env.items() if name not in _PLACES}


def remote(folder: Path) -> str:
    """Return the address of the remote named origin of a folder's repository; empty when there is none."""
    try:
        command = ["git", "remote", "get-url", "origin"]
        return run(command, env=_own(), cwd=folder).stdout.strip()
    except ProcessError:
        return ""


def remote_commit(url: str, reference: str, env: Mapping[str, str]) -> str:
    """Return the commit that a branch or a tag of a repository is at now; empty when it has none of that name.

    Args:
        url: of the repository.
        reference: a branch, a tag or a commit; empty for what the repository has checked out.
        env: the environment that Git gets, in which it finds the account. It asks for no password.

    Raises: ProcessError when Git is missing or the server refuses, in its words.
    """
    if re.fullmatch(r"[0-9a-f]{40}", reference):
        return reference
    name = reference or "HEAD"
    command = ["git", "ls-remote", "--", url, name, f"{name}^{{}}"]
    found = run(command, env={**env, "GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never"}).stdout
    commits = {ref: commit for commit, _, ref in (line.partition("\t") for line in found.splitlines())}
    # A tag with a message is an object of its own, which the mark follows to its commit (man gitrevisions).
    places = (f"refs/tags/{name}^{{}}", f"refs/tags/{name}", f"refs/heads/{name}", name)
    return next((commits[place] for place in places if place in commits), "")


def log(folder: Path, old: str, new: str, most: int) -> list[tuple[str, str]] | None:
    """Return the commits that one commit has and another lacks, the newest first; None where either is not there.

    Args:
        folder: a folder in the repository.
        old, new: the commits.
        most: how many are returned at most.

    Returns: the commits, short, each with the first line of its message.
    """
    if not all(_COMMIT.fullmatch(commit) for commit in (old, new)):
        return None
    command = ["git", "log", "--no-show-signature", "--no-color", "--format=%h%x00%s", f"--max-count={most}"]
    try:
        said = run([*command, f"{old}..{new}", "--"], env=environment(extra={"LC_ALL": "C"}), cwd=folder).stdout
    except ProcessError:
        return None
    return [(commit, subject) for commit, _, subject in (line.partition("\0") for line in said.splitlines())]


def described(folder: Path) -> str:
    """Return the commit of a folder's repository with its nearest tag (`git describe`); empty outside of one."""
    command = ["git", "describe", "--tags", "--long", "--always"]
    try:
        return run(command, env=environment(extra={"LC_ALL": "C"}), cwd=folder).stdout.strip()
    except ProcessError:
        return ""


def user(folder: Path) -> str:
    """Return the name, else the address, of the user that Git has for commits in a folder; empty when it has none."""
    env = _own()
    for setting in ("user.name", "user.email"):
        try:
            if found := run(["git", "config", setting], env=env, cwd=folder).stdout.strip():
                return found
        except ProcessError:  # it is not set, or there is no Git
            continue
    return ""


def clone_without_files(folder: Path, into: Path, names: Iterable[str]) -> Path:
    """Make a clone of a folder's repository, with tags and without files; return where the folder is in it.

    Args:
        folder: a folder in a repository.
        into: the folder to be made.
        names: the files below the folder that will be there. Git takes all others for unchanged.

    Raises: ProcessError.
    """
    env = environment(extra={"LC_ALL": "C"})
    place = run(["git", "rev-parse", "--show-prefix"], env=env, cwd=folder).stdout.strip()
    root = run(["git", "rev-parse", "--show-toplevel"], env=env, cwd=folder).stdout.strip()
    run(["git", "clone", "-q", "--shared", "--no-checkout", "--", root, into], env=env)
    run(["git", "read-tree", "HEAD"], env=env, cwd=into)
    tracked = run(["git", "ls-files", "-z"], env=env, cwd=into).stdout.split("\0")
    absent = {*filter(None, tracked)} - {f"{place}{name}" for name in names}
    marking = ["git", "update-index", "--skip-worktree", "-z", "--stdin"]
    run(marking, env=env, cwd=into, input="".join(f"{name}\0" for name in sorted(absent)))
    return into / place


def nearest(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match a pattern in a folder, or else in the nearest of its parents that has any.

    Args:
        folder: where to begin; the last folder that is looked into is that of `upwards`.
        pattern: relative to each of these folders, such as "model/*.bentomodel".

    Returns: the files of one folder, sorted.
    """
    matches = (sorted(path for path in place.glob(pattern) if path.is_file()) for place in upwards(folder))
    return next(filter(None, matches), [])


def upwards(folder: Path) -> list[Path]:
    """Return a folder and its parents up to the Git root, the first with .git in it; without one, the folder alone."""
    folders = [folder, *folder.resolve().parents]
    root = next((number for number, place in enumerate(folders) if (place / ".git").exists()), 0)
    return folders[: root + 1]
