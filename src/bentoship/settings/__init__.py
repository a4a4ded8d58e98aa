"""Settings: `.env` under the environment, read once into a frozen value, every mistake reported at once."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bentoship.errors import SettingsError
from bentoship.settings import environment, parsers
from bentoship.settings import google as google_settings
from bentoship.settings.address import RegistryAddress

D = TypeVar("D")
T = TypeVar("T")

KNOWN = (
    "REGISTRY", "IMAGE_NAME", "IMAGE_TAGS", "BACKEND", "BASE_IMAGE", "PLATFORMS", "LOAD_IMAGE",
    "LOCAL_REGISTRY_PORT",
    *google_settings.NAMES,
    "VERIFY_REQUEST", "CACHE_LIMIT", "BENTOSHIP_DEBUG", "BENTOML_HOME",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the user has set.

    Args:
        registry: "local", "google", or the address of another one.
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
        cache_limit: the bytes of layers that stay in the cache; None without a limit.
        cache: where everything is kept that can be made again.
        bentoml_home: BentoML's own folder.
    """

    registry: str | RegistryAddress
    image_name: str
    image_tags: tuple[str, ...]
    backend: str
    base_image: str
    platforms: tuple[str, ...]
    load_image: bool
    local_registry_port: int | None
    verify_request: Path | None
    google: google_settings.GoogleSettings
    warnings: tuple[str, ...]
    cache_limit: int | None
    cache: Path
    bentoml_home: Path

    @classmethod
    def load(cls, folder: Path | str) -> Settings:
        """Return the settings of a project, as `.env` and the environment have them. Raises SettingsError."""
        return load(Path(folder))

    @property
    def scratch(self) -> Path:
        """Return the folder for what is needed only meanwhile."""
        return self.cache / "scratch"


def load(folder: Path, environ: Mapping[str, str] = os.environ, *, complete: bool = True) -> Settings:
    """Read the settings of a project; nothing is changed.

    Args:
        folder: where `.env` may lie.
        environ: names and values that go before those of `.env`.
        complete: whether all has to be there that publishing needs; not for who is still looking for a project.

    Raises:
        SettingsError: naming every setting that is wrong, what was found and what is allowed.
    """
    file = environment.read(folder)
    given = {**file, **{name: value for name, value in environ.items() if value.strip()}}
    mistakes = [f"{name} is no setting; did you mean {known}?" for name, known in _misspelt(file, 0.8)]
    # The environment is full of what is none of ours, so there a likeness is a hint and no mistake.
    warnings = [f"{name} is no setting; did you mean {known}?" for name, known in _misspelt(environ, 0.9)]

    def read(name: str, default: D, parse: Callable[[str], T]) -> D | T:
        text = given.get(name, "").strip()
        try:
            return parse(text) if text else default
        except ValueError as error:
            shown = re.sub(r"//[^/@]*@", "//…@", text)  # nobody's password
            mistakes.append(f"{name} is {shown!r}, but has to be {error}")
            return default

    registry = read("REGISTRY", "google" if given.get("GCP_PROJECT_ID", "").strip() else "local", parsers.registry)
    backend = read("BACKEND", "direct", parsers.backend)
    google = google_settings.read(given, mistakes, complete=complete and registry == "google")
    image_tags = read("IMAGE_TAGS", ("latest", "{version}", "{commit}"), parsers.tags)
    warnings += google_settings.warnings(google, image_tags)
    base_image = read("BASE_IMAGE", "", parsers.base_image)
    if base_image and backend == "docker":
        warnings.append("BASE_IMAGE has no effect with BACKEND=docker: set docker.base_image in bentofile.yaml")
    platforms = read("PLATFORMS", ("linux/amd64",), parsers.platforms)
    if len(platforms) > 1 and backend == "docker":
        mistakes.append("PLATFORMS names several, but BACKEND=docker makes an image for one; BACKEND=direct makes both")
    settings = Settings(
        registry=registry,
        image_name=read("IMAGE_NAME", "", parsers.image_name),
        image_tags=image_tags,
        backend=backend,
        base_image=base_image,
        platforms=platforms,
        load_image=read("LOAD_IMAGE", False, parsers.flag),
        local_registry_port=read("LOCAL_REGISTRY_PORT", None, parsers.port),
        verify_request=read("VERIFY_REQUEST", None, Path),
        google=google,
        warnings=tuple(warnings),
        cache_limit=read("CACHE_LIMIT", 20_000_000_000, parsers.size_limit),
        cache=_cache(given),
        bentoml_home=folder / Path(given.get("BENTOML_HOME") or Path.home() / "bentoml").expanduser(),
    )
    read("BENTOSHIP_DEBUG", False, parsers.flag)  # for its mistake alone: it counts before there are settings
    if mistakes:
        sources = ".env and the environment" if file else "the environment"
        raise SettingsError(
            f"Read the settings from {sources}",
            "; ".join(mistakes),
            "`.env.example` explains each one.",
            mistakes=mistakes,
        )
    return settings


def _misspelt(names: Iterable[str], likeness: float) -> list[tuple[str, str]]:
    """Names that are nearly those of settings, with what was meant."""
    unknown = sorted(set(names) - {*KNOWN})
    near = ((name, difflib.get_close_matches(name.upper(), KNOWN, 1, likeness)) for name in unknown)
    return [(name, match[0]) for name, match in near if match]


def _cache(given: Mapping[str, str]) -> Path:
    """The user's cache folder, where the system has it; a relative one does not count (XDG Base Directory spec)."""
    folder = Path(given.get("XDG_CACHE_HOME", "")).expanduser()
    if folder.is_absolute():
        return folder / "bentoship"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "bentoship"
