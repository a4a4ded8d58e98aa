"""Services that run as processes of this machine, on Linux."""

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
        command: the command that starts it.
        port: the port on which it will listen.
        log: the file for its output.
        namespaced: whether the command gives it a process namespace. Then it is the command's only child, and has a
            /proc, without which a service cannot find its own processes to end them.

    Raises: ProcessError when it cannot be started.
    """

    def __init__(self, command: Sequence[str | Path], *, port: int, log: Path, namespaced: bool) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._log = log
        self._namespaced = namespaced
        self._process = process.start_detached(command, env=process.environment(), log=log)

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def log(self) -> str:
        """Return its output so far."""
        return self._log.read_text("utf-8", "replace")

    def memory(self) -> Memory | None:
        """Return the sum of the peak memory of its processes."""
        return peak_memory(self._process.pid)

    def stop(self) -> int | None:
        """Stop it.

        Returns: its exit code, or 128 plus the number of the signal that ended it; None when it could not end by itself
        for lack of a /proc.
        """
        with suppress(psutil.NoSuchProcess):
            started = psutil.Process(self._process.pid)
            for service in started.children() if self._namespaced else [started]:
                service.terminate()
        with suppress(subprocess.TimeoutExpired):
            # Without a /proc, waiting longer does not help.
            self._process.wait(STOP_TIMEOUT if self._namespaced else 3.0)
        if not self._namespaced and not self.ended():
            self.kill()
            return None
        self.kill()
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """Kill what is left of it."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    """Return a free port on this machine's loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_memory(pid: int) -> Memory | None:
    """Return the sum of the peak memory of a process and its descendants; None when none can be read."""
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
    """Kill the processes whose root directory is a folder."""
    # Repeated for processes that are started meanwhile.
    while pids := [pid for pid in psutil.pids() if _root_of(pid) == str(root)]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _root_of(pid: int) -> str:
    """Return the root directory of a process; empty when it cannot be read."""
    try:
        return str(Path(f"/proc/{pid}/root").readlink())
    except OSError:
        return ""
