"""What `.env` puts into this process's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bentoship.errors import SettingsError
from bentoship.settings import environment
from bentoship.system import process
from tests.support.fuzzing import fuzz, texts


def test_the_file_reaches_what_reads_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that SDKs read by themselves work from .env, too, and never over the environment."""
    (tmp_path / ".env").write_text("DOCKER_HOST=tcp://file\nNO_PROXY=file\n", "utf-8")
    monkeypatch.setenv("NO_PROXY", "environment")
    monkeypatch.setenv("DOCKER_HOST", "gone after the test")
    monkeypatch.delenv("DOCKER_HOST")
    environment.export(tmp_path)
    assert (os.environ["DOCKER_HOST"], os.environ["NO_PROXY"]) == ("tcp://file", "environment")


def test_a_lost_question_for_an_address_is_soon_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By every program that is started, unless somebody has decided otherwise."""
    machine = tmp_path / "resolv.conf"
    monkeypatch.setattr(environment, "_RESOLVER_FILE", machine)
    monkeypatch.setenv("RES_OPTIONS", "gone after the test")
    monkeypatch.delenv("RES_OPTIONS")
    machine.write_text("nameserver 192.0.2.1\noptions edns0 attempts:3\n")
    environment.export(tmp_path)
    assert "RES_OPTIONS" not in process.environment()
    machine.unlink()
    environment.export(tmp_path)
    assert process.environment()["RES_OPTIONS"] == "timeout:2 attempts:5"
    monkeypatch.setenv("RES_OPTIONS", "rotate")
    environment.export(tmp_path)
    assert process.environment()["RES_OPTIONS"] == "rotate"


def test_package_indexes_are_asked_more_often_than_uv_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as RETRY_SECONDS allows it, at ten seconds for a host that does not answer; unless it is set otherwise."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "1")
    environment.export(tmp_path)
    assert os.environ["UV_HTTP_RETRIES"] == "1"
    monkeypatch.delenv("UV_HTTP_RETRIES")
    for seconds, retries in (("180", "6"), ("0", "0"), ("30", "1"), ("60", "3"), ("soon", "6"), ("", "6")):
        monkeypatch.delenv("UV_HTTP_RETRIES", raising=False)
        monkeypatch.setenv("RETRY_SECONDS", seconds)
        environment.export(tmp_path)
        assert os.environ["UV_HTTP_RETRIES"] == retries, seconds


def test_package_indexes_are_waited_for_no_longer_than_a_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where RETRY_SECONDS is less than uv waits for the next part of a response."""
    for seconds, timeout in (("180", None), ("0", None), ("12", "12"), ("30", None)):
        monkeypatch.setenv("UV_HTTP_TIMEOUT", "gone after the test")
        monkeypatch.delenv("UV_HTTP_TIMEOUT")
        monkeypatch.setenv("RETRY_SECONDS", seconds)
        environment.export(tmp_path)
        assert os.environ.get("UV_HTTP_TIMEOUT") == timeout, seconds


def test_a_key_file_is_found_from_the_projects_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path in .env does not depend on where a task is called."""
    (tmp_path / ".env").write_text("GOOGLE_APPLICATION_CREDENTIALS=key.json\n", "utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "gone after the test")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    environment.export(tmp_path)
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == str(tmp_path / "key.json")


def test_paths_start_at_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it lies in a parent; a path from the environment stays as it is."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "VERIFY_REQUEST"):
        monkeypatch.setenv(name, "gone after the test")
        monkeypatch.delenv(name)
    monkeypatch.setenv("BENTOML_HOME", "from/environment")
    project = tmp_path / "services" / "echo"
    project.mkdir(parents=True)
    (tmp_path / ".git").touch()  # as in a work tree that was added
    text = "GOOGLE_APPLICATION_CREDENTIALS=key.json\nBENTOML_HOME=stores\nVERIFY_REQUEST=~/verify.yaml\n"
    (tmp_path / ".env").write_text(text, "utf-8")
    environment.export(project)
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == str(tmp_path / "key.json")
    assert os.environ["VERIFY_REQUEST"] == str(Path.home() / "verify.yaml")
    assert os.environ["BENTOML_HOME"] == "from/environment"


def test_a_key_in_place_of_a_path_stays_as_it_is(tmp_path: Path) -> None:
    """It is no path that could start at the file, and what reads it says so without showing it."""
    (tmp_path / ".env").write_text('GOOGLE_APPLICATION_CREDENTIALS=\'{"private_key": "s3cr3t"}\'\n', "utf-8")
    assert environment.read(tmp_path) == {"GOOGLE_APPLICATION_CREDENTIALS": '{"private_key": "s3cr3t"}'}


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    """What is there is no secret, however it is called."""
    file = tmp_path / "{key}.json"
    assert not environment.names_a_file(str(file))
    file.touch()
    assert environment.names_a_file(str(file))


@fuzz(texts("AB=\"'\\\n\r\t #${}:-export \0é"), examples=200)
def test_any_file_is_read_as_dotenv_reads_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Or refused: what dotenv passes over with a warning, and what no variable can hold."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed-env"
    folder.mkdir(exist_ok=True)
    (folder / ".env").write_text(text, "utf-8", newline="")
    try:
        found = environment.read(folder)
    except SettingsError:
        return
    assert found == {name: value or "" for name, value in dotenv_values(folder / ".env", encoding="utf-8").items()}
    assert all("\0" not in name + value and name for name, value in found.items())
