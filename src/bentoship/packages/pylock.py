"""Locks in the standard form (PEP 751, pylock.toml), read as requirements."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bentoship.packages.requirements import canonical_name, hashed
from bentoship.system.documents import read_text
from bentoship.system.text import flaw
from bentoship.system.urls import without_secrets

PUBLIC = re.compile(r"https://pypi\.org/simple")
"""The index that is any other one where the user's settings of uv say so."""


def requirements_in(pylock: Path) -> list[str]:
    """Return a lock as requirement lines. Raises ValueError when it says something that these cannot, or OSError."""
    return [_line(package, pylock.parent) for package in _packages(pylock)]


def sources_in(pylock: Path) -> tuple[dict[str, list[dict[str, str]]], dict[str, str]]:
    """Return the indexes of a lock's packages as `tool.uv.sources` has them, and the address of each by its name.

    Raises: as `requirements_in`.
    """
    sources: dict[str, list[dict[str, str]]] = {}
    names: dict[str, str] = {}
    for package in _packages(pylock):
        address = str(package.get("index", "")).rstrip("/")
        if not address or PUBLIC.fullmatch(address):
            continue
        name = names.setdefault(address, f"pylock-{hashlib.sha256(without_secrets(address).encode()).hexdigest()[:12]}")
        marker = {"marker": package["marker"]} if "marker" in package else {}
        sources.setdefault(canonical_name(package["name"]), []).append({"index": name, **marker})
    # A package may be there more than once, for systems that exclude each other.
    return sources, {name: address for address, name in names.items()}


def _packages(pylock: Path) -> list[Mapping[str, Any]]:
    try:
        packages: list[Mapping[str, Any]] = tomllib.loads(read_text(pylock))["packages"]
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is not TOML: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError("it has no packages") from error
    return packages


def _line(package: Mapping[str, Any], folder: Path) -> str:
    try:
        required, digests = _required(package, folder), tuple(_digests(package))
        marker = str(package.get("marker", ""))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"a package has another form: {flaw(error)}") from error
    if re.search(r"\b(extras|dependency_groups)\b", marker):
        why = f"{package['name']} is for an extra or a group alone, which a Bento has none of"
        raise ValueError(f"{why}; leave those out: `uv export --no-dev --format pylock.toml`")
    return hashed(f"{required} ; {marker}" if marker else required, digests)


def _required(package: Mapping[str, Any], folder: Path) -> str:
    name = str(package["name"])
    if vcs := package.get("vcs"):
        address = vcs.get("url") or (folder / vcs["path"]).resolve().as_uri()
        return f"{name} @ {vcs['type']}+{address}@{vcs['commit-id']}{_part(vcs)}"
    if directory := package.get("directory"):
        return f"{name} @ {Path(os.path.normpath(folder / directory['path'])).as_uri()}{_part(directory)}"
    if archive := package.get("archive"):
        return f"{name} @ {archive.get('url') or (folder / archive['path']).resolve().as_uri()}{_part(archive)}"
    return f"{name}=={package['version']}"


def _part(source: Mapping[str, Any]) -> str:
    """Return which folder of a source is meant, as a fragment of its address."""
    return f"#subdirectory={source['subdirectory']}" if "subdirectory" in source else ""


def _digests(package: Mapping[str, Any]) -> Iterator[str]:
    for file in (*package.get("wheels", ()), package.get("sdist", {}), package.get("archive", {})):
        yield from (f"{name}:{digest}" for name, digest in file.get("hashes", {}).items() if name == "sha256")
