"""A real registry for tests: the CNCF distribution registry on a free port of the loopback address."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import RegistryError
from bentoship.image.descriptor import LAYER_TAR
from bentoship.providers.distribution import find_program
from bentoship.stores import Store
from bentoship.system.files import file_lock
from tests.support.images import put

USER, PASSWORD = "alice", "wonder:land"
"""An account, its password with a colon, which only the first of splits a pair."""

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl, which makes certificates, is missing")

_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuu12xgx35XzVimpLAARVsY.qvjwFuB00y\n"
_START_TIMEOUT = 30.0


@dataclass(frozen=True)
class Registry:
    """A registry that runs.

    Args:
        host: "127.0.0.1:PORT".
        data: where it keeps what it holds.
        certificate: what it shows, when it speaks TLS.
    """

    host: str
    data: Path
    certificate: Path | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.host.rpartition(":")[2])


@functools.cache
def program() -> Path:
    """The registry's program; fetched once for all test runs of this user when it isn't installed."""
    cache = Path.home() / ".cache" / "bentoship-tests"
    with file_lock(cache / "lock"):
        return find_program(cache)


@contextmanager
def running(
    folder: Path,
    *,
    password: bool = False,
    tls: bool = False,
    token: dict[str, str] | None = None,
    notify: str = "",
) -> Iterator[Registry]:
    """A registry, as long as the block lasts.

    Args:
        folder: an empty one for its files.
        password: whether to ask for USER and PASSWORD.
        tls: whether to speak TLS, with a certificate of its own making for localhost and 127.0.0.1.
        token: its configuration of a token server (realm, service, issuer, rootcertbundle).
        notify: the address of a server that it tells what it took in; empty for nobody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "s"}
    auth: dict[str, Any] = {"token": token} if token else {}
    if password:
        (folder / "htpasswd").write_text(_HTPASSWD)
        auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    if tls:
        make_certificate(folder)
        http["tls"] = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    told = {"name": "told", "url": notify, "timeout": "5s", "threshold": 3, "backoff": "1s"}
    config = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
        **({"auth": auth} if auth else {}),
        **({"notifications": {"endpoints": [told]}} if notify else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))
    log = folder / "log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [program(), "serve", folder / "config.yml"],
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Registry(f"127.0.0.1:{_port(child, log)}", folder / "data", folder / "certificate.pem" if tls else None)
    finally:
        child.kill()
        child.wait()


def make_certificate(folder: Path) -> None:
    """A key and a certificate that it signs itself: key.pem, certificate.pem; for this machine, by all its names."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:0.0.0.0"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)


def _port(child: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the system chose for it, from its log: choosing one here could race with other tests."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and child.poll() is None:
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text("utf-8", "replace"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise RuntimeError(f"the registry for the tests did not start:\n{log.read_text('utf-8', 'replace')}")


def refused(store: Store, content: bytes = b"content") -> RegistryError:
    """The error that a push ends with."""
    with pytest.raises(RegistryError) as caught:
        put(store, LAYER_TAR, content)
    return caught.value
