"""The project's own example, published once by the command that people run, for all tests that look at the image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bentoship.providers.local import LocalRegistry
from bentoship.settings import KNOWN
from tests.support.cache import kept
from tests.support.shared import shared

ROOT = Path(__file__).parents[2]

MARK = "planted-6b1f3c"
"""Stands in every secret of the published project, in all folders that publishing uses, and in the host's name."""

SECRETS = {
    ".env": f"AWS_SECRET_ACCESS_KEY={MARK}\n",
    ".git/description": f"{MARK}\n",
    ".netrc": f"machine localhost login me password {MARK}\n",
    "id_rsa": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}\n",
    "src/celestial_bodies/id_rsa": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{MARK}\n",
    "src/celestial_bodies/__pycache__/planted.cpython-311.pyc": MARK,
}
"""What lies about in the project, and is nobody else's business."""

_TIMEOUT = 900.0


@dataclass(frozen=True)
class Published:
    """An image in a registry that runs.

    Args:
        reference: what publish has printed: HOST/PATH/IMAGE@sha256:…
        layout: the image layout that it was sent from.
    """

    reference: str
    layout: Path

    @property
    def digest(self) -> str:
        """The manifest's."""
        return self.reference.partition("@")[2]

    def start(self, *args: str, prefix: tuple[str, ...] = (), **settings: str) -> subprocess.Popen[str]:
        """Run invoke in the published project, as publish was run.

        Args:
            args: its tasks and options.
            prefix: a program that runs it, with its arguments.
            settings: further variables; they are to leave the project as it is.
        """
        project = self.layout.parents[1]
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "invoke", *args],
            cwd=project,
            env={**_environment(project.parent), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def scratch(self) -> Path:
        """Where its runs put what is to be gone after them."""
        return self.layout.parents[2] / "cache" / "bentoship" / "scratch"


@contextmanager
def publishing(folder: Path) -> Iterator[Published]:
    """The published example and its registry; made by the process that asks first.

    Args:
        folder: the same one for all processes of a run of the tests.
    """
    place = folder / MARK
    registry = LocalRegistry(place / "cache" / "bentoship")

    def publish() -> Published:
        state = folder / "published.json"
        if not state.exists():
            reference = _publish(place)
            state.write_text(json.dumps({"name": reference.partition("/")[2]}))
        name = json.loads(state.read_text())["name"]
        # Another process may have been the last one for a while, and have stopped the registry.
        return Published(f"{registry.start()}/{name}", place / "project" / ".bentoship" / "image")

    with shared(folder, publish, registry.stop) as published:
        yield published


def _publish(place: Path) -> str:
    """Publish a copy of the project as it is, with secrets. Returns: what that wrote to stdout, one line."""
    shutil.rmtree(place, ignore_errors=True)
    for name in ("home", "cache/bentoship"):
        (place / name).mkdir(parents=True)
    # Only what was downloaded is kept from earlier runs; what is made of it is made again.
    (kept() / "apt").mkdir(exist_ok=True)
    (place / "cache" / "bentoship" / "apt").symlink_to(kept() / "apt")
    (place / "uv").symlink_to(_output([sys.executable, "-m", "uv", "cache", "dir"]).strip())
    _copy_project(place / "project")
    done = subprocess.run(
        [*_as_another_host(), sys.executable, "-m", "invoke", "publish"],
        cwd=place / "project",
        env=_environment(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode != 0:
        pytest.fail(f"invoke publish ended with exit code {done.returncode}:\n{done.stderr}", pytrace=False)
    (line,) = done.stdout.splitlines()
    return line


def _environment(place: Path) -> dict[str, str]:
    """This process's, without settings, and with folders that no other program uses."""
    kept_variables = {name: value for name, value in os.environ.items() if name not in KNOWN}
    return kept_variables | {
        "HOME": str(place / "home"),
        "XDG_CACHE_HOME": str(place / "cache"),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"),
        "BENTOML_HOME": str(place / "bentoml"),
        "UV_CACHE_DIR": str(place / "uv"),
    }


def _copy_project(target: Path) -> None:
    """Copy what git knows of the project or would take in, and lay secrets beside it."""
    listed = _output(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    for name, content in SECRETS.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(content)


def _as_another_host() -> list[str]:
    """What has a program see MARK as this host's name; nothing where that is not allowed."""
    prefix = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', MARK]
    try:
        _output([*prefix, "true"])
    except (OSError, subprocess.CalledProcessError):
        return []
    return prefix


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
