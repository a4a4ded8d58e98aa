"""Programs of Debian's newer releases, unpacked with their libraries into a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bentoship.system.files import file_lock
from tests.support.cache import kept
from tests.support.engines import without

_TIMEOUT = 600.0


class FailedError(Exception):
    """A program failed. Args: what it has written to stderr."""


@dataclass(frozen=True)
class Program:
    """A program of another release, run with that release's libraries.

    Args:
        name: what it is called.
        root: the folder with the release's files.
    """

    name: str
    root: Path

    def __call__(self, *arguments: str | Path, env: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
        """What it writes to stdout. An exit code other than 0 raises FailedError, with what it writes to stderr.

        Args:
            arguments: its arguments.
            env: what it gets besides a PATH, and a HOME that is none.
            folder: where it runs; None for the current one.
        """
        loader = next((self.root / "lib64").glob("ld-linux-*"))
        libraries = next((self.root / "usr/lib").glob("*-linux-gnu"))
        done = subprocess.run(
            [loader, "--library-path", libraries, self.root / "usr/bin" / self.name, *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(env or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise FailedError(done.stderr)
        return done.stdout


def unpacked(release: str, *packages: str, needed_for: str) -> Path:
    """The folder with some packages and all that they need; the test is skipped where they cannot be had.

    Args:
        release: its code name.
        packages: their names.
        needed_for: the program that may have been promised.
    """
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        without(needed_for, "packages of another release need root and mmdebstrap")
    root = kept() / f"{needed_for}-{release}"
    with file_lock(root.with_suffix(".lock")):
        if not root.exists():
            partial = root.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            # A mirror may be behind, and lists of a release that is still in the making soon are too old.
            options = ["--quiet", "--variant=extract", "--mode=root", '--aptopt=Acquire::Check-Valid-Until "false"']
            done = subprocess.run(
                ["mmdebstrap", *options, f"--include={','.join(packages)}", release, partial],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
                check=False,
            )
            if done.returncode != 0:
                without(needed_for, f"{release} cannot be had: {done.stderr.strip()[-500:]}")
            for link in ("bin", "sbin", "lib", "lib64"):
                if not (partial / link).exists():
                    (partial / link).symlink_to(f"usr/{link}")
            partial.replace(root)
    return root
