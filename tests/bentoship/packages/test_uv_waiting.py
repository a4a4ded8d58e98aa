"""What uv waits for, and how long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.packages.uv_settings import calling_uv
from bentoship.packages.uv_waiting import ended, run_uv
from bentoship.system.process import background, environment

REFUSED = """\
DEBUG Transient request failure for `http://127.0.0.1:9/x`, retrying: error sending request for url (http://127.0.0.1:9/x)
  Caused by: client error (Connect)
  Caused by: tcp connect error
  Caused by: Connection refused (os error 111)
"""
UNKNOWN = """\
DEBUG Transient request failure for `http://ann:pw@none.invalid/x`, retrying: error sending request for url (http://…/x)
  Caused by: client error (Connect)
  Caused by: dns error
  Caused by: failed to lookup address information: Name or service not known
"""
SILENT = """\
DEBUG Transient request failure for `http://127.0.0.1:9/x`, retrying: error sending request for url (http://127.0.0.1:9/x)
  Caused by: client error (Connect)
  Caused by: tcp connect error
  Caused by: deadline has elapsed
"""
"""What uv 0.13.9 writes."""

NO_NAME = "dns error: failed to lookup address information: Name or service not known"


@pytest.mark.parametrize(
    ("written", "error", "said"),
    [
        (
            3 * REFUSED,
            "error: http://127.0.0.1:9/x cannot be reached: Connection refused (os error 111)\n",
            ["waiting for http://127.0.0.1:9/x: Connection refused (os error 111)"],
        ),
        (
            3 * UNKNOWN,
            f"error: http://none.invalid/x cannot be reached: {NO_NAME}\n",
            [f"waiting for http://none.invalid/x: {NO_NAME}"],
        ),
        (2 * REFUSED + UNKNOWN, "", ["waiting for http://127.0.0.1:9/x: Connection refused (os error 111)"]),
        (SILENT + 2 * REFUSED, "", ["waiting for http://127.0.0.1:9/x: Connection refused (os error 111)"]),
        (9 * SILENT, "", ["waiting for http://127.0.0.1:9/x: deadline has elapsed"]),
        (UNKNOWN, "", []),
        (SILENT, "", ["waiting for http://127.0.0.1:9/x: deadline has elapsed"]),
    ],
)
def test_an_address_where_there_is_nothing_is_given_up(written: str, error: str, said: list[str]) -> None:
    """After three attempts, by its name; for one that may answer yet uv waits on. A program stands for uv."""
    sentences: list[str] = []
    command = ["sh", "-c", f"cat >&2; exec sleep {60 if error else 0.8}"]
    with background(command, env=environment(), input=written) as uv:
        done = ended(uv, sentences.append)
    assert (done.code, done.stderr if error else "") == (int(bool(error)), error)
    assert sentences == said


@pytest.fixture
def blackhole() -> Iterator[int]:
    """A port of this machine that answers to no further connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for one in held:
            one.close()


def asked(address: str, folder: Path) -> tuple[str, list[str], float]:
    """Return uv's error for an index, what it waited for, and how many seconds it took."""
    said: list[str] = []
    began = time.monotonic()
    with calling_uv(folder) as env:
        own = {**env, "UV_CACHE_DIR": str(folder / "cache"), "UV_HTTP_CONNECT_TIMEOUT": "1"}
        args = ["pip", "compile", "-", "--no-header", "--index-url", address]
        done = run_uv(args, env=own, cwd=folder, input="attrs\n", say=said.append)
    assert done.code
    return " ".join(done.stderr.split()), said, time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("address", ["http://127.0.0.1:9/simple", "http://none.invalid/simple"])
def test_uv_asks_no_minute_where_there_is_nothing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port without a listener, and a name without an address."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "6")
    error, said, seconds = asked(address, tmp_path)
    assert error.startswith(f"error: {address}/attrs/ cannot be reached: ")
    assert said[0].startswith(f"waiting for {address}/attrs/: ")
    assert seconds < 20


@pytest.mark.slow
def test_uv_waits_for_what_may_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blackhole: int) -> None:
    """As often as it is said, in its own words."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "2")
    error, said, _ = asked(f"http://127.0.0.1:{blackhole}/simple", tmp_path)
    assert "after 2 retries" in error
    assert said == [f"waiting for http://127.0.0.1:{blackhole}/simple/attrs/: deadline has elapsed"]
