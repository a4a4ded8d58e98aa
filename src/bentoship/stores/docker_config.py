"""Docker's configuration of registry accounts: where it is, and which credential helper it names."""

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
from bentoship.system import process
from bentoship.system.files import file_lock

LOGINS = {"gcloud": "gcloud auth login", "gcr": "docker-credential-gcr gcr-login"}
"""Google's credential helpers (gcloud's own, and the one that stands alone), and how each logs in again."""


def config_file(env: Mapping[str, str]) -> Path:
    """Where Docker keeps its accounts: $DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    home = Path(env.get("HOME") or "~").expanduser()
    return Path(env.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def installed_helper(env: Mapping[str, str]) -> str | None:
    """The credential helper for Google's registries that is on PATH, as Docker's configuration names it."""
    path = env.get("PATH", "")
    return next((name for name in LOGINS if shutil.which(f"docker-credential-{name}", path=path)), None)


def name_helper(host: str, helper: str, *, env: Mapping[str, str] | None = None) -> Path | None:
    """Have Docker ask a credential helper for the account at a registry, as `gcloud auth configure-docker` does.

    Everything else in the file stays as it is, and so do its mode, its owner, and a link that leads to it. No secret
    is written: the helper has it.

    Args:
        host: the registry's.
        helper: what follows docker-credential- in the helper's name.
        env: the environment that says where the file is; ours when it is None.

    Returns: the file when it was changed; None when it said so already.

    Raises:
        SettingsError: the file cannot be read, understood or written; it is what it was then.
    """
    file = config_file(process.environment(names=("DOCKER_CONFIG",)) if env is None else env)
    doing = f"Name docker-credential-{helper} in {file}"
    try:
        if _with(_read(file), host, helper) is None:
            return None
        # Another process may write it, too, by way of another link.
        target = file.resolve()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file_lock(target.with_name(f".{target.name}.lock")):
            content = _with(_read(target), host, helper)
            if content is None:
                return None
            _replace(target, content)
    except OSError as error:
        hint = f"Let your user write {file} and its folder, or set DOCKER_CONFIG to another one."
        raise SettingsError(doing, error.strerror or str(error), hint) from error
    except ValueError as error:
        raise SettingsError(doing, f"it is not the JSON that Docker writes ({error})", "Mend or remove it.") from error
    return file


def _read(file: Path) -> str:
    """The file's text, none being an empty one, as it is for Docker."""
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _with(text: str, host: str, helper: str) -> bytes | None:
    """A configuration that names a helper for a host; None when it does so already. Raises ValueError."""
    document = _mapping(json.loads(text) if text.strip() else {}, "the whole")
    helpers = _mapping(document.get("credHelpers") or {}, "credHelpers")
    if helpers.get(host) == helper:
        return None
    document["credHelpers"] = {**helpers, host: helper}
    first = re.match(r"\s*\{[^\S\n]*\n([ \t]+)", text)
    # Docker indents by tabs. What somebody has written in one line stays in one.
    indent = first.group(1) if first else "\t" if "\n" in text.strip() or text.strip() in {"", "{}"} else None
    end = "\n" if text.endswith("\n") else ""
    return (json.dumps(document, indent=indent, ensure_ascii=text.isascii()) + end).encode()


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object")
    return value


def _replace(file: Path, content: bytes) -> None:
    """Write a file whole and durably, with the mode and owner that it has; a new one is its user's alone."""
    # A folder may let files be replaced that are not to be written.
    old = file.stat() if file.exists() else None
    if old and not os.access(file, os.W_OK):
        raise PermissionError(None, "it is read-only")
    number, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # with mode 0600
    try:
        with os.fdopen(number, "wb") as stream:
            if old:
                with contextlib.suppress(PermissionError):  # only root may give a file away
                    os.fchown(number, old.st_uid, old.st_gid)
                os.fchmod(number, old.st_mode & 0o7777)
            stream.write(content)
            stream.flush()
            os.fsync(number)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
