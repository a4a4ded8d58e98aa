"""A package that was made for an image: found again by what it was made of."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.image.layer import Layer
from bentoship.layers.cache import LayerCache, from_record, to_record
from bentoship.layers.segments import Segment, write_segment
from bentoship.packages.folders import states_of
from bentoship.packages.indexes import indexes_of
from bentoship.packages.install import options_for_uv
from bentoship.packages.installed import Distribution
from bentoship.packages.licenses import license_of
from bentoship.packages.requirements import built_names, canonical_name, local_file, paths_start
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import local_folders, lock_settings
from bentoship.system import records
from bentoship.system.files import digest_of
from bentoship.system.records import key_of
from bentoship.system.urls import without_secrets

if TYPE_CHECKING:
    from bentoship.layers.bytecode import Interpreter

# Of folders of this machine, what they hold counts, not that they are named.
_FROM = re.compile(r"(--index-url|-i|--extra-index-url|--no-index)\b|(--find-links|-f)[ =]+https?:")

# Increase it when the same packages give other layers, or more is kept of them, so that existing ones are rebuilt.
RECIPE = "6"

HEAVY = 6_000_000
"""Bytes; a package that weighs more, with its byte-code, gets a layer of its own."""

_GROWTH = 4
"""A wheel becomes three to five times as large when it is unpacked and compiled."""


@dataclass(frozen=True)
class Package:
    """A package of a lock: as a layer of its own or as a segment of one; neither when it installs nothing.

    Args:
        name: as the package calls itself.
        version: its own.
        size: its files together, with their byte-code, in bytes.
        paths: its files in the image.
        license: as it states that itself; empty when it does not.
    """

    name: str
    version: str
    size: int
    paths: frozenset[str] = field(default=frozenset(), repr=False)
    layer: Layer | None = None
    segment: Segment | None = None
    license: str = ""

    @property
    def shares_layer(self) -> bool:
        """Return whether it is too light for a layer of its own."""
        return self.segment is not None


@dataclass(frozen=True)
class PackageEstimate:
    """A package that is yet to be made.

    Args:
        line: of the lock.
        name: canonical.
        weight: the bytes of its wheel.
    """

    line: str
    name: str
    weight: int
    version: str = ""
    paths: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Return about how many bytes its files will have together, with their byte-code."""
        return _GROWTH * self.weight

    @property
    def shares_layer(self) -> bool:
        """Return whether it will be too light for a layer of its own."""
        return self.size < HEAVY


@dataclass(frozen=True)
class Job:
    """What packages are installed for, and with what.

    Args:
        bento: the Bento's folder: what its lock names by path, and where it says packages are downloaded.
        below: the diff ids of the base, whose Python makes the byte-code.
        compiler: returns a Python that compiles as the base's own does, or raises BaseImageError.
        target: what they have to run on.
        cache: keeps what is made.
    """

    bento: Path
    below: Sequence[str]
    compiler: Callable[[], Interpreter]
    target: Target
    cache: LayerCache

    @property
    def folder(self) -> Path:
        """Return where packages are kept."""
        return self.cache.folder / "packages"

    def key(self, *lines: str) -> str:
        """Return the key of what is made of lines of a lock.

        The base is part of it, as its Python makes the byte-code, and so are the indexes: each may have another package
        by the same name and version.
        """
        paths = (local_file(line, paths_start(self.bento)) for line in lines)
        files = [digest_of(path) for path in paths if path]
        files += ["built" for line in lines if canonical_name(line) in self._built and "@" not in line]
        files += [state for line in lines for state in states_of(line, self._folders)]
        return key_of("packages", RECIPE, str(self.target), *self.below, *lines, *files, *self._indexes)

    @functools.cached_property
    def _options(self) -> list[str]:
        return options_for_uv(self.bento)

    @functools.cached_property
    def _indexes(self) -> list[str]:
        """Return what says where its packages come from, without passwords."""
        options = sorted(filter(_FROM.match, map(without_secrets, self._options)))
        return [*options, lock_settings(), *filter(None, [indexes_of(self.bento)])]

    @functools.cached_property
    def _built(self) -> set[str]:
        """Return the names of packages whose wheels are not taken; one that was built is a file in the lock."""
        return built_names(self._options)

    @functools.cached_property
    def _folders(self) -> list[Path]:
        """Return the folders of this machine that packages may come from, in which another may get the same name."""
        return local_folders(self._options, paths_start(self.bento))

    def find(self, line: str) -> Package | None:
        """Return the package of a lock's line; None unless it was made before and still exists."""
        key = self.key(line)

        def package(data: Mapping[str, Any]) -> Package:
            layer = from_record(data["layer"]) if data["layer"] else None
            segment = Segment(self.folder / f"{key}.gz", **data["segment"]) if data["segment"] else None
            paths = frozenset(data["paths"])
            return Package(data["name"], data["version"], data["size"], paths, layer, segment, data["license"])

        found = records.read_as(self.folder / f"{key}.json", package)
        if not found or (found.layer and not self.cache.has(found.layer)):
            return None
        return found if found.segment is None or found.segment.is_there else None

    def keep(
        self, line: str, installed: Distribution | None, advance: Callable[[int], None] = lambda _: None
    ) -> Package:
        """Return the package of a lock's line, made of what was installed for it.

        Args:
            line: of the lock.
            installed: what was installed for it; None for nothing.
            advance: called with the number of bytes compressed since the last call.
        """
        key = self.key(line)
        if installed is None:
            package = Package("", "", 0)
        else:
            package = Package(installed.name, installed.version, installed.size, license=license_of(installed))
            if installed.size >= HEAVY:
                title = f"package {installed.name} {installed.version}"
                layer = self.cache.write(installed.entries, title, "packages", advance)
                package = replace(package, layer=layer)
            else:
                segment = write_segment(self.folder / f"{key}.gz", installed.entries, advance)
                paths = frozenset(entry.path for entry in installed.entries)
                package = replace(package, paths=paths, segment=segment)
        records.keep(self.folder / f"{key}.json", _to_record(package))
        return package


def _to_record(package: Package) -> dict[str, object]:
    segment = package.segment
    return {
        "name": package.name,
        "version": package.version,
        "size": package.size,
        "license": package.license,
        "paths": sorted(package.paths),
        "layer": to_record(package.layer) if package.layer else None,
        "segment": {"digest": segment.digest, "size": segment.size} if segment else None,
    }
