"""Programs that people use: Docker's engine, podman, skopeo and umoci for images, Chromium for pages."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import docker as docker_sdk
import httpx
import pytest

from bentoship.docker.connection import Endpoint
from bentoship.docker.connection import Engine as Connection
from tests.support.services import client

PROMISED = "BENTOSHIP_ENGINES"
"""The variable that names, with commas between, the programs that are there: without one of them tests fail."""

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian's programs are, those for root, too, whatever else is installed."""

_PROBES = {
    "bwrap": "--version", "docker": "info", "podman": "info", "skopeo": "--version", "umoci": "--version",
    "qemu-aarch64-static": "--version", "chromium": "--version",
}  # fmt: skip
_TIMEOUT = 180.0
_READY_TIMEOUT = 60.0


def require(program: str) -> None:
    """Skip the test when the program is missing or does not work; fail it when the program was promised."""
    if why := _missing(program):
        without(program, why)


def without(program: str, why: str) -> NoReturn:
    """Skip the test, or fail it when the program was promised."""
    if program in os.environ.get(PROMISED, "").split(","):
        pytest.fail(f"{PROMISED} promises {program}, but {why}", pytrace=False)
    pytest.skip(why)


@functools.cache
def _missing(program: str) -> str:
    """Why the program cannot be used; empty when it can."""
    if not shutil.which(program):
        return f"{program} is not installed"
    if program == "podman" and os.geteuid() and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "podman without root has no network where /dev/net/tun may not be opened"
    probe = [program, _PROBES[program]]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        return f"`{' '.join(probe)}` does not answer"
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"`{' '.join(probe)}` fails: {last}" if done.returncode else ""


def output(*command: str | Path, env: Mapping[str, str] | None = None, merged: bool = False) -> str:
    """What a program writes to stdout; with merged, to stderr, too. An exit code other than 0 fails the test."""
    done = subprocess.run(
        [str(part) for part in command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        timeout=_TIMEOUT,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr or ''}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Engine:
    """An engine, driven by its command.

    Args:
        command: what each of its commands begins with.
        env: its environment.
        insecure: what lets it pull from a registry without TLS.
    """

    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    insecure: tuple[str, ...] = ()

    def __call__(self, *arguments: str, merged: bool = False) -> str:
        """What a command of it writes."""
        return output(*self.command, *arguments, env=self.env, merged=merged)

    def pull(self, image: str) -> None:
        """Have an image of a registry on this machine."""
        self("pull", "--quiet", *self.insecure, image)

    def remove(self, image: str) -> None:
        """Have it no more."""
        self("rmi", "--force", image)

    @contextmanager
    def container(self, image: str, *options: str, arguments: tuple[str, ...] = ()) -> Iterator[str]:
        """A container that was made, but not started; removed at the end. Gives its id."""
        name = self("create", *options, image, *arguments)
        try:
            yield name
        finally:
            self("rm", "--force", name)

    @contextmanager
    def running(
        self, image: str, *options: str, arguments: tuple[str, ...] = (), port: int = 3000
    ) -> Iterator[Container]:
        """A container that serves, ready for requests.

        Args:
            image: what it is made of.
            options: of the engine.
            arguments: of the image's entrypoint.
            port: where it listens, inside.
        """
        publish = ("--publish", f"127.0.0.1::{port}")
        with self.container(image, *publish, *options, arguments=arguments) as name:
            self("start", name)
            address = self("port", name, f"{port}/tcp")
            with client(address) as asking:
                container = Container(self, name, asking)
                container.wait()
                yield container

    def output(self, image: str, *arguments: str) -> str:
        """What a container writes that runs to its end."""
        with self.container(image, arguments=arguments) as name:
            return self("start", "--attach", name)


@dataclass(frozen=True)
class Container:
    """A container that runs.

    Args:
        engine: runs it.
        name: its id.
        client: asks it.
    """

    engine: Engine
    name: str
    client: httpx.Client

    def wait(self) -> None:
        """Wait until it is ready; fail with its log when it ends or takes a minute."""
        deadline = time.monotonic() + _READY_TIMEOUT
        while time.monotonic() < deadline and self.state("Running") == "true":
            try:
                if self.client.get("/readyz").is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        pytest.fail(f"the container did not become ready:\n{self.logs()}", pytrace=False)

    def state(self, key: str) -> str:
        """Running, ExitCode and the like, as the engine writes them."""
        return self.engine("inspect", "--format", f"{{{{.State.{key}}}}}", self.name)

    def execute(self, *command: str) -> str:
        """What a further program in it writes."""
        return self.engine("exec", self.name, *command)

    def logs(self) -> str:
        """All that it has written."""
        return self.engine("logs", self.name, merged=True)

    def stop(self) -> int:
        """Ask it to end, by SIGTERM. Returns: its exit code; 137 when it had to be killed."""
        self.engine("stop", "--time", "20", self.name)
        return int(self.state("ExitCode"))


def docker(folder: Path) -> Engine:
    """The engine that DOCKER_HOST names, or the usual one."""
    return Engine(("docker",))


def podman(folder: Path) -> Engine:
    """Podman with a store of its own in a folder."""
    # Podman would raise limits, which needs a right that not every root has.
    (folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
    store = ("--root", str(folder / "root"), "--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp"))
    env = os.environ | {"CONTAINERS_CONF": str(folder / "containers.conf")}
    return Engine(("podman", *store), env, ("--tls-verify=false",))


@contextmanager
def podman_service() -> Iterator[Connection]:
    """Podman in the place of Docker's engine, with a store of its own."""
    # Not in pytest's folder, whose path is too long for a socket in it.
    with tempfile.TemporaryDirectory(prefix="podman-") as name:
        engine, host = podman(Path(name)), f"unix://{name}/podman.sock"
        with (Path(name) / "log").open("wb") as log:
            command = [*engine.command, "system", "service", "--time", "0", host]
            process = subprocess.Popen(command, env=engine.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + _READY_TIMEOUT
            while not Path(name, "podman.sock").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            yield Connection(docker_sdk.DockerClient(base_url=host, version="auto"), Endpoint(host))
        finally:
            process.terminate()
            process.wait(30)
            engine("system", "reset", "--force")


ENGINES = {"docker": docker, "podman": podman}
"""How to get at each engine, given a folder for it."""
