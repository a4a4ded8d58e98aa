"""The machine that was measured on, as readers of the numbers need it."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from bentoship.debian.sources import os_release
from bentoship.docker.connection import Engine


def describe(engine: Engine | None) -> dict[str, str]:
    """Processor, memory, system and programs, by what they are.

    Args:
        engine: Docker's, if there is one.
    """
    cpu = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    described = {
        "processor": f"{len(os.sched_getaffinity(0))} × {cpu[1].strip() if cpu else platform.machine()}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "load before the run": f"{os.getloadavg()[0]:.1f}",
        "system": os_release(Path("/etc/os-release")).get("PRETTY_NAME", platform.system()),
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "BentoML": version("bentoml"),
    }
    if engine:
        info = engine.client.info()
        described["Docker"] = f"{info['ServerVersion']} with {info['Driver']}"
    return described
