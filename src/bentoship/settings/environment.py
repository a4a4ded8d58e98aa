"""`.env` and this process's environment: one is read, the other gets what SDKs and child processes look for there."""

import io
import os
import re
from contextlib import suppress
from pathlib import Path

from bentoship.errors import SettingsError
from bentoship.settings import parsers
from bentoship.settings.given import PREFIX, Given, is_key
from bentoship.system.documents import read_text
from bentoship.system.git import nearest
from bentoship.system.process import located

_OWN_PATHS = ("VERIFY_REQUEST", "BENTO_PROJECT", "SIGNING_KEY", "SIGNING_PUBLIC_KEY", "SIGSTORE_TRUST_CONFIG")
_PATHS = (
    "BENTOML_HOME", "GOOGLE_APPLICATION_CREDENTIALS", *_OWN_PATHS, *(f"{PREFIX}{name}" for name in _OWN_PATHS),
)  # fmt: skip
_JSON = re.compile(r'[{}"]')
_PATIENCE, _MOST_RETRIES = 180.0, 6
_UV_TIMEOUT = 30
"""The seconds that uv by itself waits for the next part of a response."""

_RESOLVER_FILE = Path("/etc/resolv.conf")


def find(folder: Path) -> Path | None:
    """Return a project's `.env`: in its folder or the nearest parent, up to the Git root; None where there is none."""
    return next(iter(nearest(folder, ".env")), None)


def read(folder: Path) -> dict[str, str]:
    """Return the names and values in a project's `.env`; nothing where there is none.

    Relative paths of files that we or SDKs read are made absolute: they start at the `.env`, wherever a task is called.

    Raises: SettingsError when it cannot be read. No value is shown, since any may be a secret.
    """
    file = find(folder)
    if not file:
        return {}
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    doing = f"Read {shown(file, folder)}"
    try:
        text = read_text(file, encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(doing, error.strerror or str(error), "It has to be a text file in UTF-8.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(doing, str(error), "It has to be a text file in UTF-8.") from error
    if "\0" in text:
        raise SettingsError(doing, "it has a NUL byte, which no variable can hold", "Remove it.")
    broken = [f"line {binding.original.line}" for binding in parse_stream(io.StringIO(text)) if binding.error]
    if broken:
        raise SettingsError(doing, f"not of the form NAME=value: {', '.join(broken)}", "Fix or remove it.")
    values = {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}
    here = file.parent.absolute()
    paths = {name: str(here / Path(values[name]).expanduser()) for name in _PATHS if names_a_file(values.get(name, ""))}
    return {**values, **located(values, lambda: here), **paths}


def names_a_file(value: str) -> bool:
    """Return whether a value can be the path of a file, and is not a key or a token that was put in its place."""
    is_text = is_key(value) or _JSON.search(value)
    return bool(value) and (not is_text or os.path.exists(value))  # noqa: PTH110  # raises for no text


def shown(file: Path, folder: Path) -> str:
    """Return a file's path from a project's folder, for messages: ".env" or "../.env"."""
    return os.path.relpath(file, folder)


def export(folder: Path) -> None:
    """Put what a project's `.env` sets into this process's environment, and how often servers are asked again.

    SDKs (DOCKER_HOST, HTTPS_PROXY, …) and child processes read it there. What the environment already has stays.

    Args:
        folder: the project.

    Raises: SettingsError when `.env` cannot be read.
    """
    for name, value in read(folder).items():
        os.environ.setdefault(name, value)
    seconds = _patience()
    os.environ.setdefault("UV_HTTP_RETRIES", str(_uv_retries(seconds)))
    if 0 < seconds < _UV_TIMEOUT:
        os.environ.setdefault("UV_HTTP_TIMEOUT", str(int(seconds)))
    # A name server that loses a question is asked again after 2 s, where 5 s is usual, and given up after 10 s, as
    # usual (man resolv.conf). With one lost packet in fifty, half of all publications would wait for one.
    if not _has_resolver_times():
        os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:5")


def _patience() -> float:
    """Return RETRY_SECONDS."""
    with suppress(ValueError):  # loading the settings reports it
        return parsers.seconds(Given(os.environ, {}).text("RETRY_SECONDS") or str(_PATIENCE))
    return _PATIENCE


def _uv_retries(patience: float) -> int:
    """Return how often uv repeats a request that fails, within some seconds.

    uv by itself gives up after four failures in a row. Where one request in five fails, that is once in 600 requests,
    as many as a few large locks take.
    """
    # An attempt to connect takes 10 s, and the pauses double from 1 s on.
    return sum(10 * (retries + 1) + 2**retries <= patience for retries in range(1, _MOST_RETRIES + 1))


def _has_resolver_times() -> bool:
    """Return whether this machine says how long to wait for a name server: RES_OPTIONS would go before that."""
    with suppress(OSError):
        return any(name in _RESOLVER_FILE.read_text("utf-8", "replace") for name in ("timeout:", "attempts:"))
    return False
