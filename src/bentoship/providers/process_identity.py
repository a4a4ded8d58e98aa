"""Identities of processes: an id alone is not enough, because ids are reused."""

import sys
from contextlib import suppress
from pathlib import Path


def identify(pid: int) -> str:
    """Return when a process started, which tells it from a later one with the same id; empty when it has ended."""
    if sys.platform.startswith("linux"):
        try:
            # The command's name may hold spaces and parentheses; what follows it does not (proc(5)).
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        except OSError:
            return ""
        state, started = fields[0], fields[19]
        return "" if state in "ZX" else f"{boot} {started}"
    import psutil  # takes 15 ms, and every publish calls this

    with suppress(psutil.NoSuchProcess):
        return str(psutil.Process(pid).create_time())
    return ""


def find_by_arguments(*arguments: str | Path) -> int:
    """Return the id of a process whose command line ends with these arguments; 0 when there is none."""
    import psutil

    end = list(map(str, arguments))
    processes = psutil.process_iter(["cmdline"])
    return next((found.pid for found in processes if (found.info["cmdline"] or [])[-len(end) :] == end), 0)
