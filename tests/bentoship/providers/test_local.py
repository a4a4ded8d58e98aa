"""The registry on this machine."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import RegistryError
from bentoship.image.reference import ImageReference
from bentoship.providers import Provider, registry_process
from bentoship.providers.distribution import find_program
from bentoship.providers.local import LocalRegistry
from bentoship.stores.registry import RegistryStore
from tests.support import registry as registries
from tests.support.images import put_image
from tests.support.threads import in_a_thread


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder with a strange name, the registry's program on PATH, and ports that no other run of tests uses."""
    folder = tmp_path / "ein Cache ü"
    first = 20_000 + os.getpid() % 120 * 100
    monkeypatch.setattr(registry_process, "PORTS", range(first, first + 100))
    monkeypatch.setattr(registry_process, "STOP_TIMEOUT", 1.0)
    monkeypatch.setenv("PATH", f"{registries.program().parent}{os.pathsep}{os.environ['PATH']}")
    yield folder
    LocalRegistry(folder).stop()


def state(cache: Path) -> dict[str, Any]:
    """What is remembered of the registry."""
    document: dict[str, Any] = json.loads((cache / "registry" / "state.json").read_text())
    return document


def program_in(folder: Path, name: str, script: str) -> Path:
    """A program that is a shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


def used_port() -> Iterator[int]:
    """A port at which a web server answers."""
    handler = http.server.BaseHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, in_a_thread(server):
        yield server.server_port


taken = pytest.fixture(used_port, name="taken")


def test_it_holds_images_and_keeps_them(cache: Path) -> None:
    """Under both names of this machine, and when it is started again; its port stays, too."""
    registry = LocalRegistry(cache)
    assert registry.running() is None
    where = registry.start()
    host, _, port = where.partition(":")
    assert host == "localhost"
    assert int(port) == registry_process.PORTS.start
    assert registry.running() == int(port)
    store = RegistryStore(ImageReference(where, "tests/kept"), push=True)
    image = put_image(store)
    store.tag(image, "v1")
    assert RegistryStore(ImageReference(f"127.0.0.1:{port}", "tests/kept")).resolve("v1") == image
    assert registry.stop()
    assert registry.running() is None
    assert not registry.stop()
    assert LocalRegistry(cache).start() == where
    assert store.resolve("v1") == image


def test_it_is_started_once(cache: Path) -> None:
    """However many ask for it at the same time, or later."""
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(lambda _: LocalRegistry(cache).start(), range(4)))
    pid = state(cache)["pid"]
    assert places == {LocalRegistry(cache).start()}
    assert state(cache)["pid"] == pid


def test_it_outlives_who_started_it_and_holds_no_stream(cache: Path) -> None:
    """`$(invoke publish)` returns; Ctrl-C in the terminal does not reach it; a strict umask does no harm."""
    script = """
import os, sys
from pathlib import Path
from bentoship.providers.local import LocalRegistry
os.umask(0o077)
print(LocalRegistry(Path(sys.argv[1])).start())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(cache)]
    done = subprocess.run(command, env=env, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout.strip() == LocalRegistry(cache).start()
    assert os.getsid(state(cache)["pid"]) == state(cache)["pid"]


def test_its_settings_are_ours_alone(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment holds under REGISTRY_ is for somebody else."""
    monkeypatch.setenv("REGISTRY_HTTP_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("REGISTRY_STORAGE", "inmemory")
    monkeypatch.setenv("REGISTRY", "local")
    store = RegistryStore(ImageReference(LocalRegistry(cache).start(), "tests/settings"), push=True)
    put_image(store)
    assert any((cache / "registry" / "data").rglob("blobs"))


def test_a_given_port_that_is_taken_is_told(cache: Path, taken: int) -> None:
    """With the port and the setting that changes it."""
    with pytest.raises(RegistryError, match=f"port {taken} is in use by another program") as caught:
        LocalRegistry(cache, taken).start()
    assert "LOCAL_REGISTRY_PORT" in caught.value.hint


def test_somebody_elses_registry_is_not_taken_for_ours(cache: Path, registry: registries.Registry) -> None:
    """Even though it answers as one."""
    with pytest.raises(RegistryError, match=f"port {registry.port} is in use by another registry"):
        LocalRegistry(cache, registry.port).start()


@pytest.mark.parametrize("content", [None, "", '{"port": "nonsense"', "[]"])
def test_it_is_known_when_what_was_remembered_is_lost(cache: Path, content: str | None) -> None:
    """By its own configuration and process: it is neither a stranger's nor started twice, and it can be stopped."""
    where = LocalRegistry(cache).start()
    port = state(cache)["port"]
    file = cache / "registry" / "state.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    assert LocalRegistry(cache).running() == port
    assert LocalRegistry(cache, port).start() == LocalRegistry(cache).start() == where
    assert LocalRegistry(cache).stop()
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert state(cache)["port"] == port
    file.unlink()
    assert LocalRegistry(cache).running() is None
    assert LocalRegistry(cache).repository("x").host == where


def test_somebody_elses_answers_do_not_make_ours_run(cache: Path, registry: registries.Registry) -> None:
    """Ours may still live while another one has the port."""
    LocalRegistry(cache).start()
    file = cache / "registry" / "state.json"
    kept = file.read_text()
    file.write_text(json.dumps({**state(cache), "port": registry.port}))
    assert LocalRegistry(cache).running() is None
    file.write_text(kept)
    assert LocalRegistry(cache).running()


def test_it_moves_when_its_port_was_taken_meanwhile(cache: Path, taken: int) -> None:
    """And says so; the new port is remembered."""
    LocalRegistry(cache).start()
    LocalRegistry(cache).stop()
    file = cache / "registry" / "state.json"
    file.write_text(json.dumps({**state(cache), "port": taken}))
    registry = LocalRegistry(cache)
    line = registry.create_registry()
    assert registry.running() not in (None, taken)
    assert f"Port {taken} is in use" in line
    assert str(registry.running()) in line
    registry.create_registry()
    assert registry.notice == ""


def test_the_last_port_names_the_images_of_a_stopped_registry(cache: Path, taken: int) -> None:
    """Even while another program has it, since what was published last is known by that name."""
    LocalRegistry(cache).start()
    LocalRegistry(cache).stop()
    file = cache / "registry" / "state.json"
    file.write_text(json.dumps({**state(cache), "port": taken}))
    assert LocalRegistry(cache).repository("x").host == f"localhost:{taken}"


def test_it_moves_to_a_given_port(cache: Path) -> None:
    """And leaves the old one."""
    old = LocalRegistry(cache)
    old.start()
    before = old.running()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert LocalRegistry(cache, port).start() == f"localhost:{port}"
    assert old.running() == port
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", before)):
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_one_that_answers_no_more_is_replaced(cache: Path, how: signal.Signals) -> None:
    """At the same port."""
    registry = LocalRegistry(cache)
    where = registry.start()
    pid = state(cache)["pid"]
    os.kill(pid, how)
    deadline = time.monotonic() + 10
    while registry.running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert registry.start() == where
    assert state(cache)["pid"] != pid


def test_another_process_of_the_same_id_is_left_alone(cache: Path) -> None:
    """Ids are used again; only what was started is stopped."""
    registry = LocalRegistry(cache)
    registry.start()
    registry.stop()
    file = cache / "registry" / "state.json"
    with subprocess.Popen(["sleep", "60"]) as other:
        file.write_text(json.dumps({**state(cache), "pid": other.pid, "identity": "another boot"}))
        assert registry.running() is None
        assert not registry.stop()
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"port": 1, "other": 2}', '"x"'])
def test_a_damaged_state_does_no_harm(cache: Path, damage: str) -> None:
    """The registry is started again."""
    (cache / "registry").mkdir(parents=True)
    (cache / "registry" / "state.json").write_text(damage)
    assert LocalRegistry(cache).running() is None
    assert LocalRegistry(cache).start()


def test_one_that_does_not_start_is_told_in_its_own_words(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the end of its log."""
    version = "registry github.com/distribution/distribution 9"
    script = f'[ "$1" = --version ] && echo {version} && exit\necho no luck today; exit 1'
    monkeypatch.setenv("PATH", f"{program_in(tmp_path / 'bin', 'docker-registry', script)}:/usr/bin:/bin")
    with pytest.raises(RegistryError, match="no luck today"):
        LocalRegistry(cache).start()
    assert LocalRegistry(cache).running() is None


def test_another_program_of_the_same_name_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the registry cannot be had, the error tells how to install it."""
    folder = program_in(tmp_path / "bin", "registry", "echo registry 1.0 of something else")
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(RegistryError, match="apt install docker-registry"):
        find_program(tmp_path / "cache")


def test_a_cache_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """As an error of the registry's start."""
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError, match="Start the local registry"):
        LocalRegistry(tmp_path / "file").start()


def test_it_is_a_provider(cache: Path) -> None:
    """Images are named after the port; naming starts nothing; whoever logs in finds it running."""
    registry = LocalRegistry(cache)
    provider: Provider = registry
    planned = provider.repository("tool")
    assert planned.host.startswith("localhost:")
    assert planned.path.endswith("tool")
    assert registry.running() is None
    assert len(provider.enable_api().splitlines()) == 1
    assert "no account" in provider.login()
    assert provider.repository("tool").host == f"localhost:{registry.running()}"
    assert provider.credentials() is None
    assert LocalRegistry(cache, 4567).repository("tool").host == "localhost:4567"
