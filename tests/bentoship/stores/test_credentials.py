"""Accounts in Docker's and podman's files, and from credential helpers."""

from __future__ import annotations

import base64
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bentoship.errors import ProcessError, SettingsError
from bentoship.stores.credentials import Credentials, find_credentials
from tests.support.fuzzing import ANY, fuzz, near, texts


class Home:
    """A home folder, and the environment of whoever lives there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"HOME": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}

    def docker(self, document: Any) -> Path:
        """Write Docker's configuration."""
        return self.write(".docker/config.json", document)

    def write(self, name: str, document: Any) -> Path:
        """Write a file of JSON, or a text as it is."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    def helper(self, name: str, script: str) -> None:
        """Install a credential helper; it finds the host that it is asked for in $host."""
        file = self.folder / "bin" / f"docker-credential-{name}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nhost=$(cat)\n{script}\n')
        file.chmod(0o755)

    def find(self, host: str, path: str = "") -> Credentials | None:
        """What is found here."""
        return find_credentials(host, path, env=self.env)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home folder without any account."""
    return Home(tmp_path)


def auth(user: str = "alice", password: str = "secret") -> dict[str, str]:
    """An account as docker login writes it."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_nobody_is_found_where_nothing_is_kept(home: Home) -> None:
    """Neither without files nor in empty ones."""
    assert home.find("ghcr.io") is None
    home.docker({})
    home.write(".config/containers/auth.json", {"auths": {"quay.io": auth(), "ghcr.io": {}}})
    assert home.find("ghcr.io") is None


def test_an_account_of_docker_login_is_found(home: Home) -> None:
    """With its source; only the first colon ends the user."""
    file = home.docker({"auths": {"ghcr.io": auth("alice", "pa:ss wörd")}})
    assert home.find("ghcr.io", "acme") == Credentials("alice", "pa:ss wörd", "", str(file))
    assert home.find("evil-ghcr.io") is None


def test_secrets_are_not_shown() -> None:
    """In no form that ends in a log."""
    credentials = Credentials("alice", "secret", "token", "a file")
    assert "secret" not in repr(credentials) + str(credentials)
    assert "token" not in repr(credentials) + str(credentials)
    assert credentials.account == "alice (from a file)"


def test_docker_config_names_the_folder(home: Home) -> None:
    """Then the one in the home folder counts no more."""
    home.docker({"auths": {"ghcr.io": auth("old")}})
    home.write("elsewhere/config.json", {"auths": {"ghcr.io": auth("new")}})
    home.env["DOCKER_CONFIG"] = str(home.folder / "elsewhere")
    found = home.find("ghcr.io")
    assert found
    assert found.user == "new"


@pytest.mark.parametrize(
    "name", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
)
def test_docker_hub_has_many_names(home: Home, name: str) -> None:
    """Under each of them its account is found."""
    home.docker({"auths": {name: auth()}})
    assert home.find("docker.io", "acme/tool")


@pytest.mark.parametrize(
    "name",
    ["https://ghcr.io", "https://ghcr.io/v1/", "http://ghcr.io/v2/", "https://ghcr.io/x", "ghcr.io/", "ghcr.io/v2/"],
)
def test_a_name_written_as_an_address_counts(home: Home, name: str) -> None:
    """Old versions of Docker wrote so."""
    home.docker({"auths": {name: auth()}})
    assert home.find("ghcr.io")


def test_podman_keeps_accounts_for_parts_of_a_registry(home: Home) -> None:
    """The closest one is taken."""
    home.write(
        ".config/containers/auth.json",
        {"auths": {"ghcr.io": auth("all"), "ghcr.io/acme": auth("acme"), "ghcr.io/acme/tool/x": auth("x")}},
    )
    users = [getattr(home.find("ghcr.io", path), "user", "") for path in ("", "other", "acme", "acme/tool", "acmes")]
    assert users == ["all", "all", "acme", "acme", "all"]


def test_files_are_asked_in_order(home: Home) -> None:
    """Docker's, the one that is named for podman, that of the session, that of the home folder."""
    home.env |= {"XDG_RUNTIME_DIR": str(home.folder / "run"), "REGISTRY_AUTH_FILE": str(home.folder / "named.json")}
    files = [".config/containers/auth.json", "run/containers/auth.json", "named.json", ".docker/config.json"]
    for name in files:
        home.write(name, {"auths": {"ghcr.io": auth(name)}})
        found = home.find("ghcr.io")
        assert found
        assert found.user == name


def test_a_variable_comes_before_the_files(home: Home) -> None:
    """As in jobs of CI; a host that it does not know is looked for in the files."""
    home.docker({"auths": {"ghcr.io": auth("file"), "quay.io": auth("file")}})
    home.env["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"ghcr.io": auth("variable")}})
    assert [getattr(home.find(host), "user", "") for host in ("ghcr.io", "quay.io")] == ["variable", "file"]


def test_an_empty_file_has_no_accounts(home: Home) -> None:
    """Docker reads it so, too."""
    home.docker("")
    assert home.find("ghcr.io") is None


def test_an_entry_is_read_as_docker_reads_it(home: Home) -> None:
    """Its `auth` wins over the other fields, line breaks in it are passed over, and a password may be empty."""
    entry = auth("alice", "a long token " * 9)
    wrapped = "\r\n".join(re.findall(".{1,76}", entry["auth"]))
    home.docker({"auths": {"ghcr.io": {"auth": wrapped, "username": "bob", "password": "other"}}})
    found = home.find("ghcr.io")
    assert found
    assert (found.user, found.password) == ("alice", "a long token " * 9)
    home.docker({"auths": {"ghcr.io": {"username": "bob", "password": "other"}, "quay.io": auth("carol", "")}})
    assert [getattr(home.find(host), "user", "") for host in ("ghcr.io", "quay.io")] == ["bob", "carol"]


def test_a_registry_token_is_found(home: Home) -> None:
    """It is no password, and not shown either."""
    home.docker({"auths": {"ghcr.io": {"registrytoken": "secret"}}})
    found = home.find("ghcr.io")
    assert found
    assert found.registry_token == "secret"
    assert "secret" not in repr(found) + found.account


def test_an_identity_token_is_found(home: Home) -> None:
    """As docker login writes it where the registry gave one."""
    home.docker({"auths": {"acme.azurecr.io": {**auth("00000000", ""), "identitytoken": "token"}}})
    found = home.find("acme.azurecr.io")
    assert found
    assert (found.password, found.identity_token) == ("", "token")


@pytest.mark.parametrize("document", [{"credsStore": "safe"}, {"credHelpers": {"ghcr.io": "safe"}}])
def test_a_helper_is_asked_for_the_host(home: Home, document: dict[str, Any]) -> None:
    """Be it for all registries or for one."""
    home.docker({**document, "auths": {"ghcr.io": {}}})
    home.helper("safe", """echo '{"Username": "alice", "Secret": "of '$host'"}'""")
    assert home.find("ghcr.io") == Credentials("alice", "of ghcr.io", "", "docker-credential-safe")


def test_a_helper_knows_docker_hub_by_its_old_address(home: Home) -> None:
    """So Docker asks it."""
    home.docker({"credsStore": "safe"})
    home.helper("safe", """echo '{"Username": "alice", "Secret": "'$host'"}'""")
    found = home.find("docker.io", "acme/tool")
    assert found
    assert found.password == "https://index.docker.io/v1/"


def test_a_helper_for_one_host_is_not_asked_for_others(home: Home) -> None:
    """The store for all is."""
    home.docker({"credHelpers": {"ghcr.io": "none"}, "credsStore": "safe"})
    home.helper("safe", """echo '{"Username": "alice", "Secret": "secret"}'""")
    assert home.find("quay.io")


def test_a_helper_may_give_an_identity_token(home: Home) -> None:
    """By a user of that name."""
    home.docker({"credsStore": "safe"})
    home.helper("safe", """echo '{"Username": "<token>", "Secret": "token"}'""")
    found = home.find("acme.azurecr.io")
    assert found
    assert (found.user, found.password, found.identity_token) == ("", "", "token")
    assert "identity token" in found.account


@pytest.mark.parametrize(("name", "login"), [("gcloud", "Log in again: gcloud auth login"), ("safe", "")])
def test_googles_helper_logs_in_anew_by_gcloud(home: Home, name: str, login: str) -> None:
    """docker login can do nothing for it; of others it is not known."""
    home.docker({"credHelpers": {"europe-west6-docker.pkg.dev": name}})
    home.helper(name, """echo '{"Username": "_dcgcloud_token", "Secret": "token"}'""")
    found = home.find("europe-west6-docker.pkg.dev")
    assert found
    assert found.login == login


def test_a_helper_that_knows_nothing_is_no_failure(home: Home) -> None:
    """Other places are looked at then."""
    home.docker({"credsStore": "safe"})
    home.helper("safe", "echo credentials not found in native keychain; exit 1")
    assert home.find("ghcr.io") is None
    home.write(".config/containers/auth.json", {"auths": {"ghcr.io": auth()}})
    assert home.find("ghcr.io")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'the keyring is locked'; exit 1", "the keyring is locked"),
        ("echo 'Reauthentication failed.' >&2; exit 1", "Reauthentication failed."),
        ("exit 3", "exit code 3"),
        ("echo Welcome!", "not that of a credential helper"),
        ("echo '{}'", "not that of a credential helper"),
    ],
)
def test_a_helper_that_fails_is_told(home: Home, script: str, words: str) -> None:
    """In its own words, and not passed over for a registry's denial later."""
    file = home.docker({"credsStore": "safe", "auths": {"ghcr.io": auth()}})
    home.helper("safe", script)
    with pytest.raises(ProcessError) as caught:
        home.find("ghcr.io")
    assert words in caught.value.why
    assert "docker-credential-safe" in caught.value.doing
    assert str(file) in str(caught.value)


def test_a_helper_that_is_missing_is_told(home: Home) -> None:
    """With the file that names it."""
    file = home.docker({"credsStore": "missing"})
    with pytest.raises(ProcessError, match="docker-credential-missing") as caught:
        home.find("ghcr.io")
    assert str(file) in caught.value.hint


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        '{"auths": 1}',
        {"auths": {"ghcr.io": {"auth": "not base64!"}}},
        {"auths": {"ghcr.io": {"auth": base64.b64encode(b"hunter2").decode()}}},
        {"auths": {"ghcr.io": {"auth": base64.b64encode(b"\xff:hunter2").decode()}}},
        {"auths": {"ghcr.io": "hunter2"}},
        {"auths": {"ghcr.io": {"registrytoken": "hunter2\nX-More: 1"}}},
        {"auths": {"ghcr.io": {"registrytoken": ["hunter2"]}}},
    ],
)
def test_a_file_that_is_not_understood_is_told(home: Home, document: Any) -> None:
    """By its name, and without what is secret in it."""
    file = home.docker(document)
    with pytest.raises(SettingsError) as caught:
        home.find("ghcr.io")
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


ENTRY = {"auth": "YTpi", "username": "a", "password": "b", "identitytoken": "c", "registrytoken": "d"}


@fuzz(
    near({"auths": {"h": ENTRY, "https://h/v2/": ENTRY}, "credHelpers": {"h": "x"}, "credsStore": "y"})
    | ANY
    | texts("{}[]")
)
def test_any_configuration_has_an_account_or_is_damaged(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    """Or none, or a helper that is missing."""
    home = Home(tmp_path_factory.getbasetemp() / "fuzzed-home")
    home.docker(document)
    with suppress(SettingsError, ProcessError):
        home.find("h", "a/b")
