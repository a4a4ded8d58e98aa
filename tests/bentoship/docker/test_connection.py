"""Where Docker's engine is looked for."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentoship.docker import connection as engine
from bentoship.docker.connection import auth_config, error_in, find_endpoint
from bentoship.errors import EngineError
from bentoship.stores.credentials import Credentials


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has set nothing, and whose machine has no engine at the usual place."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(engine, "_DEFAULT_SOCKET", f"unix://{tmp_path}/usual.sock")
    return tmp_path


@pytest.fixture
def context(home: Path) -> str:
    """A context, kept as Docker's command keeps it."""
    folder = home / ".docker" / "contexts" / "meta" / hashlib.sha256(b"far").hexdigest()
    folder.mkdir(parents=True)
    endpoint = {"Host": "tcp://far.example:2375", "SkipTLSVerify": False}
    (folder / "meta.json").write_text(json.dumps({"Name": "far", "Metadata": {}, "Endpoints": {"docker": endpoint}}))
    (home / ".docker" / "config.json").write_text("{}")
    return "far"


@pytest.fixture
def rootless(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The socket of an engine that runs as the user."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    (home / "run").mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(home / "run" / "docker.sock"))
        yield f"unix://{home}/run/docker.sock"


def test_the_usual_place(home: Path) -> None:
    """Without any setting it is Docker's own socket."""
    assert find_endpoint().host == f"unix://{home}/usual.sock"


@pytest.mark.usefixtures("rootless")
def test_docker_host_comes_first(context: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over contexts and sockets; podman's socket is as good as another one."""
    monkeypatch.setenv("DOCKER_CONTEXT", context)
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/podman/podman.sock")
    assert find_endpoint().host == "unix:///run/podman/podman.sock"


@pytest.mark.parametrize("by", ["environment", "configuration"])
def test_a_context_is_followed(
    context: str, rootless: str, home: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that DOCKER_CONTEXT names, or `docker context use` has chosen."""
    if by == "environment":
        monkeypatch.setenv("DOCKER_CONTEXT", context)
    else:
        (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": context}))
    assert find_endpoint().host == "tcp://far.example:2375"


def test_an_engine_of_the_user_s_own_is_found(rootless: str) -> None:
    """Programs that are called are told of it, because Docker's command would not look there."""
    endpoint = find_endpoint()
    assert endpoint.host == rootless
    assert endpoint.env == {"DOCKER_HOST": rootless}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DOCKER_CONTEXT": "nowhere"}, "there is no context nowhere"),
        ({"DOCKER_HOST": "unix:///nowhere.sock"}, "nothing listens at unix:///nowhere.sock"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "nothing listens at tcp://127.0.0.1:1"),
        ({"DOCKER_HOST": "tcp://nowhere.invalid:1"}, "tcp://nowhere.invalid:1 cannot be reached"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_CERT_PATH": "/nowhere"}, "certificate"),
        ({"DOCKER_HOST": "nonsense"}, "nonsense"),
    ],
)
def test_what_cannot_be_reached_is_told(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was looked for, and the setting that changes it."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(EngineError) as caught:
        engine.connect()
    assert message in caught.value.why
    assert "DOCKER_HOST" in caught.value.hint
    assert len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"status": "Pushed", "id": "0123"}, None),
        ({"error": "denied"}, "denied"),
        ({"error": "in short", "errorDetail": {"message": "at length"}}, "at length"),
        ({"error": "in short", "errorDetail": {}}, "in short"),
    ],
)
def test_an_engine_s_complaints_are_found_in_its_streams(event: dict[str, object], message: str | None) -> None:
    """In the detail, where there is one."""
    assert error_in(event) == message


def test_an_account_is_given_to_the_engine_as_it_takes_them() -> None:
    """A token where there is one, user and password otherwise; nobody is an empty one, so that no other is taken."""
    assert auth_config(Credentials("alice", "secret"), "host:1") == {
        "username": "alice",
        "password": "secret",
        "serveraddress": "host:1",
    }
    assert auth_config(Credentials("", "", "token"), "host:1") == {"identitytoken": "token", "serveraddress": "host:1"}
    assert auth_config(None, "host:1") == {}
