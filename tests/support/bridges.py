"""Bridges for engines of tests: on one that they share, engines give their containers the same addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.engines import SYSTEM_PATH, without

_MOST = 250


@contextmanager
def bridge() -> Iterator[str]:
    """A bridge that nobody else uses, with a way out. Gives its name; it is gone at the end."""
    number = _made()
    name, network = f"bentoship{number}", f"10.213.{number}"
    rules = (
        ("nat", "POSTROUTING", "--source", f"{network}.0/24", "!", "--out-interface", name, "--jump", "MASQUERADE"),
        ("filter", "FORWARD", "--in-interface", name, "--jump", "ACCEPT"),
        ("filter", "FORWARD", "--out-interface", name, "--jump", "ACCEPT"),
    )
    try:
        _run("ip", "address", "add", f"{network}.1/24", "dev", name)
        _run("ip", "link", "set", name, "up")
        for table, *rule in rules:
            # Where rules cannot be made, nothing leads out of engines' bridges, neither this one nor others.
            _run("iptables", "--wait", "--table", table, "--insert", *rule)
        yield name
    finally:
        for table, *rule in rules:
            _run("iptables", "--wait", "--table", table, "--delete", *rule)
        _run("ip", "link", "delete", name)


def _made() -> int:
    """The number of a new bridge; making it claims the number, also from other processes."""
    for number in range(_MOST):
        why = _run("ip", "link", "add", f"bentoship{number}", "type", "bridge")
        if "File exists" not in why:
            break
    if why:
        without("docker", f"a bridge for an engine of the test's own cannot be made: {why}")
    return number


def _run(*command: str) -> str:
    """Run a program. Returns: why it failed; empty when it did not."""
    env = {"PATH": SYSTEM_PATH}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.strip() or "it failed" if done.returncode else ""
