"""What uv takes from the user: indexes, credentials, limits of versions. What decides how it works is ours to say.

A link mode, a target folder, `no-deps` or `generate-hashes`, from a variable or a file of settings, would change what
is installed, or leave nothing of it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bentoship.errors import PackagesError
from bentoship.packages.folders import file_of, folders_of, listing, named_in
from bentoship.packages.requirements import VARIABLE, variables, with_includes
from bentoship.system.documents import read_text
from bentoship.system.files import OWN, digest_of, temporary_folder
from bentoship.system.process import environment, home
from bentoship.system.urls import without_secrets

# Where packages come from, and which of them may be taken (docs.astral.sh/uv/reference/environment).
_DECIDING = frozenset({
    "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX",
    "UV_INDEX_STRATEGY", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT", "UV_PRERELEASE",
    "UV_PRERELEASE_PACKAGE", "UV_RESOLUTION", "UV_EXCLUDE_NEWER", "UV_EXCLUDE_NEWER_PACKAGE", "UV_TORCH_BACKEND",
    "UV_FORK_STRATEGY", "UV_NO_SOURCES", "UV_NO_SOURCES_PACKAGE",
})  # fmt: skip
_FILES = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT")
_INDEXES = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL")
# How they are reached: another value gives the same packages.
_REACHING = frozenset({
    "UV_CACHE_DIR", "UV_NO_CACHE", "UV_OFFLINE", "UV_KEYRING_PROVIDER", "UV_CREDENTIALS_DIR", "UV_GITHUB_TOKEN",
    "UV_INSECURE_HOST", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_TIMEOUT", "UV_HTTP_CONNECT_TIMEOUT",
    "UV_REQUEST_TIMEOUT", "UV_HTTP_RETRIES", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_BUILDS",
    "UV_CONCURRENT_INSTALLS", "UV_LOCK_TIMEOUT", "UV_S3_ENDPOINT_URL", "UV_GCS_ENDPOINT_URL", "UV_AZURE_ENDPOINT_URL",
    "UV_NO_HF_TOKEN", "UV_PYTHON", "UV_PYTHON_INSTALL_DIR",
})  # fmt: skip
_CREDENTIALS = re.compile(r"UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")
BUILDING = (
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "MAKEFLAGS", "PKG_CONFIG_PATH",
    "CMAKE_ARGS", "CMAKE_PREFIX_PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTFLAGS",
)  # fmt: skip
"""Variables by which people say how their packages are compiled."""

GIT = (
    "SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_CONFIG_GLOBAL",
)  # fmt: skip
"""Variables by which Git finds an account; only who fetches from a repository gets them."""


# The same, as files of settings call it (docs.astral.sh/uv/reference/settings), where "pip" is a table of its own.
_DECIDING_KEYS = frozenset({
    "index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "prerelease",
    "prerelease-package", "resolution", "exclude-newer", "exclude-newer-package", "torch-backend", "fork-strategy",
    "no-sources", "no-sources-package", "dependency-metadata",
})  # fmt: skip
_REACHING_KEYS = frozenset({
    "allow-insecure-host", "cache-dir", "concurrent-builds", "concurrent-downloads", "concurrent-installs",
    "http-proxy", "https-proxy", "no-proxy", "keyring-provider", "native-tls", "system-certs", "offline",
})  # fmt: skip


_FORMAT_KEYS = frozenset({"no-binary", "no-binary-package", "no-build", "no-build-package", "only-binary"})
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})


def uv_program() -> str:
    """Return the path of uv, which an environment of a service's own packages need not have."""
    from uv import find_uv_bin

    return find_uv_bin()


@contextmanager
def calling_uv(folder: Path, requirements: str = "", indexes: str = "") -> Iterator[dict[str, str]]:
    """Yield the environment for a call of uv.

    Args:
        folder: where it runs; a uv.toml or pyproject.toml there counts, none of a parent.
        requirements: what it gets to read: options in it that uv takes from its command line alone are put into the
            environment, as are variables that it names.
        indexes: those that its project names, as of `indexes.indexes_in`; those for all packages count.
    """
    given = environment(prefixes=("UV_",), names=variables(requirements))
    env = {name: value for name, value in given.items() if not name.startswith("UV_") or _is_kept(name)}
    # To lock for a Python that is not here, uv would fetch it first; any other one does as well.
    env |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    env["RUST_LOG"] = "uv_client=trace"  # what is asked, and which request has failed, for uv_waiting
    if re.search(r"(?m)^--pre$", requirements):
        env["UV_PRERELEASE"] = "allow"
    if hosts := re.findall(r"(?m)^--trusted-host[ =](\S+)", requirements):
        env["UV_INSECURE_HOST"] = " ".join(filter(None, [env.get("UV_INSECURE_HOST"), *hosts]))
    if "UV_CACHE_DIR" not in env and not env.get("HOME") and (caches := env.get("XDG_CACHE_HOME")):
        env["UV_CACHE_DIR"] = str(Path(caches, "uv"))  # without a home, uv's cache would be in the current folder
    settings = _file_settings(given, folder, _DECIDING_KEYS | _REACHING_KEYS)
    if indexes and not _chooses_files(given):
        _add_indexes(settings, indexes)
    if not settings:
        yield {**env, "UV_NO_CONFIG": "1"}
        return
    import tomli_w  # rarely needed

    with temporary_folder(None, OWN) as own:  # it may have passwords
        file = own / "uv.toml"
        file.touch(0o600)
        file.write_text(tomli_w.dumps(settings), "utf-8")
        try:
            yield {**env, "UV_CONFIG_FILE": str(file)}
        finally:
            file.unlink()


def lock_settings() -> str:
    """Return a hash over all that the environment and the user's files of settings say of what a lock gets.

    Passwords are no part of it: they change more often than what is behind them.
    """
    given = environment(prefixes=("UV_",))
    stated = [f"{name}={without_secrets(given[name])}" for name in sorted(given.keys() & _DECIDING)]
    files = [file_of(entry) for name in _FILES for entry in given.get(name, "").split()]
    included = [one for file in files if file for one in with_includes(file) if one.is_file()]
    contents = map(digest_of, included)
    settings = _file_settings(given, None, _DECIDING_KEYS)
    stated += [*contents, without_secrets(json.dumps(settings, sort_keys=True, default=str)) if settings else ""]
    stated.append(listing(_folders(given, settings)))
    return hashlib.sha256(os.fsencode("\0".join(stated))).hexdigest() if any(stated) else ""


def completed(text: str) -> str:
    """Return a text with the values of the variables that it refers to; one that is not set stays as it is."""
    known = environment(names=variables(text))
    return VARIABLE.sub(lambda match: known.get(match[1], match[0]), text)


def format_options() -> list[str]:
    """Return what the environment and the user's files of settings say of wheels and sources, as lines of requirements.

    uv reads it for its other commands, and in its table "pip" for those that are used here.
    """
    given = environment(prefixes=("UV_NO_BINARY", "UV_NO_BUILD", "UV_CONFIG_FILE", "UV_NO_CONFIG"))
    settings = _file_settings(given, None, _FORMAT_KEYS)
    pip, found = settings.get("pip", {}), []
    for option, name in (("--no-binary", "no-binary"), ("--only-binary", "no-build")):
        variable = f"UV_{name}".upper().replace("-", "_")
        packages = [*given.get(f"{variable}_PACKAGE", "").split(), *settings.get(f"{name}-package", [])]
        if given.get(variable, "").lower() in _TRUE or settings.get(name):
            packages.append(":all:")
        found += [f"{option} {package}" for package in [*packages, *pip.get(option[2:], [])]]
    return found


def local_folders(options: Iterable[str], start: Path) -> list[Path]:
    """Return the folders of this machine that packages come from.

    Args:
        options: lines of requirements, which name some beside the environment and the user's files of settings.
        start: the folder that paths in them start from.
    """
    given = environment(prefixes=("UV_",))
    return [*named_in(options, start), *_folders(given, _file_settings(given, None, _DECIDING_KEYS))]


def _folders(given: Mapping[str, str], settings: Mapping[str, Any]) -> list[Path]:
    links, indexes = given.get("UV_FIND_LINKS", "").split(","), [e for n in _INDEXES for e in given.get(n, "").split()]
    for table in (settings, settings.get("pip", {})):
        links += table.get("find-links", [])
        indexes += [*(one.get("url", "") for one in table.get("index", [])), *table.get("extra-index-url", [])]
        indexes += [table.get("index-url", "")]
    plain = [re.sub(r"^[\w.-]+=", "", entry) for entry in indexes]  # an index may have a name ("internal=/index")
    return [
        folder
        for entries, is_index in ((links, False), (plain, True))
        for entry in entries
        for folder in (folders_of(entry, Path.cwd(), is_index=is_index) if entry else ())
    ]


def _is_kept(name: str) -> bool:
    return name in _DECIDING or name in _REACHING or bool(_CREDENTIALS.fullmatch(name))


def _file_settings(env: Mapping[str, str], folder: Path | None, keys: frozenset[str]) -> dict[str, Any]:
    """Return those settings with some keys that uv would find in its files, the nearest file's first.

    Raises: PackagesError when a file of settings is not TOML.
    """
    found: dict[str, Any] = {}
    for file in _settings_files(env, folder):
        try:
            settings = _kept(_read(file), keys, file.parent)
            pip = {**settings.pop("pip", {})}
            _add(found, settings)
            if pip:
                _add(found.setdefault("pip", {}), pip)
        except (AttributeError, TypeError) as error:
            why = f"a value is not of its type ({error})"
            raise PackagesError(f"Read uv's settings in {file}", why, "Fix it, or set UV_NO_CONFIG=1.") from error
    return found


def _add(found: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add settings of a farther file: lists grow, anything else stays."""
    for key, value in more.items():
        if isinstance(value, list):
            found[key] = [*found.get(key, []), *value]
        else:
            found.setdefault(key, value)


def _chooses_files(env: Mapping[str, str]) -> bool:
    """Return whether the user says which files of settings uv reads, if any: not those of a project."""
    return bool(env.get("UV_CONFIG_FILE")) or env.get("UV_NO_CONFIG", "").lower() in _TRUE


def _add_indexes(settings: dict[str, Any], indexes: str) -> None:
    """Put a project's indexes for all packages before others; one with the same name is the same with its password."""
    import tomllib  # rarely needed

    named = tomllib.loads(indexes)["tool"]["uv"].get("index", [])
    if common := [with_password(one) for one in named if not one.get("explicit")]:
        names = {one.get("name", one.get("url")) for one in common}
        others = [one for one in settings.get("index", []) if one.get("name", one.get("url")) not in names]
        settings["index"] = [*common, *others]


def with_password(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return an index of uv's with the values of the variables that stand for its user and password."""
    return {**index, "url": completed(index["url"])} if "url" in index else dict(index)


def _settings_files(env: Mapping[str, str], folder: Path | None) -> Iterator[Path]:
    """Yield the files of settings that uv reads (docs.astral.sh/uv/concepts/configuration-files), nearest first."""
    if env.get("UV_CONFIG_FILE"):
        yield Path(env["UV_CONFIG_FILE"])
        return
    if env.get("UV_NO_CONFIG", "").lower() in _TRUE:
        return
    own = [env.get("XDG_CONFIG_HOME") or str(home(env) / ".config")]
    system = [*env.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"), "/etc"]
    near = [folder / "uv.toml", folder / "pyproject.toml"] if folder else []
    for places in (near, [Path(one, "uv", "uv.toml") for one in own], [Path(one, "uv", "uv.toml") for one in system]):
        if file := next((place for place in places if place.is_file()), None):
            yield file


def _read(file: Path) -> dict[str, Any]:
    import tomllib  # rarely needed

    try:
        content = tomllib.loads(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise PackagesError(f"Read uv's settings in {file}", str(error), "Fix it, or set UV_NO_CONFIG=1.") from error
    return content.get("tool", {}).get("uv", {}) if file.name == "pyproject.toml" else content


def _kept(settings: Mapping[str, Any], keys: frozenset[str], folder: Path) -> dict[str, Any]:
    """Return the settings with some keys; relative paths, which start at the folder of their file, made absolute."""
    kept = {key: absolute(key, value, folder) for key, value in settings.items() if key in keys}
    if pip := settings.get("pip"):
        inner = {key: absolute(key, value, folder) for key, value in pip.items() if key in keys}
        kept |= {"pip": inner} if inner else {}
    return kept


def absolute(key: str, value: Any, folder: Path) -> Any:
    """Return a setting of uv's with absolute paths.

    Args:
        key: its name.
        value: what it is set to.
        folder: the folder of its file, where relative paths start.
    """
    if key == "index":
        return [{**one, "url": absolute("index-url", one["url"], folder)} if "url" in one else one for one in value]
    if isinstance(value, list) and key in {"find-links", "extra-index-url"}:
        return [absolute(key, one, folder) for one in value]
    is_path = key in {"find-links", "extra-index-url", "index-url", "cache-dir"} and ":/" not in str(value)
    return str(folder.absolute() / value) if is_path else value
