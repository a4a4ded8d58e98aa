"""What uv waits for: addresses that do not answer are reported, and given up where there is nothing to wait for."""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from bentoship.packages.uv_settings import uv_program
from bentoship.system.process import Completed, Running, background
from bentoship.system.urls import without_secrets
from bentoship.system.waiting import waiting

# What uv logs, by RUST_LOG of `calling_uv`. These are compiled when it has something to wait for, not by each publish.
_LOGGED = r"(?m)^(?:TRACE|DEBUG) .*\n(?:  Caused by: .*\n)*"
_FAILED = (
    r"(?m)^DEBUG Transient request failure for `(?P<address>[^`\n]+)`, retrying: .*\n(?P<causes>(?:  Caused by: .*\n)*)"
)
_BROKEN = (
    r"(?m)^TRACE Considering retry of error: (?P<error>.*)\n(?:TRACE .*\n)*"
    r"DEBUG Transient failure while handling response from `(?P<address>[^`\n]+)`"
)
_SENT = r"(?m)^DEBUG Sending .*? request for: (\S+)$"
_ANSWERED = r"(?m)^(?:TRACE|DEBUG) (?:Received response for|Found (?:not-)?modified response for).*: (\S+)$"
_LIMIT = r"\bread timeout of (\d+)s"

_STOPPED, _BROKE_OFF = "its response has stopped", "its response broke off"

# What waiting does not change, mostly; uv alone would ask for a minute.
_NOTHING_THERE = "Connection refused|dns error"

_ATTEMPTS = 3
"""How often an address is tried at which nothing listens, or whose host is not known; it takes about four seconds."""

_REPORTED_AFTER = 2
"""How often an address has failed when the user learns what is waited for; once will do where it took all the time."""

_STOOD_STILL = f"operation timed out|{_STOPPED}"
_TIMED_OUT = f"deadline has elapsed|timed out|{_STOPPED}"

_NAMELESS = "due to network timeout|Failed to read from zip file"
"""What uv says of a response that has stopped, without its address; the second is no fault of the file then."""

_SILENT = 8.0
"""Seconds without a response after which the user learns what is waited for."""

_EVERY = 0.5
"""Seconds between two looks at what uv has written."""


def run_uv(args: Sequence[str], *, env: Mapping[str, str], cwd: Path, input: str = "") -> Completed:
    """Run uv to its end, as `system.process.run` does, or until an address is given up.

    Args:
        args: its arguments.
        env: its whole environment, from `calling_uv`, which has uv write which requests have failed.
        cwd: its working directory.
        input: its standard input.
    """
    with background([uv_program(), *args], env=env, cwd=cwd, input=input) as uv:
        return ended(uv)


def ended(uv: Running) -> Completed:
    """Wait for the end of uv, and return its result; where an address is given up, with an error in uv's form.

    What it waits for is reported, and given up, as `system.waiting` says.
    """
    say, patience = waiting().say, waiting().patience
    reported: set[str] = set()
    since: dict[str, float] = {}
    while True:
        with suppress(subprocess.TimeoutExpired):
            uv.child.wait(_EVERY)
            return _readable(uv.wait())
        written, now = uv.complaints, time.monotonic()
        since = {address: since.get(address, now) for address in _unanswered(written)}
        for address, why in [*_reasons(written), *_silences(since, now)]:
            if _host(address) not in reported:
                reported.add(_host(address))
                say(f"waiting for {address}: {why}")
        if why := _given_up(written, patience):
            uv.child.kill()
            uv.child.wait()
            return Completed(1, "", why)


def _reasons(written: str) -> Iterator[tuple[str, str]]:
    """Yield the addresses that have failed often, or once for long, each with the last cause."""
    for address, causes in _failures(written).items():
        if len(causes) >= _REPORTED_AFTER or re.search(_TIMED_OUT, causes[-1]):
            yield address, causes[-1]


def _silences(since: Mapping[str, float], now: float) -> Iterator[tuple[str, str]]:
    for address, began in since.items():
        if now - began >= _SILENT:
            yield address, f"no response for {now - began:.0f} s"


def _given_up(written: str, patience: float) -> str:
    """Return the error for an address that is not worth to be waited for any longer; empty while all are."""
    limit = re.search(_LIMIT, written)
    for address, causes in _failures(written).items():
        if len(causes) >= _ATTEMPTS and all(re.search(_NOTHING_THERE, cause) for cause in causes):
            return f"error: {address} cannot be reached: {causes[-1]}\n"
        # What was moving before it broke off does not count. The pauses between attempts double from a second on.
        still = sum(bool(re.search(_STOOD_STILL, cause)) for cause in causes)
        each = float(limit[1]) if limit else 30.0
        if still and (still + 1) * each + 2**still - 1 > patience * 1.1:
            return f"error: {address} timed out {still} times: {causes[-1]}\n"
    return ""


def _readable(done: Completed) -> Completed:
    """Return a result without what uv has logged, which may have passwords; its error names what has stopped."""
    said = re.sub(_LOGGED, "", done.stderr)
    if done.code and re.search(_NAMELESS, said) and (failed := _stopped(done.stderr)):
        said = f"error: {failed} timed out: {_STOPPED}\n"
    return Completed(done.code, done.stdout, said)


def _stopped(written: str) -> str:
    """Return the address whose response has stopped; empty where none has."""
    found = [address for address, causes in _failures(written).items() if _STOPPED in causes[-1]]
    last = re.findall(_SENT, written)[-1:] if "TimedOut" in written else []  # it is not tried again
    return next(iter([*found, *map(without_secrets, last)]), "")


def _unanswered(written: str) -> list[str]:
    """Return the addresses that have been asked and have not responded yet, as far as uv logs it."""
    waited = Counter(re.findall(_SENT, written)) - Counter(re.findall(_ANSWERED, written))
    return [without_secrets(address) for address in waited]


def _failures(written: str) -> dict[str, list[str]]:
    """Return the innermost cause of each failure of a request, by addresses. Args: written: what uv has written."""
    found: dict[str, list[str]] = {}
    for match in re.finditer(_FAILED, written):
        causes = re.findall(r"Caused by: (.*)", match["causes"])
        kind = "dns error: " if "dns error" in causes else ""
        found.setdefault(without_secrets(match["address"]), []).append(kind + (causes or ["no answer"])[-1])
    for match in re.finditer(_BROKEN, written):
        why = _STOPPED if "TimedOut" in match["error"] else _BROKE_OFF
        found.setdefault(without_secrets(match["address"]), []).append(why)
    return found


def _host(address: str) -> str:
    return urlsplit(address).netloc
