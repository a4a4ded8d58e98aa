"""The process of the local registry: one per cache folder, which keeps running until it is stopped."""

import http.client
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bentoship.errors import RegistryError
from bentoship.providers.distribution import find_program
from bentoship.providers.process_identity import find_by_arguments, identify
from bentoship.system import process
from bentoship.system.files import file_lock, write_whole
from bentoship.system.values import dataclass

PORTS = range(5000, 6000)
"""The ports to choose from when none is set."""

STOP_TIMEOUT = 3.0
"""Seconds until a registry that does not stop is killed."""

DOING = "Start the local registry"

_START_TIMEOUT = 20.0
_GARBAGE = "400"
"""How far the registry's memory grows before Go collects garbage, in percent of what is in use (GOGC, by default 100).

With this value a small request takes 0.45 ms of processor time instead of 0.8, and the registry 25 MB more memory.
"""
_PORT_SETTING = "LOCAL_REGISTRY_PORT"
_MARK = "X-Bentoship-Registry"
"""A response header that identifies our registry, should another one listen on the same port."""


@dataclass(frozen=True)
class _State:
    """The recorded state of the registry: its port, its process, and the value of its identifying header."""

    port: int
    pid: int = 0
    identity: str = ""
    mark: str = ""

    @property
    def is_alive(self) -> bool:
        """Return whether the recorded process is still running, and its id has not been reused."""
        return bool(self.pid) and bool(self.identity) and identify(self.pid) == self.identity


class RegistryProcess:
    """The process of a registry, and its recorded state.

    Args:
        cache_folder: bentoship's cache; its subfolder "registry" holds the registry's program, data and log.
    """

    def __init__(self, cache_folder: Path) -> None:
        self._cache_folder = cache_folder.absolute()
        self._folder = self._cache_folder / "registry"
        self.data = self._folder / "data"
        """The folder with the registry's data, in its own layout."""

    def port(self) -> int | None:
        """Return the port on which our registry responds; None when it is not running."""
        state = self._state()
        return state.port if state and state.is_alive and _mark_at(state.port) == state.mark else None

    def last_port(self) -> int | None:
        """Return the port of the last start; None before any."""
        state = self._state()
        return state.port if state else None

    def free_port(self) -> int:
        """Return the port of the last start if it is free, else the first free one. Raises RegistryError."""
        last = self.last_port()
        if port := next(filter(is_free, [*([last] if last else []), *PORTS]), 0):
            return port
        raise RegistryError(
            DOING,
            f"no port from {PORTS.start} to {PORTS.stop - 1} is free",
            f"Set {_PORT_SETTING} to another one.",
        )

    def start(self, port: int | None = None) -> tuple[int, int]:
        """Start the registry unless it is running, and wait until it responds.

        Args:
            port: the port to listen on; None for the current or last one, else the first free one.

        Returns: its port, and its former port when another program has taken that; else 0.

        Raises: RegistryError when it does not start, or the given port is in use.
        """
        try:
            with file_lock(self._folder / "lock"):
                running = self.port()
                return (running, 0) if running and port in (None, running) else self._start(port)
        except OSError as error:
            raise RegistryError(DOING, f"{error.filename or self._folder}: {error.strerror}") from error

    def stop(self) -> bool:
        """Stop the registry, keeping its data. Returns: whether it was running."""
        with file_lock(self._folder / "lock"):
            return self._stop()

    def garbage_collection(self) -> list[str]:
        """Return the command that removes blobs that no manifest needs, which must not run beside the registry."""
        program = find_program(self._cache_folder)
        return [str(program), "garbage-collect", str(self._folder / "config.yml")]

    def _start(self, wanted: int | None) -> tuple[int, int]:
        program = find_program(self._cache_folder)
        last = self._state()
        ours = last is not None and last.port == wanted and last.is_alive
        if wanted is not None and not ours and not is_free(wanted):
            by = "another program" if _mark_at(wanted) is None else "another registry"
            raise RegistryError(
                DOING,
                f"port {wanted} is in use by {by}",
                f"Set {_PORT_SETTING} to a free port, or leave it unset.",
            )
        self._stop()  # on another port, or no longer responding
        while True:
            port = wanted or self.free_port()
            try:
                self._launch(program, port)
            except RegistryError:
                # Unless another program took the port since the check.
                if wanted is not None or is_free(port):
                    raise
            else:
                return port, last.port if last and wanted is None and last.port != port else 0

    def _stop(self) -> bool:
        state = self._state()
        if not state or not state.is_alive:
            return False
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(state.pid, ending)
            if _wait(lambda: not state.is_alive, STOP_TIMEOUT):
                break
        # Its first thread may be gone before the last one releases the port.
        _wait(lambda: is_free(state.port), STOP_TIMEOUT)
        self._remember(_State(state.port))
        return True

    def _launch(self, program: Path, port: int) -> None:
        config, log = self._folder / "config.yml", self._folder / "registry.log"
        mark = secrets.token_hex()
        write_whole(config, self._config(port, mark).encode())
        log.unlink(missing_ok=True)
        # REGISTRY_* would override its settings: none is passed on. Version 3 would look for a trace collector.
        env = process.environment(extra={"OTEL_TRACES_EXPORTER": "none", "GOGC": _GARBAGE})
        pid = process.start_detached([program, "serve", config], env=env, log=log, umask=0o077).pid
        state = _State(port, pid, identify(pid), mark)
        self._remember(state)
        _wait(lambda: _mark_at(port) == mark or not state.is_alive, _START_TIMEOUT)
        if self.port() is None:
            self._stop()
            lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
            raise RegistryError(DOING, " ".join(lines[-3:]) or "it does not respond", f"See its log: {log}")

    def _config(self, port: int, mark: str) -> str:
        """Return the registry's configuration, as JSON, which is also YAML."""
        return json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(self.data)}, "delete": {"enabled": True}},
                "http": {
                    "addr": f"127.0.0.1:{port}",
                    "headers": {_MARK: [mark]},
                    "secret": secrets.token_hex(),
                },
            },
            ensure_ascii=False,
        )

    def _state(self) -> _State | None:
        try:
            state = _State(**json.loads((self._folder / "state.json").read_bytes()))
            return _State(int(state.port), int(state.pid), str(state.identity), str(state.mark))
        except (OSError, ValueError, TypeError):
            return self._recovered()

    def _recovered(self) -> _State | None:
        """Return the state, recovered from the registry's configuration and process; None without a configuration."""
        config = self._folder / "config.yml"
        try:
            settings = json.loads(config.read_bytes())["http"]
            port, [mark] = int(settings["addr"].rpartition(":")[2]), settings["headers"][_MARK]
        except (OSError, ValueError, TypeError, LookupError):
            return None
        pid = find_by_arguments("serve", config)
        return _State(port, pid, identify(pid), mark) if pid else _State(port)

    def _remember(self, state: _State) -> None:
        write_whole(self._folder / "state.json", json.dumps(asdict(state)).encode())


def is_free(port: int) -> bool:
    """Return whether nothing listens on a port, on any address that "localhost" may resolve to."""
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


def _mark_at(port: int) -> str | None:
    """Return the mark of the registry that responds on a port, empty when it is not ours; None when none responds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)  # ignores proxies
    try:
        connection.request("GET", "/v2/")
        headers = connection.getresponse().headers
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return headers.get(_MARK, "") if "Docker-Distribution-Api-Version" in headers else None


def _wait(done: Callable[[], bool], timeout: float) -> bool:
    """Wait for a condition. Returns: whether it became true within the timeout, in seconds."""
    deadline = time.monotonic() + timeout
    while not (result := done()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return result
