"""A service that runs as a process of this machine, on Linux."""

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from bentoship.system import process
from bentoship.verify.runner import STOP_TIMEOUT, Memory


class HostProcess:
    """A service that runs as a process of this machine; a Running.

    Args:
        command: what starts it.
        port: where it will listen.
        log: the file for what it writes.
        namespaced: whether the command gives it a namespace of processes: it is the command's only child then, and has
            a /proc, without which a service that ends its own processes cannot find them.

    Raises: ProcessError when it cannot be started.
    """

    def __init__(self, command: Sequence[str | Path], *, port: int, log: Path, namespaced: bool) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._log = log
        self._namespaced = namespaced
        self._process = process.start_detached(command, env=process.environment(), log=log)

    def ended(self) -> bool:
        """Return whether it runs no more."""
        return self._process.poll() is not None

    def log(self) -> str:
        """Return what it has written so far."""
        return self._log.read_text("utf-8", "replace")

    def memory(self) -> Memory | None:
        """Return the most that each of its processes has held, together."""
        return peak_memory(self._process.pid)

    def stop(self) -> int | None:
        """Ask it to end.

        Returns: its exit code, 128 and the signal's number when a signal has ended it; None for want of a /proc.
        """
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(self._process.pid)
            for service in started.children() if self._namespaced else [started]:
                service.terminate()
        with suppress(subprocess.TimeoutExpired):
            # Without a /proc more seconds would not help.
            self._process.wait(STOP_TIMEOUT if self._namespaced else 3.0)
        if not self._namespaced and not self.ended():
            self.kill()
            return None
        self.kill()
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End what is left of it, at once."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    """Return a port of this machine's loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_memory(pid: int) -> Memory | None:
    """Return the most that a process and those below it have held, each for itself; None when none can be seen."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid)
        for member in [started, *started.children(recursive=True)]:
            with suppress(OSError):  # it has ended since
                status = Path(f"/proc/{member.pid}/status").read_text("utf-8", "replace")
                lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                total += int(lines.get("VmHWM", "0 kB").split()[0]) * 1024
    return Memory(total, "at most") if total else None


def end_all_in(root: Path) -> None:
    """End the processes whose / is a folder."""
    # What is started meanwhile is seen the next time.
    while pids := [pid for pid in psutil.pids() if _root_of(pid) == str(root)]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _root_of(pid: int) -> str:
    """Return the / of a process; empty when it cannot be seen."""
    try:
        return str(Path(f"/proc/{pid}/root").readlink())
    except OSError:
        return ""
