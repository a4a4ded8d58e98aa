"""Settings: `.env` under the environment, read once into a frozen value, every mistake reported at once."""

from __future__ import annotations

import difflib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bentoship.errors import InvalidReferenceError, SettingsError
from bentoship.image.reference import ImageReference
from bentoship.settings import google as google_settings
from bentoship.settings import sizes
from bentoship.settings.google import GoogleSettings

T = TypeVar("T")

BACKENDS = ("direct", "docker")
PLATFORMS = ("linux/amd64", "linux/arm64")
DEFAULT_PLATFORMS: tuple[str, ...] = ("linux/amd64",)
DEFAULT_TAGS: tuple[str, ...] = ("latest", "{version}", "{commit}")
DEFAULT_CACHE_LIMIT: int | None = 20_000_000_000

_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = re.compile(r"^(\{version\}|\{commit\}|[A-Za-z0-9_])([A-Za-z0-9_.-]|\{version\}|\{commit\}){0,127}$")


@dataclass(frozen=True)
class Settings:
    """What the user has set.

    Args:
        registry: "local", "google", or a host and path such as "ghcr.io/acme".
        repository: the host and path below which images go; empty for the local registry.
        image_name: the image's name below that; empty for the Bento's own name with hyphens.
        image_tags: tags, in which {version} and {commit} stand for the Bento's version and the git commit.
        backend: how images are made.
        base_image: "debian" or the name of an image; empty for what the bentofile says, else the host's default.
        platforms: such as "linux/amd64"; several make an index of images.
        load_image: whether an image that is made is put into Docker's engine, too.
        local_registry_port: a port; None for the first free one.
        verify_request: the file with the request that verify sends, from the project's folder; None for the usual one.
        google: the repository in Google Artifact Registry, as far as it is set.
        warnings: what looks odd, but does no harm.
        debug: whether to show tracebacks and children's output.
        cache_limit: the bytes of layers that stay in the cache; None without a limit.
        cache: where everything is kept that can be made again.
        bentoml_home: BentoML's own folder.
    """

    registry: str
    repository: str
    image_name: str
    image_tags: tuple[str, ...]
    backend: str
    base_image: str
    platforms: tuple[str, ...]
    load_image: bool
    local_registry_port: int | None
    verify_request: Path | None
    google: GoogleSettings
    warnings: tuple[str, ...]
    debug: bool
    cache_limit: int | None
    cache: Path
    bentoml_home: Path


# A name server that loses a question is asked again after 2 s, where 5 s is usual, and given up after 10 s, as usual
# (man resolv.conf). With one lost packet in fifty, half of all publications would wait for one.
_RESOLVER = "timeout:2 attempts:5"
_RESOLVER_FILE = Path("/etc/resolv.conf")


def load(folder: Path, environ: Mapping[str, str] | None = None, *, complete: bool = True) -> Settings:
    """Read the settings of a project.

    What `.env` holds and the environment does not is put into the environment, so that SDKs that read names of their
    own (DOCKER_HOST, HTTPS_PROXY, …) find it, too.

    Args:
        folder: where `.env` may lie.
        environ: in place of this process's environment, which then stays as it is.
        complete: whether all has to be there that publishing needs; not for who is still looking for a project.

    Raises:
        SettingsError: naming every setting that is wrong, what was found and what is allowed.
    """
    file = _read(folder / ".env")
    if environ is None:
        for name, value in file.items():
            os.environ.setdefault(name, str(folder / Path(value).expanduser()) if name in _FILES and value else value)
        if not _has_resolver_times():
            os.environ.setdefault("RES_OPTIONS", _RESOLVER)
        environ = os.environ
    given = {**file, **{name: value for name, value in environ.items() if value.strip()}}
    mistakes = [f"{name} is no setting; did you mean {known}?" for name, known in _misspelt(file, 0.8)]
    # The environment is full of what is none of ours, so there a likeness is a hint and no mistake.
    warnings = [f"{name} is no setting; did you mean {known}?" for name, known in _misspelt(environ, 0.9)]

    def read(name: str, default: T, parse: Callable[[str], T]) -> T:
        text = given.get(name, "").strip()
        try:
            return parse(text) if text else default
        except ValueError as error:
            shown = re.sub(r"//[^/@]*@", "//…@", text)  # nobody's password
            mistakes.append(f"{name} is {shown!r}, but has to be {error}")
            return default

    registry = read("REGISTRY", "google" if given.get("GCP_PROJECT_ID", "").strip() else "local", _registry)
    backend = read("BACKEND", "direct", _one_of(BACKENDS))
    google = google_settings.read(given, mistakes, complete=complete and registry == "google")
    image_tags = read("IMAGE_TAGS", DEFAULT_TAGS, _tags)
    warnings += google_settings.warnings(google, image_tags)
    base_image = read("BASE_IMAGE", "", _base_image)
    if base_image and backend == "docker":
        warnings.append("BASE_IMAGE has no effect with BACKEND=docker: set docker.base_image in bentofile.yaml")
    platforms = read("PLATFORMS", DEFAULT_PLATFORMS, _platforms)
    if len(platforms) > 1 and backend == "docker":
        mistakes.append("PLATFORMS names several, but BACKEND=docker makes an image for one; BACKEND=direct makes both")
    settings = Settings(
        registry=registry,
        repository={"local": "", "google": google.host}.get(registry, registry),
        image_name=read("IMAGE_NAME", "", _image_name),
        image_tags=image_tags,
        backend=backend,
        base_image=base_image,
        platforms=platforms,
        load_image=read("LOAD_IMAGE", False, _flag),
        local_registry_port=read("LOCAL_REGISTRY_PORT", None, _port),
        verify_request=read("VERIFY_REQUEST", None, Path),
        google=google,
        warnings=tuple(warnings),
        debug=read("BENTOSHIP_DEBUG", False, _flag),
        cache_limit=read("CACHE_LIMIT", DEFAULT_CACHE_LIMIT, sizes.limit),
        cache=_cache(given),
        bentoml_home=folder / Path(given.get("BENTOML_HOME") or Path.home() / "bentoml").expanduser(),
    )
    if mistakes:
        where = ".env and the environment" if file else "the environment"
        why, hint = "; ".join(mistakes), "`.env.example` explains each one."
        raise SettingsError(f"Read the settings from {where}", why, hint, mistakes=mistakes)
    return settings


KNOWN = (
    "REGISTRY", "IMAGE_NAME", "IMAGE_TAGS", "BACKEND", "BASE_IMAGE", "PLATFORMS", "LOAD_IMAGE",
    "LOCAL_REGISTRY_PORT",
    *google_settings.NAMES,
    "VERIFY_REQUEST", "CACHE_LIMIT", "BENTOSHIP_DEBUG", "BENTOML_HOME",
)  # fmt: skip

_FILES = ("GOOGLE_APPLICATION_CREDENTIALS",)
"""What names a file; in .env, from the project's folder, wherever a task is called."""


def _has_resolver_times() -> bool:
    """Whether this machine's settings say how long to wait for a name server: RES_OPTIONS would go before them."""
    with suppress(OSError):
        return any(name in _RESOLVER_FILE.read_text("utf-8", "replace") for name in ("timeout:", "attempts:"))
    return False


def _read(file: Path) -> dict[str, str]:
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


def _misspelt(names: Iterable[str], likeness: float) -> list[tuple[str, str]]:
    """Names that are nearly those of settings, with what was meant."""
    unknown = sorted(set(names) - {*KNOWN})
    near = ((name, difflib.get_close_matches(name.upper(), KNOWN, 1, likeness)) for name in unknown)
    return [(name, match[0]) for name, match in near if match]


def _registry(text: str) -> str:
    if text in {"local", "google"}:
        return text
    try:
        name = re.sub(r"^https?://", "", text).rstrip("/")
        if "/" not in name and not re.search(r"[.:]|^localhost$", name):
            raise ValueError
        ImageReference.parse(f"{name}/image")
    except (ValueError, InvalidReferenceError):
        allowed = "local, google, or a registry's host and path such as ghcr.io/acme (http:// before it: without TLS)"
        raise ValueError(allowed) from None
    return text.rstrip("/")


def _image_name(text: str) -> str:
    if not re.fullmatch(rf"{_PATH}(/{_PATH})*", text):
        raise ValueError("lower-case letters, digits and single . _ - between them; slashes part it")
    return text


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not tags or not all(map(_TAG.match, tags)):
        raise ValueError("tags with commas between, of letters, digits and . _ -, {version} or {commit}")
    return tags


def _base_image(text: str) -> str:
    try:
        return text if text == "debian" else str(ImageReference.parse(text)) and text
    except InvalidReferenceError:
        raise ValueError("debian, or the name of an image such as python:3.11-slim") from None


def _platforms(text: str) -> tuple[str, ...]:
    platforms = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not platforms or not set(platforms) <= set(PLATFORMS):
        raise ValueError(f"{' or '.join(PLATFORMS)}, or both with a comma between")
    return platforms


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError("a port from 1 to 65535")
    return int(text)


def _flag(text: str) -> bool:
    values = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in values:
        raise ValueError("1 or 0")
    return values[text.lower()]


def _one_of(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(" or ".join(allowed))
        return text

    return parse


def _cache(given: Mapping[str, str]) -> Path:
    """The user's cache folder, where the system has it; a relative one does not count (XDG Base Directory spec)."""
    folder = Path(given.get("XDG_CACHE_HOME", "")).expanduser()
    if folder.is_absolute():
        return folder / "bentoship"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "bentoship"
