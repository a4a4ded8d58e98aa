"""What uv waits for: addresses that do not answer are reported, and given up where there is nothing to wait for."""

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bentoship.packages.uv_settings import uv_program
from bentoship.system.process import Completed, Running, background
from bentoship.system.urls import without_secrets

# These are compiled when uv has something to wait for, not by each publish.
_FAILED = (
    r"(?m)^DEBUG Transient request failure for `(?P<address>[^`\n]+)`, retrying: .*\n(?P<causes>(?:  Caused by: .*\n)*)"
)

# What waiting does not change, mostly; uv alone would ask for a minute.
_NOTHING_THERE = "Connection refused|dns error"

_ATTEMPTS = 3
"""How often an address is tried at which nothing listens, or whose host is not known; it takes about four seconds."""

_REPORTED_AFTER = 2
"""How often an address has failed when the user learns what is waited for; once will do where it took all the time."""

_TIMED_OUT = "deadline has elapsed|timed out"

_EVERY = 0.5
"""Seconds between two looks at what uv has written."""


def run_uv(
    args: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    input: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Completed:
    """Run uv to its end, as `system.process.run` does, or until an address is given up.

    Args:
        args: its arguments.
        env: its whole environment, from `calling_uv`, which has uv write which requests have failed.
        cwd: its working directory.
        input: its standard input.
        say: receives what it waits for, as a sentence.
    """
    with background([uv_program(), *args], env=env, cwd=cwd, input=input) as uv:
        return ended(uv, say)


def ended(uv: Running, say: Callable[[str], None] = lambda _: None) -> Completed:
    """Wait for the end of uv, and return its result; where an address is given up, with an error in uv's form.

    Args: as of `run_uv`.
    """
    reported: set[str] = set()
    while True:
        with suppress(subprocess.TimeoutExpired):
            uv.child.wait(_EVERY)
            return uv.wait()
        for address, causes in _failures(uv.complaints).items():
            is_slow = len(causes) >= _REPORTED_AFTER or re.search(_TIMED_OUT, causes[-1])
            if is_slow and address not in reported:
                reported.add(address)
                say(f"waiting for {address}: {causes[-1]}")
            if len(causes) >= _ATTEMPTS and all(re.search(_NOTHING_THERE, cause) for cause in causes):
                uv.child.kill()
                uv.child.wait()
                return Completed(1, "", f"error: {address} cannot be reached: {causes[-1]}\n")


def _failures(written: str) -> dict[str, list[str]]:
    """Return the innermost cause of each failure of a request, by addresses. Args: written: what uv has written."""
    found: dict[str, list[str]] = {}
    for match in re.finditer(_FAILED, written):
        causes = re.findall(r"Caused by: (.*)", match["causes"])
        kind = "dns error: " if "dns error" in causes else ""
        found.setdefault(without_secrets(match["address"]), []).append(kind + (causes or ["no answer"])[-1])
    return found
