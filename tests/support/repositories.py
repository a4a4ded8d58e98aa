"""Git repositories on loopback, served as plain files (git-http-backend, "Dumb HTTP")."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.threads import in_a_thread

_ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *args: str) -> str:
    """Run git in a folder."""
    done = subprocess.run(["git", *args], cwd=folder, env=_ENV, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, *, tag: str = "") -> str:
    """Commit all files of a folder, which becomes a repository, and return the commit."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a change")
    if tag:
        git(folder, "tag", "-a", tag, "-m", tag)
    return git(folder, "rev-parse", "HEAD")


def publish(folder: Path, served: Path) -> None:
    """Copy a repository to where a server has it, so that it can be read as plain files."""
    git(folder, "clone", "-q", "--mirror", str(folder), str(served))
    git(served, "update-server-info")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server of a folder's files; its "HOST:PORT"."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, in_a_thread(server):
        yield f"127.0.0.1:{server.server_port}"
