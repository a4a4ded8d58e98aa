"""A package that was made for an image: found again by what it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from bentoship.image.layer import Layer
from bentoship.layers.cache import from_record, to_record
from bentoship.layers.segments import Segment, write_segment
from bentoship.packages.installed import Distribution
from bentoship.packages.job import Job
from bentoship.packages.licenses import license_of
from bentoship.system import records
from bentoship.system.values import dataclass

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
class Stated:
    """What a package that was made says of itself. Args: name: empty when it installs nothing; version, license."""

    name: str
    version: str
    license: str


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


def find(job: Job, line: str) -> Package | None:
    """Return the package of a lock's line; None unless it was made before and still exists.

    Args:
        job: what it was made for.
        line: of the lock.
    """
    key = job.key(line)

    def package(data: Mapping[str, Any]) -> Package:
        layer = from_record(data["layer"]) if data["layer"] else None
        segment = Segment(job.folder / f"{key}.gz", **data["segment"]) if data["segment"] else None
        paths = frozenset(data["paths"])
        return Package(data["name"], data["version"], data["size"], paths, layer, segment, data["license"])

    found = records.read_as(job.folder / f"{key}.json", package)
    if not found or (found.layer and not job.cache.has(found.layer)):
        return None
    return found if found.segment is None or found.segment.is_there else None


def stated(job: Job, line: str) -> Stated | None:
    """Return what the package of a lock's line says of itself, also when its files have been removed from the cache.

    Args: as of `find`.

    Returns: None for one that was not made here.
    """
    kept = records.read_as(_about(job, job.key(line)), lambda data: Stated(**{key: str(data[key]) for key in data}))
    if kept is None and (found := find(job, line)):
        return Stated(found.name, found.version, found.license)
    return kept


def _about(job: Job, key: str) -> Path:
    return job.folder / f"{key}.about.json"


def keep(
    job: Job, line: str, installed: Distribution | None, advance: Callable[[int], None] = lambda _: None
) -> Package:
    """Return the package of a lock's line, made of what was installed for it.

    Args:
        job: what it is made for.
        line: of the lock.
        installed: what was installed for it; None for nothing.
        advance: called with the number of bytes compressed since the last call.
    """
    key = job.key(line)
    if installed is None:
        package = Package("", "", 0)
    else:
        package = Package(installed.name, installed.version, installed.size, license=license_of(installed))
        if installed.size >= HEAVY:
            title = f"package {installed.name} {installed.version}"
            layer = job.cache.write(installed.entries, title, "packages", advance)
            package = replace(package, layer=layer)
        else:
            segment = write_segment(job.folder / f"{key}.gz", installed.entries, advance)
            paths = frozenset(entry.path for entry in installed.entries)
            package = replace(package, paths=paths, segment=segment)
    records.keep(job.folder / f"{key}.json", _to_record(package))
    about = {"name": package.name, "version": package.version, "license": package.license}
    records.keep(_about(job, key), about)
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
