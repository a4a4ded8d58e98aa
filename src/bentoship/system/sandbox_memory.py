"""The memory that a sandbox's programs hold: what they have mapped, and what they share without having it mapped."""

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_RESERVE = 8
"""The part of a limit that this machine has to have left, whatever holds the rest, and in whatever way."""


def excess(memory: int, pids: Sequence[int], shared: int) -> str:
    """Return which limit is exceeded; empty when none is.

    Args:
        memory: the bytes that the processes may hold; what they share counts once.
        pids: the processes.
        shared: the bytes that their /dev/shm may hold; 0 for none.
    """
    if _available() < memory // _RESERVE:
        return f"left this machine less than {memory // _RESERVE / 1e6:.0f} MB of memory"
    page = resource.getpagesize()
    resident = {}
    for pid in pids:
        with suppress(OSError):
            resident[pid] = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * page
    unmapped = _segments() + _anonymous_files(pids) + _in_shared_folder(pids, shared)
    if sum(resident.values()) + unmapped <= memory:
        return ""
    mapped = 0
    for pid in resident:
        with suppress(OSError, IndexError):  # one that is not to be looked into counts whole
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
            sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines[1:])}
            resident[pid] = sizes["Pss"] - sizes.get("Pss_Shmem", 0)
            mapped += sizes.get("Pss_Shmem", 0)
    exceeds = sum(resident.values()) + max(mapped, unmapped) > memory
    return f"used more than {memory / 1e6:.0f} MB of memory" if exceeds else ""


def _available() -> int:
    """Return the bytes of memory that are available on this machine."""
    with suppress(OSError, IndexError):
        return int(Path("/proc/meminfo").read_text("utf-8").partition("MemAvailable:")[2].split()[0]) * 1024
    return 1 << 63


def _segments() -> int:
    """Return the bytes of System V's shared memory in this namespace (man 5 proc, /proc/sysvipc)."""
    with suppress(OSError, ValueError, IndexError):
        rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text("utf-8").splitlines()[1:]]
        return sum(int(row[-2]) + int(row[-1]) for row in rows if int(row[9]) == os.getuid())  # resident, swapped
    return 0


def _anonymous_files(pids: Sequence[int]) -> int:
    """Return the bytes of the files that have no name (man 2 memfd_create), each counted once."""
    return sum({(found.st_dev, found.st_ino): found.st_blocks * 512 for found in _memfds(pids)}.values())


def _memfds(pids: Sequence[int]) -> Iterator[os.stat_result]:
    for pid in pids:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                with suppress(OSError):
                    path = Path(f"/proc/{pid}/fd/{name}")
                    if str(path.readlink()).startswith("/memfd:"):
                        yield path.stat()


def _in_shared_folder(pids: Sequence[int], shared: int) -> int:
    """Return the bytes in the processes' /dev/shm, where that is a mount of its own with a given size."""
    found = 0
    for pid in pids if shared else ():
        with suppress(OSError):
            system = os.statvfs(f"/proc/{pid}/root/dev/shm")  # one beside the others may have another root
            if system.f_blocks == -(-shared // system.f_frsize):
                found = max(found, (system.f_blocks - system.f_bfree) * system.f_frsize)
    return found
