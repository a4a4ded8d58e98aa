"""Programs on a terminal, as people see them."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.screen import Screen


def watched(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str], width: int = 80, interrupt_at: str = ""
) -> tuple[int, Screen]:
    """Run a program on a terminal to its end.

    Args:
        args: the program and its arguments.
        cwd: the folder that it runs in.
        env: its whole environment.
        width: the terminal's, in columns.
        interrupt_at: once it shows this, somebody types Ctrl-C; empty for nobody does.

    Returns: its exit code, and the screen.
    """
    screen, decoder = Screen(width, 40), getincrementaldecoder("utf-8")()
    ours, its = pty.openpty()
    try:
        termios.tcsetwinsize(its, (screen.height, screen.width))
        # In a session of its own, whose terminal this is.
        command = ["setsid", "--ctty", *args]
        with subprocess.Popen(command, cwd=cwd, env=dict(env), stdin=its, stdout=its, stderr=its) as running:
            os.close(its)
            while written := _read(ours):
                screen.write(decoder.decode(written))
                if interrupt_at and interrupt_at in screen.text:
                    os.write(ours, b"\x03")
                    interrupt_at = ""
            return running.wait(timeout=60), screen
    finally:
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # on Linux, once nobody has its other end any more
        return b""
