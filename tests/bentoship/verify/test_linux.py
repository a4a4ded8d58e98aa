"""Services that run as processes of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bentoship.system import process
from bentoship.system.sandbox import Abilities
from bentoship.verify.linux import HostProcess


@pytest.mark.parametrize(
    "said",
    [
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "curl: (6) Could not resolve host: huggingface.co",
        "dial tcp: lookup host.test on [::1]:53: read: connection refused",
        "Error: getaddrinfo EAI_AGAIN registry.npmjs.org",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='host.test', port=443)",
        "OSError: [Errno 101] Network is unreachable",
        "psycopg2.OperationalError: could not connect to server",
        "failed to lookup address information",
        "java.net.UnknownHostException: host.test",
    ],
)
def test_a_failed_connection_is_recognised(said: str, tmp_path: Path) -> None:
    """Whatever the program is written in; not where it had a network."""
    assert "no network" in cautioned(said, network=True)
    assert cautioned(said, network=False) == ""


@pytest.mark.parametrize("said", ["", "ModuleNotFoundError: No module named 'torch'", "/bin/serve: No such file"])
def test_another_failure_has_no_hint_at_the_network(said: str) -> None:
    """It would lead away from the cause."""
    assert cautioned(said, network=True) == ""


def cautioned(said: str, *, network: bool) -> str:
    """The caution of a service that has said something."""
    with process.background([sys.executable, "-c", f"import sys; sys.exit({said!r})"], env={}) as running:
        running.child.wait()
        return HostProcess(running, "", Abilities(network=network, mounts=True, proc=True)).caution
