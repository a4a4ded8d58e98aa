"""`.env` and this process's environment: the one is read, the other gets what SDKs and children look for there."""

import io
import os
from contextlib import suppress
from pathlib import Path

from bentoship.errors import SettingsError

_RESOLVER_FILE = Path("/etc/resolv.conf")


def read(folder: Path) -> dict[str, str]:
    """Return what a project's `.env` sets; nothing where there is none. Raises SettingsError."""
    file = folder / ".env"
    if not file.is_file():
        return {}
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Read {file.name}", str(error), "It has to be a text file in UTF-8.") from error
    broken = [binding.original for binding in parse_stream(io.StringIO(text)) if binding.error]
    if broken:
        lines = ", ".join(f"line {original.line}: {original.string.strip()[:40]!r}" for original in broken)
        raise SettingsError(f"Read {file.name}", f"not of the form NAME=value: {lines}", "Mend or remove it.")
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def export(folder: Path) -> None:
    """Put what a project's `.env` sets into this process's environment, and how name servers are asked.

    SDKs (DOCKER_HOST, HTTPS_PROXY, …) and children find it there; what the environment has already stays as it is.

    Args:
        folder: where `.env` may lie.

    Raises: SettingsError.
    """
    for name, value in read(folder).items():
        if value and name == "GOOGLE_APPLICATION_CREDENTIALS":
            value = str(folder / Path(value).expanduser())  # from the project's folder, wherever a task is called
        os.environ.setdefault(name, value)
    # A name server that loses a question is asked again after 2 s, where 5 s is usual, and given up after 10 s, as
    # usual (man resolv.conf). With one lost packet in fifty, half of all publications would wait for one.
    if not _has_resolver_times():
        os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:5")


def _has_resolver_times() -> bool:
    """Return whether this machine says how long to wait for a name server: RES_OPTIONS would go before that."""
    with suppress(OSError):
        return any(name in _RESOLVER_FILE.read_text("utf-8", "replace") for name in ("timeout:", "attempts:"))
    return False
