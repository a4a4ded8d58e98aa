"""Programs in a sandbox, started by root and by an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bentoship.system import sandbox
from bentoship.system.sandbox import Sandbox
from tests.support.engines import require
from tests.support.published import ROOT

WAYS = {"root": sandbox.NAMESPACES, "root in a chroot": sandbox.CHROOT, "root by bubblewrap": sandbox.BUBBLEWRAP}
"""How root starts a sandbox."""

ORDINARY = 54_321
"""An ordinary user, of whom this machine knows nothing."""


@dataclass(frozen=True)
class Starter:
    """A user who starts sandboxes.

    Args:
        way: how they are confined.
        python: what runs the program beside the sandbox.
        source: the folder with the package.
        user: the user's id; None for this process's own.
    """

    way: str
    python: str = sys.executable
    source: Path = ROOT / "src"
    user: int | None = None

    def run(self, box: Sandbox) -> subprocess.CompletedProcess[str]:
        """Run a sandbox to its end, with a variable and a descriptor that are not for it."""
        owner = sandbox.unprivileged_id() if self.user is None else None
        (_, *options, _, length), described = replace(box, ways=(self.way,), owner=owner).start()
        init = self.source / "bentoship" / "system" / "sandbox_init.py"
        with open(os.devnull) as not_for_it:  # noqa: PTH123
            return subprocess.run(
                [self.python, *options, str(init), length],
                cwd=box.root,
                env={"NOT_FOR_IT": "1"},
                input=described,
                capture_output=True,
                text=True,
                timeout=60,
                pass_fds=(not_for_it.fileno(),),
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )


@contextmanager
def starter(name: str) -> Iterator[Starter]:
    """A starter by its name: "ordinary user" or one of WAYS; skips the test where there is none."""
    if name == "root by bubblewrap":
        require("bwrap")
    if os.geteuid() != 0:
        if name != "ordinary user":
            pytest.skip("needs root")
        yield Starter(sandbox.NAMESPACES)
        return
    if name != "ordinary user":
        yield Starter(WAYS[name])
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT / "src" / "bentoship", Path(folder, "bentoship"))
        yield Starter(sandbox.NAMESPACES, _public_python(), Path(folder), ORDINARY)


def _public_python() -> str:
    """A Python that every user may run; skips the test when there is none."""
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", code], user=ORDINARY, capture_output=True, check=False).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("no Python 3.11 that an ordinary user may run")
