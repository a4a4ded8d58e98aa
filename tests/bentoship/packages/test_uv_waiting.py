"""What uv waits for, and how long."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bentoship.packages.uv_settings import calling_uv
from bentoship.packages.uv_waiting import ended, run_uv
from bentoship.system.process import background, environment
from bentoship.system.waiting import reporting_waits
from tests.support.wheels import make_wheel

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
STOPPED = """\
TRACE Considering retry of error: Error { kind: …, source: reqwest::Error { kind: Body, source: TimedOut } }) }
TRACE Transient nested reqwest error
DEBUG Transient failure while handling response from `http://127.0.0.1:9/x`; retrying after 1.1s...
"""
BROKEN = STOPPED.replace("TimedOut", "IncompleteMessage")
LIMIT = "DEBUG Using request connect timeout of 10s and read timeout of 60s\n"
ASKED = "DEBUG Sending fresh GET request for: http://127.0.0.1:9/x\n"
ANSWERED = "TRACE Received response for fresh request with status 200 OK for: http://127.0.0.1:9/x\n"
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
        (STOPPED, "", ["waiting for http://127.0.0.1:9/x: its response has stopped"]),
        (9 * BROKEN, "", ["waiting for http://127.0.0.1:9/x: its response broke off"]),
        (
            LIMIT + 3 * STOPPED,
            "error: http://127.0.0.1:9/x timed out 3 times: its response has stopped\n",
            ["waiting for http://127.0.0.1:9/x: its response has stopped"],
        ),
        (ASKED, "", ["waiting for http://127.0.0.1:9/x: no response for 0 s"]),
        (2 * ASKED + ANSWERED, "", ["waiting for http://127.0.0.1:9/x: no response for 0 s"]),
    ],
)
def test_an_address_where_there_is_nothing_is_given_up(
    written: str, error: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three attempts, by its name; for one that may answer yet uv waits on. A program stands for uv."""
    monkeypatch.setattr("bentoship.packages.uv_waiting._SILENT", 0.0)
    sentences: list[str] = []
    command = ["sh", "-c", f"cat >&2; exec sleep {60 if error else 0.8}"]
    with background(command, env=environment(), input=written) as uv, reporting_waits(sentences.append, 180.0):
        done = ended(uv)
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
        with reporting_waits(said.append, 180.0):
            done = run_uv(args, env=own, cwd=folder, input="attrs\n")
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


WHEEL = {"attrs/data.bin": "".join(map(str, range(60_000)))}


@pytest.fixture
def stalling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an index that stops: before any response, in the middle of its list, or of a wheel."""
    wheel = make_wheel(tmp_path / "wheels", "attrs", "30.0", files=WHEEL).read_bytes()
    listed = b'<a href="/attrs-30.0-py3-none-any.whl">attrs-30.0-py3-none-any.whl</a>'
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content, kind = (wheel, "wheel") if self.path.endswith(".whl") else (listed, "list")
            if request.param == "response":
                ended.wait()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.write(content[: len(content) // 2] if request.param == kind else content)
            if request.param == kind:
                ended.wait()

        do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        ended.set()
        server.shutdown()


COMPILING, INSTALLING = ("compile", "-"), ("install", "-r", "-", "--no-deps", "--target", "installed")
STALLS = {
    f"{words[0]}, {retries} retries, no {stage}": (stage, words, retries)
    for stage, words in (("response", COMPILING), ("list", COMPILING), ("wheel", COMPILING), ("wheel", INSTALLING))
    for retries in ("6", "0")
}


@pytest.mark.slow
@pytest.mark.parametrize(("stalling", "words", "retries"), STALLS.values(), ids=STALLS, indirect=["stalling"])
def test_an_index_that_stalls_is_named_and_given_up(
    stalling: str, words: tuple[str, ...], retries: str, tmp_path: Path
) -> None:
    """Once nothing has moved for as long as it may, whether uv locks or installs, and tries again or not."""
    said: list[str] = []
    began = time.monotonic()
    with reporting_waits(said.append, 6.0), calling_uv(tmp_path) as env:
        own = {"UV_CACHE_DIR": str(tmp_path / "cache"), "UV_HTTP_TIMEOUT": "2", "UV_HTTP_RETRIES": retries}
        args = ["pip", *words, "--index-url", f"{stalling}/simple", "--python", sys.executable]
        done = run_uv(args, env={**env, **own}, cwd=tmp_path, input="attrs==30.0\n")
    assert done.code
    assert stalling in done.stderr, done.stderr
    assert "timed out" in done.stderr
    assert not re.search("(?m)^(TRACE|DEBUG)", done.stderr)
    assert retries == "0" or said[0].startswith(f"waiting for {stalling}/")
    assert time.monotonic() - began < 12
