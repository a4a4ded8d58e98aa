"""Settings: the environment and `.env`, read once into a frozen value; all mistakes are reported at once."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass  # others get it, too: it refuses changes at run time
from pathlib import Path
from typing import Any, Literal

from bentoship.errors import SettingsError
from bentoship.settings import environment, parsers
from bentoship.settings import google as google_settings
from bentoship.settings.address import RegistryAddress
from bentoship.settings.given import PREFIX, Given
from bentoship.system.text import enumerated

NAMES = (
    "REGISTRY", "IMAGE_NAME", "IMAGE_TAGS", "ATTESTATIONS", "BACKEND", "BASE_IMAGE", "PLATFORMS", "LOAD_IMAGE",
    "LOCAL_REGISTRY_PORT",
    *google_settings.NAMES,
    "BENTO_PROJECT", "BENTOFILE", "BENTO_SERVICE", "BENTO_ARGS", "BENTO", "BUILD_ENV", "BUILD_PYTHON",
    "VERIFY_REQUEST", "VERIFY_AS_ROOT", "METRICS_LOWER", "CACHE_LIMIT", "SECRETS_ALLOWED", "RETRY_SECONDS",
    "SIGNING", "SIGNING_KEY", "SIGNING_PUBLIC_KEY", "SIGNING_IDENTITY", "SIGNING_ISSUER", "SIGSTORE_TRUST_CONFIG",
)  # fmt: skip
"""What can be set, with BENTOSHIP_ in front or without it."""

KNOWN = (*NAMES, "BENTOSHIP_DEBUG", "BENTOML_HOME", *(f"{PREFIX}{name}" for name in NAMES))
"""Every name that is read."""


@dataclass(frozen=True)
class Settings:
    """What the user has set.

    Args:
        registry: "local", "google", or another registry's address.
        image_name: the image's name in the registry; "" for the Bento's name with hyphens.
        image_tags: tags, in which {version} and {commit} stand for the Bento's version and the git commit.
        backend: how images are made, "direct" or "docker".
        base_image: "debian" or an image's name; "" for the bentofile's base, else the host's default.
        platforms: such as "linux/amd64"; several make an index of images.
        load_image: whether each image is also put into Docker's engine.
        local_registry_port: the local registry's TCP port; None for the first free one.
        verify_request: the file with verify's request, relative to the project's folder; None for model/verify.yaml.
        google: the repository in Google Artifact Registry, as far as it is set.
        warnings: sentences about what looks odd but does no harm.
        cache_limit: the bytes of layers that stay in the cache; None for no limit.
        secrets_allowed: patterns, as in .gitignore, of packed files that may hold what looks like a secret.
        cache: the folder for everything that can be made again.
        bentoml_home: BentoML's own folder.
        retry_seconds: the seconds for which a registry that fails is tried again while nothing moves; 0 for never.
        bentofile: the file that configures the build; None for what BentoML finds in the project.
        service: the service to pack, "module:Class"; "" for the one that the project names.
        bento: a Bento that is built already, by its tag or as an exported file; "" to build one.
        build_env: the names of variables that the service may read on its import, beside those that it declares.
        build_python: which Python imports the service, as of a BuildContext.
        arguments: the service's arguments (bentoml.use_arguments), as pairs of name and value.
        verify_as_root: whether verify may run an image in a chroot, as root, where nothing better works.
        metrics_lower: the metrics of which lower values are better.
        attestations: what is attached to an image: "provenance", "sbom".
        signing_key: the file with the private key that images are signed with; None for none.
        signing_public_key: the file with the public key that signatures are checked with; None for that of the former.
        signing: "keyless" to sign by an identity, with Sigstore; "" to sign with a key, if there is one.
        signing_identity: whose keyless signature is required, as a certificate names it; "" to require none.
        signing_issuer: the address of the provider that vouches for that identity.
        sigstore_trust_config: the file that says where Sigstore's services are; None for its public ones.
        summary_file: the file that GitHub Actions shows as the summary of a step; None elsewhere.
        output_file: the file that gets the outputs of the step.
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
    secrets_allowed: tuple[str, ...]
    cache: Path
    bentoml_home: Path
    retry_seconds: float = 180.0
    bentofile: Path | None = None
    service: str = ""
    bento: str = ""
    build_env: tuple[str, ...] = ()
    build_python: Literal["auto", "host", "own"] = "auto"
    arguments: tuple[tuple[str, str], ...] = ()
    verify_as_root: bool = False
    metrics_lower: tuple[str, ...] = ()
    attestations: tuple[str, ...] = ("provenance", "sbom")
    signing_key: Path | None = None
    signing_public_key: Path | None = None
    signing: Literal["", "keyless"] = ""
    signing_identity: str = ""
    signing_issuer: str = ""
    sigstore_trust_config: Path | None = None
    summary_file: Path | None = None
    output_file: Path | None = None

    @classmethod
    def load(cls, folder: Path | str) -> Settings:
        """Return the settings of a project, as `.env` and the environment have them. Raises SettingsError."""
        return load(Path(folder))

    @property
    def scratch(self) -> Path:
        """Return the folder for temporary files."""
        return self.cache / "scratch"

    @property
    def signs(self) -> bool:
        """Return whether images are to be signed."""
        return bool(self.signing_key or self.signing)


def load(folder: Path, environ: Mapping[str, str] = os.environ, *, complete: bool = True) -> Settings:
    """Read a project's settings; nothing is changed.

    Args:
        folder: the project; its `.env` may also lie in a parent (`environment.find`).
        environ: the environment, which wins over `.env`; a name with BENTOSHIP_ in front wins over one without.
        complete: whether everything that publishing needs has to be set; not for listing projects to choose from.

    Raises:
        SettingsError: at least one setting is wrong; every one is named, with its value and what is allowed.
    """
    given = Given(environ, environment.read(folder))
    read = given.read
    warnings = [f"Unknown setting {name}; did you mean {meant}?" for name, meant in given.misspelt(KNOWN)]
    registry = read("REGISTRY", "google" if given.text("GCP_PROJECT_ID") else "local", parsers.registry)
    backend = read("BACKEND", "direct", parsers.backend)
    google = google_settings.read(given, complete=complete and registry == "google")
    image_tags = read("IMAGE_TAGS", ("latest", "{version}", "{commit}"), parsers.tags)
    warnings += google_settings.warnings(google, image_tags)
    base_image = read("BASE_IMAGE", "", parsers.base_image)
    if base_image and backend == "docker":
        warnings.append("BASE_IMAGE has no effect with BACKEND=docker: set the base image of the Bento")
    platforms = read("PLATFORMS", ("linux/amd64",), parsers.platforms)
    if len(platforms) > 1 and backend == "docker":
        given.mistakes.append(
            "PLATFORMS names several, but BACKEND=docker makes an image for one; BACKEND=direct makes both"
        )
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
        secrets_allowed=read("SECRETS_ALLOWED", (), parsers.listed),
        cache=_cache(given),
        bentoml_home=folder / (_path(given, "BENTOML_HOME") or _home() / "bentoml"),
        retry_seconds=read("RETRY_SECONDS", Settings.retry_seconds, parsers.seconds),
        build_env=read("BUILD_ENV", (), parsers.variables),
        build_python=read("BUILD_PYTHON", Settings.build_python, parsers.build_python),
        **_origin(given, folder),
        verify_as_root=read("VERIFY_AS_ROOT", False, parsers.flag),
        metrics_lower=read("METRICS_LOWER", (), parsers.listed),
        attestations=read("ATTESTATIONS", Settings.attestations, parsers.attestations),
        **_signing(given, folder),
        # Not from `.env`: they are of the step that runs.
        summary_file=_file_of_step(environ, "GITHUB_STEP_SUMMARY"),
        output_file=_file_of_step(environ, "GITHUB_OUTPUT"),
    )
    # For their mistakes alone: they count before there are settings.
    read("BENTOSHIP_DEBUG", False, parsers.flag)
    read("BENTO_PROJECT", folder, parsers.folder)
    if given.mistakes:
        raise _error(folder, given)
    return settings


def project_folder(folder: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the project that the settings of a folder name; where they name none, the folder.

    Args: as of `load`, which reads the settings of that project.

    Raises: SettingsError when they name something else.
    """
    given = Given(environ, environment.read(folder))
    found = given.read("BENTO_PROJECT", folder, parsers.folder)
    if given.mistakes:
        raise _error(folder, given)
    return found


def _origin(given: Given, folder: Path) -> dict[str, Any]:
    """Return where the Bento comes from: one that is built already, or what builds one, whichever is set in the
    stronger place."""
    builders: dict[str, tuple[str, Callable[[str], Any]]] = {
        "BENTOFILE": ("bentofile", functools.partial(parsers.file_in, folder)),
        "BENTO_SERVICE": ("service", functools.partial(parsers.service, folder)),
        "BENTO_ARGS": ("arguments", parsers.arguments),
    }
    built, strongest = given.strength("BENTO"), max(map(given.strength, builders))
    if built == strongest > 0:
        others = ", ".join(given.name(name) for name in builders if given.strength(name) == built)
        why = f"names a Bento that is built already, for which {others} can have no effect"
        given.refuse("BENTO", f"{why}: leave out one or the other")
    if built > strongest:
        return {"bento": given.read("BENTO", "", functools.partial(parsers.bento, folder))}
    return {field: given.read(name, getattr(Settings, field), parse) for name, (field, parse) in builders.items()}


def _signing(given: Given, folder: Path) -> dict[str, Any]:
    """Return who signs images, and who has to have signed them: a key or an identity, not both."""
    file = functools.partial(parsers.file_in, folder)
    found = {
        "signing": given.read("SIGNING", "", parsers.signing),
        "signing_key": given.read("SIGNING_KEY", None, file),
        "signing_public_key": given.read("SIGNING_PUBLIC_KEY", None, file),
        "signing_identity": given.read("SIGNING_IDENTITY", "", parsers.identity),
        "signing_issuer": given.read("SIGNING_ISSUER", "", parsers.issuer),
        "sigstore_trust_config": given.read("SIGSTORE_TRUST_CONFIG", None, file),
    }
    if found["signing"] and found["signing_key"]:
        given.refuse("SIGNING_KEY", "has no effect with SIGNING=keyless: leave out one or the other")
    if found["signing_identity"] and found["signing_public_key"]:
        given.refuse("SIGNING_PUBLIC_KEY", "has no effect with SIGNING_IDENTITY: leave out one or the other")
    for name, other in (("SIGNING_IDENTITY", "SIGNING_ISSUER"), ("SIGNING_ISSUER", "SIGNING_IDENTITY")):
        if given.text(name) and not given.text(other):
            given.refuse(name, f"needs {other}: the same name may be somebody else's at another provider")
    return found


def _error(folder: Path, given: Given) -> SettingsError:
    """Return an error that lists all mistakes, with where the settings were read from."""
    file = environment.find(folder)
    places = [environment.shown(file, folder)] if file else []
    sources = enumerated([*places, "the environment", *(["the command line"] if given.options else [])])
    hint = "bentoship's .env.example explains each one."
    implied = given.value("GCP_PROJECT_ID") and not given.text("REGISTRY")
    if implied and any(mistake.startswith("GCP_") for mistake in given.mistakes):
        hint += f" If GCP_PROJECT_ID belongs to your app, set {PREFIX}REGISTRY: to local, or to another registry."
    return SettingsError(f"Read the settings from {sources}", "; ".join(given.mistakes), hint, mistakes=given.mistakes)


def _file_of_step(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _cache(given: Given) -> Path:
    """Return our folder among the user's caches; a relative XDG_CACHE_HOME is ignored (XDG Base Directory spec)."""
    folder = _path(given, "XDG_CACHE_HOME")
    if folder and folder.is_absolute():
        return folder / "bentoship"
    return _home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "bentoship"


def _path(given: Given, name: str) -> Path | None:
    """Return the path that a variable holds, with ~ put in; None when it is unset."""
    value = given.value(name)
    return _home() / value[1:].lstrip("/") if value == "~" or value.startswith("~/") else Path(value) if value else None


def _home() -> Path:
    """Return the user's home folder. Raises SettingsError where there is none, as in a container run as any user."""
    try:
        return Path.home()
    except RuntimeError:
        why = f"HOME is not set, and user {os.getuid()} has no entry in /etc/passwd"
        hint = "Set HOME to a folder that this user may write to, or both XDG_CACHE_HOME and BENTOML_HOME."
        raise SettingsError("Find the home folder", why, hint) from None
