"""Docker's engine for tests: one of a test's own, a base that BentoML can build on, and small images."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from bentoship.docker.connection import Endpoint, Engine
from bentoship.system.files import file_lock
from tests.support.bridges import bridge
from tests.support.cache import kept
from tests.support.engines import SYSTEM_PATH, without

_START_TIMEOUT = 60.0
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_BASE = "bentoship-tests/base:latest"


@dataclass(frozen=True)
class Daemon:
    """An engine that runs.

    Args:
        host: its socket.
        folder: its files.
        process: itself.
    """

    host: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def engine(self) -> Engine:
        """A connection to it."""
        return Engine(docker.DockerClient(base_url=self.host, version="auto"), Endpoint(self.host))

    def leftovers(self, *images: str) -> list[str]:
        """What it has beside some images: containers, other images, with or without a name, and copies of anything."""
        client = self.engine.client
        names = [tag for image in client.images.list(all=True) for tag in image.tags or [image.id]]
        copies = map(str, (self.folder / "data" / "tmp").iterdir())
        return [*(one.id for one in client.containers.list(all=True)), *(set(names) - set(images)), *copies]


@contextmanager
def running(*options: str, space: int = 0) -> Iterator[Daemon]:
    """An engine with a store of its own, which may be killed; nothing of it is left at the end.

    Args:
        options: further ones of dockerd.
        space: how many bytes its disk has; 0 for this machine's disk.
    """
    missing = [program for program in ("dockerd", "ip", "iptables") if not shutil.which(program, path=SYSTEM_PATH)]
    if os.geteuid() != 0 or missing:
        without("docker", f"an engine of the test's own needs root, dockerd, ip and iptables; missing: {missing}")
    # Not in pytest's folder, whose path is too long for the sockets in it.
    with tempfile.TemporaryDirectory(prefix="engine-") as name, bridge() as its_bridge:
        folder = Path(name)
        host = f"unix://{folder}/docker.sock"
        command = ["dockerd", "--host", host, "--bridge", its_bridge, "--iptables=false", *options]
        (folder / "data").mkdir()
        if space:
            _mount(folder / "data", space)
        files = {"--pidfile": "pid", "--data-root": "data", "--exec-root": "exec"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *(part for option, file in files.items() for part in (option, str(folder / file)))],
                env={"PATH": SYSTEM_PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield ready(Daemon(host, folder, process))
        finally:
            end(process, folder)


def _mount(folder: Path, space: int) -> None:
    """Have a disk of that many bytes at a folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={space}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        without("docker", f"a small disk for an engine of the test's own cannot be mounted: {done.stderr.strip()}")


def ready(daemon: Daemon) -> Daemon:
    """Wait for an engine that was started, with its log in its folder; skip the test when it does not answer."""
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and daemon.process.poll() is None:
        with suppress(docker.errors.DockerException):
            daemon.engine.client.ping()
            break
        time.sleep(0.1)
    else:
        log = (daemon.folder / "log").read_text("utf-8", "replace")
        without("docker", f"dockerd does not start here: {log[-500:]}")
    return daemon


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End an engine, and what it leaves in its folder and at it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.kill()
    process.wait()
    # Killed, it leaves its containerd, in a process group of its own, and mounts.
    with suppress(OSError, ValueError):
        os.kill(int((folder / "exec" / "containerd" / "containerd.pid").read_text()), 9)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)


def small_image(engine: Engine, name: str, content: bytes) -> str:
    """Have an image of one file in an engine. Returns: its id."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    engine.client.api.import_image_from_data(archive.getvalue(), repository=name, tag="latest")
    return str(engine.client.images.get(f"{name}:latest").id)


def bentoml_base(engine: Engine) -> str:
    """A base for BentoML's own Dockerfile, made of Debian's packages, without a registry. Returns: its name."""
    archive = kept() / "bentoml-base.tar"
    with file_lock(kept() / "bentoml-base.lock"):
        if not engine.identity(_BASE):
            if not archive.exists():
                _make(archive)
            variables = f"SSL_CERT_FILE={_CERTIFICATES} PIP_CERT={_CERTIFICATES} PIP_BREAK_SYSTEM_PACKAGES=1"
            repository, tag = _BASE.split(":")
            engine.client.api.import_image(str(archive), repository, tag, changes=[f"ENV {variables}"])
    return _BASE


def _make(archive: Path) -> None:
    if not shutil.which("mmdebstrap"):
        without("docker", "mmdebstrap, which makes the base, is not installed")
    partial = archive.with_suffix(".partial.tar")
    # Whom this host believes, containers believe, too.
    hooks = [f"--customize-hook=copy-in {_CERTIFICATES} {Path(_CERTIFICATES).parent}"]
    options = ["--quiet", "--variant=minbase", f"--include={_PACKAGES}", *hooks]
    done = subprocess.run(
        ["mmdebstrap", *options, "bookworm", partial], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"mmdebstrap failed: {done.stderr[-2000:]}", pytrace=False)
    partial.replace(archive)


@contextmanager
def free_port() -> Iterator[int]:
    """A port of the loopback address that is free when the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield int(probe.getsockname()[1])
