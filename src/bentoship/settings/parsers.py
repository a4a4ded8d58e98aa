"""Parsers of the settings' values. Each raises ValueError with what is allowed, as in "has to be …"."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from bentoship.errors import InvalidReferenceError
from bentoship.image.platforms import ARCHITECTURES
from bentoship.image.reference import ImageReference
from bentoship.settings.address import RegistryAddress
from bentoship.system.modules import has_service

_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_SERVICE = re.compile(r"[\w./-]+(?::\w+)?")
_TAG_OF_BENTO = re.compile(r"(?!.*\.bento$)[\w.-]+(?::[\w.-]+)?")
_TAG = re.compile(r"^(\{version\}|\{commit\}|[A-Za-z0-9_])([A-Za-z0-9_.-]|\{version\}|\{commit\}){0,127}$")
_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{kind}": base**power
    for power, prefix in enumerate("KMGT", 1)
    for kind, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def registry(text: str) -> str | RegistryAddress:
    """Return "local", "google", or the address of another registry."""
    try:
        return text if text in {"local", "google"} else RegistryAddress.parse(text)
    except InvalidReferenceError:
        allowed = "local, google, or a registry's host and path such as ghcr.io/acme (http:// in front: without TLS)"
        raise ValueError(allowed) from None


def image_name(text: str) -> str:
    """Return an image's name, which follows the registry's path."""
    if not re.fullmatch(rf"{_PATH}(/{_PATH})*", text):
        raise ValueError("lower-case letters and digits with single . _ - between them, in parts separated by /")
    return text


def tags(text: str) -> tuple[str, ...]:
    """Return tags, which may contain {version} and {commit}."""
    names = listed(text)
    if not names or not all(map(_TAG.match, names)):
        raise ValueError("tags separated by commas, of letters, digits, . _ - and {version} or {commit}")
    return names


def base_image(text: str) -> str:
    """Return "debian" or the name of an image."""
    try:
        return text if text == "debian" else str(ImageReference.parse(text)) and text
    except InvalidReferenceError:
        raise ValueError("debian, or the name of an image such as python:3.11-slim") from None


def platforms(text: str) -> tuple[str, ...]:
    """Return the platforms to build images for."""
    names = listed(text)
    if not names or not set(names) <= set(ARCHITECTURES):
        raise ValueError(f"{' or '.join(ARCHITECTURES)}, or both separated by a comma")
    return names


def size_limit(text: str) -> int | None:
    """Return a limit in bytes: "500 MB", "20GB", "1.5 GiB", "1000000"; None for no limit, "off" or "0"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", "0" if text.lower() == "off" else text)
    if not found or found[2].upper() not in _UNITS:
        raise ValueError("a size such as 500 MB or 20 GB, or off")
    return round(float(found[1]) * _UNITS[found[2].upper()]) or None


def port(text: str) -> int:
    """Return a TCP port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError("a port from 1 to 65535")
    return int(text)


def seconds(text: str) -> float:
    """Return a number of seconds."""
    if not text.isdecimal():
        raise ValueError("a number of seconds such as 180; 0 for never")
    return float(text)


def flag(text: str) -> bool:
    """Return whether something is on: 1, true, yes or on; 0, false, no or off."""
    if text.lower() not in _FLAGS:
        raise ValueError("1 or 0")
    return _FLAGS[text.lower()]


def backend(text: str) -> str:
    """Return how images are made: "direct" or "docker"."""
    if text not in {"direct", "docker"}:
        raise ValueError("direct or docker")
    return text


def build_python(text: str) -> Literal["auto", "host", "own"]:
    """Return which Python imports the service: "auto", "host" or "own"."""
    if text not in {"auto", "host", "own"}:
        raise ValueError("auto, host or own")
    return text  # type: ignore[return-value]  # it is one of them


def attestations(text: str) -> tuple[str, ...]:
    """Return what is attached to an image: "provenance", "sbom", both, or none."""
    names = listed(text)
    if names == ("none",):
        return ()
    if not names or not set(names) <= {"provenance", "sbom"}:
        raise ValueError("provenance or sbom, both separated by a comma, or none")
    return tuple(sorted(set(names)))


def signing(text: str) -> Literal["keyless"]:
    """Return how images are signed where it is not with a key."""
    if text != "keyless":
        raise ValueError("keyless; to sign with a key, set SIGNING_KEY")
    return "keyless"


def identity(text: str) -> str:
    """Return who signs, as certificates have it: an address, or a user's name at a domain (sigstore/fulcio, docs)."""
    if not re.fullmatch(r"\S+(@|://|!)\S+", text):
        raise ValueError("an email address, or the address of a workflow, as `publish` prints it")
    return text


def issuer(text: str) -> str:
    """Return the address of an OpenID provider, as certificates have it."""
    if not text.startswith(("https://", "http://")):
        raise ValueError("an address such as https://token.actions.githubusercontent.com")
    return text


def file_in(folder: Path, text: str) -> Path:
    """Return the path of a file that exists. Args: folder: where a relative path starts."""
    with suppress(RuntimeError):  # a user who is not there
        if os.path.isfile(file := folder / Path(text).expanduser()):  # noqa: PTH113  # raises for a long text
            return file
    raise ValueError("a file that exists")


def folder(text: str) -> Path:
    """Return the path of a folder that exists; a relative one starts at the current folder."""
    if not Path(text).is_dir():
        raise ValueError("a folder that exists")
    return Path(text)


def service(folder: Path, text: str) -> str:
    """Return the name of a service, "module:Class", or of its module or file alone.

    Args:
        folder: the project, where BentoML looks for it.
        text: the name.
    """
    if not _SERVICE.fullmatch(text):
        raise ValueError("module:Class, such as service:Classifier")
    if not has_service(folder, text):
        hint = "such as service:Classifier; --bento publishes a Bento that is built already"
        raise ValueError(f"module:Class with a module of the project, {hint}")
    return text


def bento(folder: Path, text: str) -> str:
    """Return the tag of a Bento, or the path of an exported one. Args: folder: where a relative path starts."""
    if not _TAG_OF_BENTO.fullmatch(text) and not (folder / text).is_file():
        raise ValueError("the tag of a Bento such as name:version, or the path of an exported one that exists")
    return text


def arguments(text: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of name and value: "size=small,count=3"."""
    pairs = [part.partition("=") for part in listed(text)]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise ValueError("name=value, or several separated by commas")
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)


def variables(text: str) -> tuple[str, ...]:
    """Return names of environment variables."""
    names = listed(text)
    if not names or not all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names):
        raise ValueError("names of variables, of A-Z, a-z, 0-9 and _, separated by commas")
    return names


def listed(text: str) -> tuple[str, ...]:
    """Return the parts between commas, stripped, without empty ones and duplicates."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
