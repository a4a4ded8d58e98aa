"""What an image says of its container: the program, its environment, folder and user, taken as engines take it."""

import re
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bentoship.errors import NotVerifiedError, VerifyError
from bentoship.image.manifest import variables
from bentoship.image.platforms import DEFAULT_PATH
from bentoship.system.rootfs import resolve
from bentoship.system.values import dataclass

_HIGHEST_ID = (1 << 31) - 1
"""The highest user or group that engines take."""

_LONGEST = 32 * resource.getpagesize() - 1
"""Bytes of an argument or a variable (man 2 execve, MAX_ARG_STRLEN)."""

_STARTING = "Start the image"


@dataclass(frozen=True)
class User:
    """The user as which a container's program runs."""

    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class System:
    """An unpacked image.

    Args:
        root: the folder that is its root directory.
        command: the program and its arguments.
        env: the program's whole environment.
        folder: the program's working directory.
        user: the user as which the program runs.
    """

    root: Path
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    user: User


def described(root: Path, config: Mapping[str, Any]) -> System:
    """Return what is to be started; its working directory is created if it is missing, as Docker does.

    Args:
        root: the image's files.
        config: the `config` object of the image's configuration.

    Raises:
        VerifyError: nothing can be started as it says.
        NotVerifiedError: there is no such user or group.
    """
    for field, text in _texts(config):
        if why := _flaw(text):
            raise VerifyError(_STARTING, f"its {field} {why}")
    command = (*(config.get("Entrypoint") or []), *(config.get("Cmd") or []))
    if not command or not command[0]:
        why = "it names no program: Entrypoint and Cmd are empty" if not command else "the program's name is empty"
        raise VerifyError(_STARTING, why, "Set ENTRYPOINT or CMD where the image is made.")
    user = _user(root, str(config.get("User") or ""))
    env = {"PATH": DEFAULT_PATH, "HOME": user.home, **variables(config)}
    if "" in env:
        raise VerifyError(_STARTING, "its Env has a variable without a name")  # its value may be secret
    return System(root, command, env, _working_folder(root, config.get("WorkingDir") or "/"), user)


def _texts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield all that the kernel is given, each with the name of its field; a variable's value may be secret."""
    for field in ("Entrypoint", "Cmd"):
        yield from ((field, text) for text in config.get(field) or [])
    yield from ((f"Env ({entry.partition('=')[0]!r})", entry) for entry in config.get("Env") or [])
    yield from ((field, config.get(field) or "") for field in ("WorkingDir", "User"))


def _flaw(text: str) -> str:
    """Return why a program cannot be given a text; empty when it can."""
    if "\0" in text:
        return "has a NUL byte in it"
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        return f"has {text[error.start]!r} in it, which is half a character"
    return f"has {length} bytes, and Linux takes at most {_LONGEST}" if length > _LONGEST else ""


def _working_folder(root: Path, named: str) -> str:
    """Return the working directory, which is created if it is missing. Raises VerifyError when it cannot be."""
    if not named.startswith("/"):
        raise VerifyError(_STARTING, f"its WorkingDir, {named!r}, is not absolute")
    try:
        resolve(root, named).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"its WorkingDir, {named!r}, cannot be created: {error.strerror or error}"
        raise VerifyError(_STARTING, why) from error
    return named


def _user(root: Path, named: str) -> User:
    """Return the user that an image names as NAME or ID, with an optional :GROUP, looked up in its /etc/passwd.

    Raises: NotVerifiedError when there is no such user or group.
    """
    name, _, group = named.partition(":")
    lines = _table(root, "passwd")
    entry = next((line for line in lines if name in (line[0], line[2])), None) if name else None
    uid = _id(entry[2] if entry else name or "0", named)
    gid = _id(entry[3], named) if entry else 0
    if group:
        known = next((line for line in _table(root, "group") if group in (line[0], line[2])), None)
        gid = _id(known[2] if known else group, named)
    return User(uid, gid, entry[5] if entry else "/root" if uid == 0 else "/")


def _id(text: str, named: str) -> int:
    """Return the number of a user or group. Args: text: the number; named: the user that the image names."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _HIGHEST_ID:
        why = f"its user is {named!r}, which is neither in its /etc/passwd nor a number from 0 to {_HIGHEST_ID}"
        raise NotVerifiedError("Start the image", why, "Change USER where the base image is made.")
    return int(text)


def _table(root: Path, name: str) -> list[list[str]]:
    try:
        text = resolve(root, f"etc/{name}").read_text("utf-8", "replace")
    except OSError:
        return []
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) >= (7 if name == "passwd" else 3)]
