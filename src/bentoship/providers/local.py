"""A registry on this machine: the CNCF distribution registry, on loopback, left running until it is stopped."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bentoship.errors import RegistryError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.providers.distribution import find_program
from bentoship.stores.credentials import Credentials
from bentoship.stores.graph import is_manifest
from bentoship.system import process
from bentoship.system.files import lock, write_whole

_PATH = "bentoship"
_PORTS = range(5000, 6000)
_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 3.0
_MARK = "X-Bentoship-Registry"
"""A header of our registry's answers, by which it is known from another one at the same port."""

_DOING = "Start the local registry"
_PORT_SETTING = "LOCAL_REGISTRY_PORT"


@dataclass(frozen=True)
class _State:
    """What is remembered of the registry: where it listens, which process it is, and by what its answers are known."""

    port: int
    pid: int = 0
    identity: str = ""
    mark: str = ""


class LocalRegistry:
    """A provider whose registry runs on this machine.

    Args:
        cache_folder: bentoship's; the registry's program, data and log are kept in "registry" there.
        port: where it has to listen; None for the first free port from 5000 on, which is then remembered.
    """

    plain_http = True

    def __init__(self, cache_folder: Path, port: int | None = None) -> None:
        self._cache_folder = cache_folder.absolute()
        self._folder = self._cache_folder / "registry"
        self._port = port
        self._started: int | None = None
        self.notice = ""
        """What people should know about the last start; empty for nothing."""

    def enable_api(self) -> str:
        """Nothing to do."""
        return "The local registry has nothing to enable."

    def create_registry(self) -> str:
        """Start the registry unless it runs. Raises as `start` does."""
        where = self.start()
        return " ".join(filter(None, [self.notice, f"The local registry needs no creating; it runs at {where}."]))

    def login(self) -> str:
        """Start the registry unless it runs: pushing needs nothing else."""
        return f"The local registry at {self.start()} asks for no account."

    def repository(self, image_name: str) -> ImageReference:
        """Where the image is, or will be: at the port where the registry runs, or would when it is started."""
        port = self._port or self._started or self.running() or self._free_port()
        return ImageReference(f"localhost:{port}", f"{_PATH}/{image_name}")

    def credentials(self) -> Credentials | None:
        """It asks for none."""
        return None

    def holdings(self, repository: ImageReference) -> Callable[[Descriptor], bool] | None:
        """Tells from its files what the registry has; None while it runs and can be asked."""
        if self.running():
            return None
        # The distribution registry's own layout (registry/storage/paths.go).
        kept = self._folder / "data" / "docker" / "registry" / "v2" / "repositories" / repository.path

        def holds(descriptor: Descriptor) -> bool:
            kind = "_manifests/revisions" if is_manifest(descriptor) else "_layers"
            return (kept / kind / "sha256" / descriptor.hex / "link").is_file()

        return holds

    def start(self) -> str:
        """Start the registry unless it runs, and wait until it answers.

        Returns: "localhost:PORT".

        Raises: RegistryError when it does not start, or the given port is taken.
        """
        self.notice = ""
        try:
            with lock(self._folder / "lock"):
                port = self.running()
                if port is None or self._port not in (None, port):
                    port = self._start()
        except OSError as error:
            raise RegistryError(_DOING, f"{error.filename or self._folder}: {error.strerror}") from error
        self._started = port  # so that it is not asked again for each name
        return f"localhost:{port}"

    def obstacle(self) -> str:
        """Why it would not start where it is told to; empty when nothing is in the way. Starts nothing."""
        if self._port is None or self.running() == self._port or _is_free(self._port):
            return ""
        return f"port {self._port} is taken by another program or registry"

    def stop(self) -> bool:
        """End the registry; its data stays. Returns: whether it ran."""
        self._started = None
        with lock(self._folder / "lock"):
            return self._stop()

    def running(self) -> int | None:
        """The port at which our registry answers; None when it does not run."""
        state = self._state()
        return state.port if state and _is_alive(state) and _answer(state.port) == state.mark else None

    def _start(self) -> int:
        program = find_program(self._cache_folder)
        running = self._state()
        ours = running is not None and running.port == self._port and _is_alive(running)
        if self._port is not None and not ours and not _is_free(self._port):
            raise _taken(self._port)
        self._stop()  # at another port, or not answering any more
        remembered = self._state()
        while True:
            port = self._port or self._free_port()
            try:
                self._launch(program, port)
                break
            except RegistryError:
                # Unless somebody else took the port since we looked.
                if self._port is not None or _is_free(port):
                    raise
        if self._port is None and remembered and remembered.port != port:
            self.notice = f"Port {remembered.port} is taken by another program; the local registry moved to {port}."
        return port

    def _stop(self) -> bool:
        state = self._state()
        if not state or not _is_alive(state):
            return False
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(state.pid, ending)
            if _wait(lambda: not _is_alive(state), _STOP_TIMEOUT):
                break
        # The first of its threads may be gone before the last one lets go of the port.
        _wait(lambda: _is_free(state.port), _STOP_TIMEOUT)
        self._remember(_State(state.port))
        return True

    def _launch(self, program: Path, port: int) -> None:
        config, log = self._folder / "config.yml", self._folder / "registry.log"
        mark = secrets.token_hex()
        config.write_text(self._config(port, mark), "utf-8")
        log.unlink(missing_ok=True)
        # It takes REGISTRY_* for its own settings: none of them is passed on. Version 3 would look for a collector.
        env = process.environment(extra={"OTEL_TRACES_EXPORTER": "none"})
        pid = process.start_detached([program, "serve", config], env=env, log=log).pid
        state = _State(port, pid, _identity(pid), mark)
        self._remember(state)
        _wait(lambda: _answer(port) == mark or not _is_alive(state), _START_TIMEOUT)
        if self.running() is None:
            self._stop()
            lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
            raise RegistryError(_DOING, " ".join(lines[-3:]) or "it does not answer", f"All of its log: {log}")

    def _config(self, port: int, mark: str) -> str:
        """The registry's configuration, in JSON, which is YAML, too."""
        return json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(self._folder / "data")},
                    "delete": {"enabled": True},
                },
                "http": {
                    "addr": f"127.0.0.1:{port}",
                    "headers": {_MARK: [mark]},
                    "secret": secrets.token_hex(),
                },
            },
            ensure_ascii=False,
        )

    def _free_port(self) -> int:
        """The remembered port if it is free, else the first one that is."""
        state = self._state()
        candidates = [*([state.port] if state else []), *_PORTS]
        free: int | None = next(filter(_is_free, candidates), None)
        if free is not None:
            return free
        raise RegistryError(
            _DOING,
            f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free",
            f"Set {_PORT_SETTING} to another one.",
        )

    def _state(self) -> _State | None:
        try:
            return _State(**json.loads((self._folder / "state.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return self._recovered()

    def _recovered(self) -> _State | None:
        """What a running registry's own configuration and process tell, where what was remembered is lost."""
        config = self._folder / "config.yml"
        try:
            http = json.loads(config.read_bytes())["http"]
            port, [mark] = int(http["addr"].rpartition(":")[2]), http["headers"][_MARK]
        except (OSError, ValueError, TypeError, LookupError):
            return None
        pid = _serving(config)
        return _State(port, pid, _identity(pid), mark) if pid else _State(port)

    def _remember(self, state: _State) -> None:
        write_whole(self._folder / "state.json", json.dumps(asdict(state)).encode())


def _taken(port: int) -> RegistryError:
    by = "another program" if _answer(port) is None else "another registry"
    return RegistryError(
        _DOING,
        f"port {port} is taken by {by}",
        f"Set {_PORT_SETTING} to a free port, or leave it unset.",
    )


def _is_free(port: int) -> bool:
    """Whether nothing listens there, on none of the addresses that "localhost" may stand for."""
    for address in ("127.0.0.1", "::1"):
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answer(port: int) -> str | None:
    """The mark of the registry that answers there, empty for one that isn't ours; None when none answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)  # knows no proxies
    try:
        connection.request("GET", "/v2/")
        headers = connection.getresponse().headers
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return headers.get(_MARK, "") if "Docker-Distribution-Api-Version" in headers else None


def _is_alive(state: _State) -> bool:
    """Whether the process of that id is still the one that was started."""
    return bool(state.pid) and bool(state.identity) and _identity(state.pid) == state.identity


def _identity(pid: int) -> str:
    """What tells a process from a later one with the same id: when it started; empty when it is gone."""
    if sys.platform.startswith("linux"):
        try:
            # The command's name may hold spaces and parentheses; what follows it does not (proc(5)).
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        except OSError:
            return ""
        state, started = fields[0], fields[19]
        return "" if state in "ZX" else f"{boot} {started}"
    # A date's words and hour are not to depend on who asks.
    env = process.environment(extra={"LC_ALL": "C", "TZ": "UTC"})
    return process.run(["ps", "-p", str(pid), "-o", "lstart="], env=env, check=False).stdout.strip()


def _serving(config: Path) -> int:
    """The process of the registry that was started with a configuration; 0 for none."""
    if not sys.platform.startswith("linux"):
        listed = process.run(["ps", "-A", "-ww", "-o", "pid=,args="], env=process.environment(), check=False).stdout
        lines = (line.strip() for line in listed.splitlines())
        return next((int(line.split()[0]) for line in lines if line.endswith(f" serve {config}")), 0)
    wanted = b"\0serve\0" + os.fsencode(config) + b"\0"
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # gone by now
            if file.read_bytes().endswith(wanted):
                return int(file.parent.name)
    return 0


def _wait(done: Callable[[], bool], timeout: float) -> bool:
    """Wait until something is so. Returns: whether it came to be in that many seconds."""
    deadline = time.monotonic() + timeout
    while not (result := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return result
