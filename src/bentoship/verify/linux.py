"""Services that run as processes of this machine, on Linux."""

import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from bentoship.system import process
from bentoship.system.sandbox import Abilities
from bentoship.verify.runner import STOP_TIMEOUT, Memory

_UNREACHED = re.compile(
    r"name resolution|name or service not known|no such host|resolv\w* (?:host|name|address)|getaddrinfo|gaierror"
    r"|unknown ?host|no address associated|nodename nor servname|failed to lookup address|\b(?:EAI_AGAIN|ENOTFOUND)\b"
    r"|network is unreachable|no route to host|connection ?(?:refused|timed out|failed|error)"
    r"|\b(?:ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT)\b|dial (?:tcp|udp)|connect ?(?:timeout|error)"
    r"|could(?: not|n't) connect|(?:failed|unable) to (?:connect|establish)|(?:cannot|can't) connect",
    re.IGNORECASE,
)
"""What programs say whose connection failed, or that cannot find the address of a name, whatever their language."""


class HostProcess:
    """A service that runs in a sandbox on this machine; a Running.

    Args:
        running: the process beside the service, which ends as the service does.
        address: the URL at which it will listen.
        abilities: what the sandbox has. Without a /proc, a service cannot find its own processes to end them.
    """

    def __init__(self, running: process.Running, address: str, abilities: Abilities) -> None:
        self.address = address
        self._running = running
        self._process = running.child
        self._abilities = abilities

    @property
    def caution(self) -> str:
        """Return why an image that works elsewhere may not work here: its output says that it misses a network."""
        if not self._abilities.network or not _UNREACHED.search(self.log()):
            return ""
        return "It has no network here: what downloads something when it starts can be verified with Docker or podman."

    def ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.poll() is not None

    def log(self) -> str:
        """Return the end of its output so far."""
        return _end(self._running.stdout) + _end(self._running.stderr)

    def memory(self) -> Memory | None:
        """Return the sum of the peak memory of its processes."""
        with suppress(psutil.Error):
            beside = psutil.Process(self._process.pid)
            # The forwarder is a copy of that, and no part of the service.
            services = [child for child in beside.children() if child.cmdline() != beside.cmdline()]
            peaks = [peak_memory(service.pid) for service in services]
            return Memory(sum(peak.size for peak in peaks if peak), "at most") if any(peaks) else None
        return None

    def stop(self) -> int | None:
        """Stop it.

        Returns: its exit code, or 128 plus the number of the signal that ended it; None when it could not end by itself
        for lack of a /proc.
        """
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            # Without a /proc, waiting longer does not help.
            self._process.wait(STOP_TIMEOUT if self._abilities.proc else 3.0)
        by_itself = self.ended()
        self.kill()
        if not by_itself and not self._abilities.proc:
            return None
        code = int(self._process.returncode)
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """Kill what is left of it, and wait until nothing is."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT)


def _end(file: IO[bytes]) -> str:
    """Return the last 64 kB of a file, which may be as large as a program likes."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), 1 << 16, max(0, size - (1 << 16))).decode("utf-8", "replace")


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
