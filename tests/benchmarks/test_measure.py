"""What a command takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.measure import CommandError, run

MEBIBYTE = 1 << 20

HOLD = "import time; held = bytearray(b'x') * {size}; time.sleep(0.7); print('held')"
HOLD_TWICE = (
    "import subprocess, sys; [p.wait() for p in [subprocess.Popen([sys.executable, '-c', {code!r}]) for _ in '12']]"
)


def test_memory_is_that_of_the_largest_process_and_of_all(tmp_path: Path) -> None:
    """Two children that hold 64 MiB at the same time are 64 MiB for the one, and 128 MiB for the other."""
    ours = b"x" * (256 * MEBIBYTE)  # of which nothing is the command's
    code = HOLD_TWICE.format(code=HOLD.format(size=64 * MEBIBYTE))
    measured = run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ)
    assert 64 * MEBIBYTE <= measured.memory < 128 * MEBIBYTE
    assert measured.tree > 128 * MEBIBYTE
    assert measured.output == "held\nheld\n"
    assert len(ours) > measured.memory


def test_a_command_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    """Another exit code than those that were named is no measurement."""
    command = ["sh", "-c", "echo said; echo why >&2; exit 3"]
    with pytest.raises(CommandError, match=r"ended with 3:\nsaid\nwhy"):
        run(command, cwd=tmp_path, env=os.environ)
    assert run(command, cwd=tmp_path, env=os.environ, codes=(0, 3)).output == "said\n"


def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    """With all that it has started."""
    with pytest.raises(CommandError, match="ended with -9"):
        run(["sh", "-c", "sleep 60 & sleep 60"], cwd=tmp_path, env=os.environ, timeout=0.2)
