"""Projects whose tasks are run as people run them: `invoke` in a process of its own, with folders of the tests' own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.bento import make_project
from tests.support.cache import with_packages

ROOT = Path(__file__).parents[2]

# Of the tests' environment, what programs need to run and to reach the network.
_PASSED_ON = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PYENV_ROOT", "UV_CACHE_DIR", "LANG")


@dataclass(frozen=True)
class Site:
    """A project, and the folders that stand for a user's.

    Args:
        folder: the project, with tasks.py and bentofile.yaml.
        home: the user's home.
        cache: the folder of caches; the local registry is in it.
        settings: variables that every run has.
        called_in: where invoke is called; the project's folder when None.
        patience: the seconds that a run may take.
    """

    folder: Path
    home: Path
    cache: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    called_in: Path | None = None
    patience: float = 600.0

    @property
    def env(self) -> dict[str, str]:
        """The environment of a run."""
        kept = {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
        uv_cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
        own = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.cache), "UV_CACHE_DIR": uv_cache}
        return {**kept, **own, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1", **self.settings}

    def below(self, name: str) -> Site:
        """The same, called in a folder of the project."""
        return replace(self, called_in=self.folder / name)

    def invoke(self, *args: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run invoke to its end. Raises TimeoutExpired when that takes too long."""
        return subprocess.run(
            [sys.executable, "-m", "invoke", *args],
            cwd=self.called_in or self.folder,
            env={**self.env, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.patience,
            check=False,
        )

    def start(self, *args: str, **settings: str) -> subprocess.Popen[str]:
        """Run invoke, and go on meanwhile."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *args],
            cwd=self.folder,
            env={**self.env, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def abandon(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Stop reading what a program prints, as head does. Returns: its exit code, and what it wrote to stderr."""
    assert running.stdout
    assert running.stderr
    running.stdout.close()
    with running.stderr as stream:
        complaints = stream.read()
    return running.wait(timeout=30), complaints


def echo_site(folder: Path, cache: Path, **settings: str) -> Site:
    """A site with the small Bento that echoes."""
    home = folder / "home"
    home.mkdir(parents=True)
    make_project(folder / "project")
    shutil.copy(ROOT / "tasks.py", folder / "project")
    return Site(folder / "project", home, cache, settings)


def shared_cache(of_worker: Path, of_run: Path) -> Path:
    """A folder of caches for one process of the tests: a registry of its own, and what is dear to make in common."""
    own = of_worker / "bentoship"
    own.mkdir(parents=True)
    with_packages(own)
    for name in ("bases", "layers"):
        (of_run / name).mkdir(exist_ok=True, parents=True)
        (own / name).symlink_to(of_run / name)
    return of_worker
