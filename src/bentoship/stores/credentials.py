"""Accounts for registries, as stored by docker login and podman login."""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from bentoship.errors import ProcessError, SettingsError
from bentoship.image.document import parse_json
from bentoship.image.reference import DOCKER_HUB
from bentoship.stores.docker_config import LOGINS, config_file
from bentoship.system import process
from bentoship.system.documents import read_text
from bentoship.system.values import dataclass

_HUB_KEY = "https://index.docker.io/v1/"
"""Docker Hub's key in Docker's configuration."""

_VARIABLE = "DOCKER_AUTH_CONFIG"
"""The variable with a configuration that Docker and GitLab's runner read before the file."""

_TOKEN_USER = "<token>"
"""The user name with which a helper returns an identity token (docker/docker-credential-helpers)."""


@dataclass(frozen=True)
class Credentials:
    """An account at a registry; its repr never shows the secrets.

    Args:
        user: the user name.
        password: the password, or a token used as one.
        identity_token: exchanged for access tokens instead of user and password; empty for none.
        source: where the account was found, for display.
        login: a sentence on how to log in again; empty for `docker login HOST`.
        rights: sentences on how to obtain a missing permission; empty when that is unknown.
        registry_token: sent to the registry as it is, instead of all others; empty for none.
    """

    user: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""
    login: str = ""
    rights: str = ""
    registry_token: str = field(default="", repr=False)

    @property
    def account(self) -> str:
        """Return the account's name and source, for display."""
        name = self.user or f"the holder of {'a registry' if self.registry_token else 'an identity'} token"
        return f"{name} (from {self.source})" if self.source else name


def is_sendable(token: object) -> bool:
    """Return whether a token can be sent as a header: it is a text of printable ASCII."""
    return isinstance(token, str) and token.isascii() and token.isprintable()


def find_credentials(host: str, path: str = "", *, env: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the account for a repository, from Docker's configuration, else from podman's.

    Args:
        host: the registry's host.
        path: the repository's path; podman supports accounts for a part of a registry.
        env: the environment that locates these files and in which credential helpers run; our own when None.

    Returns: None when there is none.

    Raises:
        SettingsError: a file cannot be read or parsed.
        ProcessError: a credential helper is missing or failed; having no account for the host is not a failure.
    """
    # A helper is the user's own program and may read any variable: it gets the whole environment.
    env = process.environment(prefixes=("",)) if env is None else env
    if env.get(_VARIABLE) and (found := _in_document(f"${_VARIABLE}", env[_VARIABLE], host, path, env)):
        return found
    return next(filter(None, (_in_file(file, host, path, env) for file in _files(env))), None)


def _files(env: Mapping[str, str]) -> Iterator[Path]:
    yield config_file(env)
    if env.get("REGISTRY_AUTH_FILE"):
        yield Path(env["REGISTRY_AUTH_FILE"])
    if env.get("XDG_RUNTIME_DIR"):
        yield Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    yield Path(env.get("XDG_CONFIG_HOME") or process.home(env) / ".config") / "containers" / "auth.json"


def _in_file(file: Path, host: str, path: str, env: Mapping[str, str]) -> Credentials | None:
    try:
        return _in_document(str(file), read_text(file), host, path, env)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = error.strerror or str(error)
        raise SettingsError(f"Read the registry accounts in {file}", why, "Make it readable.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"Read the registry accounts in {file}", "it is not UTF-8", _FIX) from error


def _in_document(source: str, text: str, host: str, path: str, env: Mapping[str, str]) -> Credentials | None:
    """Return the account in a configuration. Args: source: its name, for errors; text: its JSON."""
    doing = f"Read the registry accounts in {source}"
    try:
        document = parse_json(text) if text.strip() else {}  # Docker takes an empty file for an empty configuration
        auths, helpers = dict(document.get("auths") or {}), dict(document.get("credHelpers") or {})
        helper = next((helpers[key] for key in _keys(host, path) if helpers.get(key)), document.get("credsStore"))
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(doing, f"it is not the JSON that docker login writes ({error})", _FIX) from error
    if helper and (found := _from_helper(str(helper), host, env, source)):
        return found
    # A key written as a URL ("https://ghcr.io/v2/") stands for its host.
    by_host = {address[1] or address[2]: entry for key, entry in auths.items() if (address := _URL.fullmatch(key))}
    entries = (auths.get(key) or by_host.get(key) for key in _keys(host, path))
    entry = next(filter(None, entries), None)
    return _from_entry(doing, entry, source) if entry else None


_URL = re.compile(r"https?://([^/]+)(?:/.*)?|([^/]+)/(?:v[12]/?)?")
"""An address of a host: with a scheme, or with the path of the registry's API."""

_FIX = "Fix it, or remove it and log in again."


def _keys(host: str, path: str) -> list[str]:
    """Return the keys under which an account may be stored, most specific first (podman's containers-auth.json(5))."""
    parts = path.split("/") if path else []
    hosts = [host, _HUB_KEY, "index.docker.io", "registry-1.docker.io"] if host == DOCKER_HUB else [host]
    return ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)] + hosts


def _from_entry(doing: str, entry: Any, source: str) -> Credentials | None:
    try:
        # Docker passes over line breaks, which `base64` makes of long tokens.
        encoded = (entry.get("auth") or "").replace("\n", "").replace("\r", "")
        decoded = base64.b64decode(encoded, validate=True).decode()
        user, colon, password = decoded.partition(":")
        if decoded and not colon:
            raise ValueError("auth is not USER:PASSWORD")
        user, password = user or entry.get("username") or "", password.strip("\0") or entry.get("password") or ""
        token, registry_token = entry.get("identitytoken") or "", entry.get("registrytoken") or ""
        if not is_sendable(registry_token):
            raise ValueError("registrytoken is not a text that a header may have")
    except (ValueError, TypeError, AttributeError) as error:
        # Without the error's own text, which may quote the secret.
        raise SettingsError(doing, "it holds an account in a form that docker login does not write", _FIX) from error
    if not (user or password or token or registry_token):
        return None
    return Credentials(user, password, token, source, registry_token=registry_token)


def _from_helper(name: str, host: str, env: Mapping[str, str], source: str) -> Credentials | None:
    program = f"docker-credential-{name}"
    doing = f"Get the account for {host} from {program}, which {source} names"
    hint = f"Install or repair {program}, or remove its name from {source} and log in again."
    try:
        done = process.run([program, "get"], env=env, check=False, input=_HUB_KEY if host == DOCKER_HUB else host)
    except ProcessError as error:
        raise ProcessError(doing, error.why, hint) from error
    if done.code != 0:
        # Helpers report errors on stdout, including that there is no account.
        message = " ".join((done.stdout.strip() or done.stderr.strip()).split())
        if "credentials not found" in message.lower():
            return None
        raise ProcessError(doing, message or f"exit code {done.code}", hint)
    try:
        answer = parse_json(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessError(doing, "its output is not that of a credential helper", hint) from error
    if not secret:
        return None
    login = f"Log in again: {LOGINS[name]}" if name in LOGINS else ""
    if user == _TOKEN_USER:
        return Credentials("", "", secret, program, login)
    return Credentials(user, secret, "", program, login)
