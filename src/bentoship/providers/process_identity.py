"""Which process is which: ids are used again, so that one alone does not tell."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from bentoship.system import process


def identify(pid: int) -> str:
    """Return what tells a process from a later one with the same id: when it started; empty when it is gone."""
    if sys.platform.startswith("linux"):
        try:
            # The command's name may hold spaces and parentheses; what follows it does not (proc(5)).
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        except OSError:
            return ""
        state, started = fields[0], fields[19]
        return "" if state in "ZX" else f"{boot} {started}"
    # A date's words and hour are not to depend on who asks.
    env = process.environment(extra={"LC_ALL": "C", "TZ": "UTC"})
    return process.run(["ps", "-p", str(pid), "-o", "lstart="], env=env, check=False).stdout.strip()


def find_by_arguments(*arguments: str | Path) -> int:
    """Return the id of a process whose command line ends with these arguments; 0 when there is none."""
    if not sys.platform.startswith("linux"):
        listing = process.run(["ps", "-A", "-ww", "-o", "pid=,args="], env=process.environment(), check=False).stdout
        end = f" {' '.join(map(str, arguments))}"
        lines = (line.strip() for line in listing.splitlines())
        return next((int(line.split()[0]) for line in lines if line.endswith(end)), 0)
    wanted = b"".join(b"\0" + os.fsencode(argument) for argument in arguments) + b"\0"
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # gone by now
            if file.read_bytes().endswith(wanted):
                return int(file.parent.name)
    return 0
