"""Accounts for registries, where docker login and podman login keep them."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentoship.errors import ProcessError, SettingsError
from bentoship.image.reference import DOCKER_HUB
from bentoship.stores.docker_config import LOGINS, config_file
from bentoship.system import process

_HUB_KEY = "https://index.docker.io/v1/"
"""What Docker calls Docker Hub in its configuration."""

_TOKEN_USER = "<token>"
"""The user that a helper gives with an identity token instead of a password (docker/docker-credential-helpers)."""


@dataclass(frozen=True)
class Credentials:
    """An account at a registry; its secrets are never shown.

    Args:
        user: its name.
        password: its password, or a token that is used as one.
        identity_token: what access tokens are had for instead of by user and password; empty for none.
        source: where this was found, for people.
        login: how it logs in again, as a sentence; empty for `docker login HOST`.
        rights: who gives it the right that it lacks, in sentences; empty when that is unknown.
    """

    user: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""
    login: str = ""
    rights: str = ""

    @property
    def account(self) -> str:
        """Who this is, for people."""
        name = self.user or "the holder of an identity token"
        return f"{name} (from {self.source})" if self.source else name


def find_credentials(host: str, path: str = "", *, env: Mapping[str, str] | None = None) -> Credentials | None:
    """The account for a repository: Docker's configuration first, then podman's.

    Args:
        host: the registry's.
        path: the repository's in it; podman knows accounts for a part of a registry.
        env: the environment that says where these files are, and that credential helpers run in; ours when it is None.

    Returns: None when there is none.

    Raises:
        SettingsError: a file cannot be read or understood.
        ProcessError: a credential helper is missing or failed; that it knows no account is no failure.
    """
    # A helper is the user's own program, and reads what its vendor lets it read: it gets all of the environment.
    env = process.environment(prefixes=("",)) if env is None else env
    return next(filter(None, (_in_file(file, host, path, env) for file in _files(env))), None)


def _files(env: Mapping[str, str]) -> Iterator[Path]:
    home = Path(env.get("HOME") or "~").expanduser()
    yield config_file(env)
    if env.get("REGISTRY_AUTH_FILE"):
        yield Path(env["REGISTRY_AUTH_FILE"])
    if env.get("XDG_RUNTIME_DIR"):
        yield Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    yield Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"


def _in_file(file: Path, host: str, path: str, env: Mapping[str, str]) -> Credentials | None:
    doing = f"Read the registry accounts in {file}"
    try:
        document = json.loads(file.read_text("utf-8"))
        auths, helpers = dict(document.get("auths") or {}), dict(document.get("credHelpers") or {})
        helper = next((helpers[key] for key in _keys(host, path) if helpers.get(key)), document.get("credsStore"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(doing, error.strerror or str(error), "Make it readable.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(doing, f"it is not the JSON that docker login writes ({error})", _MEND) from error
    if helper and (found := _from_helper(str(helper), host, env, file)):
        return found
    # A key that was written as an address ("https://ghcr.io/v2/") names the host alone.
    by_host = {key.partition("://")[2].partition("/")[0]: entry for key, entry in auths.items()}
    entries = (auths.get(key) or by_host.get(key) for key in _keys(host, path))
    entry = next(filter(None, entries), None)
    return _from_entry(doing, entry, file) if entry else None


_MEND = "Mend it, or remove it and log in again."


def _keys(host: str, path: str) -> list[str]:
    """Under which names an account may be kept, the closest first (podman's containers-auth.json(5))."""
    parts = path.split("/") if path else []
    hosts = [host, _HUB_KEY, "index.docker.io", "registry-1.docker.io"] if host == DOCKER_HUB else [host]
    return ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)] + hosts


def _from_entry(doing: str, entry: Any, file: Path) -> Credentials | None:
    try:
        decoded = base64.b64decode(entry.get("auth") or "", validate=True).decode()
        user, colon, password = decoded.partition(":")
        if decoded and not colon:
            raise ValueError("auth is not USER:PASSWORD")
        user, password = entry.get("username") or user, entry.get("password") or password.strip("\0")
        token = entry.get("identitytoken") or ""
    except (ValueError, TypeError, AttributeError) as error:
        # Not the error's own words: they may quote the secret.
        raise SettingsError(doing, "an account in it is not as docker login writes them", _MEND) from error
    return Credentials(user, password, token, str(file)) if password or token else None


def _from_helper(name: str, host: str, env: Mapping[str, str], file: Path) -> Credentials | None:
    program = f"docker-credential-{name}"
    doing = f"Ask {program}, which {file} names, for the account at {host}"
    hint = f"Install or repair {program}, or remove its name from {file} and log in again."
    try:
        done = process.run([program, "get"], env=env, check=False, input=_HUB_KEY if host == DOCKER_HUB else host)
    except ProcessError as error:
        raise ProcessError(doing, error.why, hint) from error
    if done.code != 0:
        # Helpers complain on stdout; that nothing is kept is a complaint, too.
        message = " ".join((done.stdout.strip() or done.stderr.strip()).split())
        if "credentials not found" in message.lower():
            return None
        raise ProcessError(doing, message or f"exit code {done.code}", hint)
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessError(doing, "its answer is not what a credential helper answers", hint) from error
    if not secret:
        return None
    login = f"Log in again: {LOGINS[name]}" if name in LOGINS else ""
    if user == _TOKEN_USER:
        return Credentials("", "", secret, program, login)
    return Credentials(user, secret, "", program, login)
