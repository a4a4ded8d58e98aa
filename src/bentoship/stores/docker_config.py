"""Docker's configuration file: where it is, and which credential helpers it names."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoship.errors import SettingsError
from bentoship.image.document import parse_json
from bentoship.system import process
from bentoship.system.documents import read_text
from bentoship.system.files import file_lock

LOGINS = {"gcloud": "gcloud auth login", "gcr": "docker-credential-gcr gcr-login"}
"""Google's credential helpers (gcloud's and the standalone one), with the command that logs in to each."""


def config_file(env: Mapping[str, str]) -> Path:
    """Return the path of Docker's configuration: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    return Path(env.get("DOCKER_CONFIG") or process.home(env) / ".docker") / "config.json"


def installed_helper(env: Mapping[str, str]) -> str | None:
    """Return the name of the credential helper for Google's registries on PATH; None when there is none."""
    path = env.get("PATH", "")
    return next((name for name in LOGINS if shutil.which(f"docker-credential-{name}", path=path)), None)


def name_helper(host: str, helper: str, *, env: Mapping[str, str] | None = None) -> Path | None:
    """Configure Docker to use a credential helper for a registry, as `gcloud auth configure-docker` does.

    The rest of the file, its mode, its owner and a symbolic link to it are preserved. No secret is written: the helper
    keeps it.

    Args:
        host: the registry's host.
        helper: what follows docker-credential- in the helper's name.
        env: the environment that locates the file; our own when None.

    Returns: the file when it was changed; None when it already named the helper.

    Raises:
        SettingsError: the file cannot be read, parsed or written; it is left unchanged.
    """
    file = config_file(process.environment(names=("DOCKER_CONFIG",)) if env is None else env)
    doing = f"Name docker-credential-{helper} in {file}"
    try:
        if _with(_read(file), host, helper) is None:
            return None
        # Another process may write the same file through another link.
        target = file.resolve()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(target.with_name(f".{target.name}.lock")):
            content = _with(_read(target), host, helper)
            if content is None:
                return None
            _replace(target, content)
    except OSError as error:
        hint = f"Make {file} and its folder writable, or set DOCKER_CONFIG to another folder."
        raise SettingsError(doing, error.strerror or str(error), hint) from error
    except ValueError as error:
        raise SettingsError(doing, f"it is not the JSON that Docker writes ({error})", "Fix or remove it.") from error
    return file


def _read(file: Path) -> str:
    """Return the file's text; empty when there is no file, which Docker treats alike."""
    try:
        return read_text(file)
    except FileNotFoundError:
        return ""


def _with(text: str, host: str, helper: str) -> bytes | None:
    """Return a configuration with the helper added for the host; None when it is there already. Raises ValueError."""
    document = _mapping(parse_json(text) if text.strip() else {}, "the document")
    helpers = _mapping(document.get("credHelpers") or {}, "credHelpers")
    if helpers.get(host) == helper:
        return None
    document["credHelpers"] = {**helpers, host: helper}
    first = re.match(r"\s*\{[^\S\n]*\n([ \t]+)", text)
    # Docker indents with tabs. A file written on one line stays on one line.
    indent = first.group(1) if first else "\t" if "\n" in text.strip() or text.strip() in {"", "{}"} else None
    end = "\n" if text.endswith("\n") else ""
    return (json.dumps(document, indent=indent, ensure_ascii=text.isascii()) + end).encode()


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not an object")
    return value


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically and durably, keeping its mode and owner; a new file is private to the user."""
    # A writable folder allows a read-only file to be replaced.
    old = file.stat() if file.exists() else None
    if old and not os.access(file, os.W_OK):
        raise PermissionError(None, "it is read-only")
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # with mode 0600
    try:
        with os.fdopen(number, "wb") as stream:
            if old:
                with contextlib.suppress(PermissionError):  # only root may change the owner
                    os.fchown(number, old.st_uid, old.st_gid)
                os.fchmod(number, old.st_mode & 0o7777)
            stream.write(content)
            stream.flush()
            os.fsync(number)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
