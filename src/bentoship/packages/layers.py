"""The layers with a lock's packages: each is installed, compiled and compressed once, whatever lock it is in."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bentoship.bases import Base
from bentoship.errors import DamagedError
from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.image.layer import Layer, folders_of, tree
from bentoship.layers.bytecode import Batch, compile_trees
from bentoship.layers.cache import LayerCache, from_record, to_record
from bentoship.layers.segments import Segment, joined, write_segment
from bentoship.packages.install import Distribution, Target, clashing, distributions, installing, with_byte_code
from bentoship.packages.requirements import canonical_name, local_file
from bentoship.system import records
from bentoship.system.files import temporary_folder
from bentoship.system.records import key_of

if TYPE_CHECKING:
    from bentoship.layers.bytecode import Interpreter

# Raise it when the same packages give other layers, so that those made before are made anew.
RECIPE = "4"

# A package that weighs more, with its byte-code, gets a layer of its own.
_HEAVY = 6_000_000

# The others go into layers of about this weight, so that an update of one does not send all of them.
_SHARED = 24_000_000


@dataclass(frozen=True)
class Package:
    """A package of a lock, made: as a layer of its own or as a segment of one; neither when it installs nothing.

    Args:
        name: as the package calls itself.
        version: its own.
        size: its files together, with their byte-code, in bytes.
        paths: its files in the image.
    """

    name: str
    version: str
    size: int
    paths: frozenset[str] = field(default=frozenset(), repr=False)
    layer: Layer | None = None
    segment: Segment | None = None


@dataclass(frozen=True)
class Job:
    """What packages are installed for, and with what.

    Args:
        bento: the Bento's folder: what its lock names by path, and where it says packages are downloaded.
        base: the system whose Python makes the byte-code.
        target: what they have to run on.
        cache: keeps what is made.
    """

    bento: Path
    base: Base
    target: Target
    cache: LayerCache

    @property
    def folder(self) -> Path:
        """Where packages are kept."""
        return self.cache.folder / "packages"

    def key(self, *lines: str) -> str:
        """The key of what is made of lines of a lock. The base is part of it: its Python makes the byte-code."""
        below = [layer.diff_id for layer in self.base.layers]
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in map(self._local, lines) if path]
        return key_of("packages", RECIPE, str(self.target), *below, *lines, *files)

    def _local(self, line: str) -> Path | None:
        return local_file(line, self.bento / "src")


def made_layers(job: Job, locked: Sequence[str]) -> tuple[Layer, ...] | None:
    """The layers with the packages of a lock; None unless all of them were made before."""
    return job.cache.find(job.key(*locked))


def expected_layers(
    job: Job, locked: Sequence[str], weigh: Callable[[Sequence[str]], Mapping[str, int]]
) -> list[tuple[str, int, Layer | None]]:
    """The layers that `package_layers` would give, without installing anything.

    Args:
        job: what they are made for.
        locked: requirement lines.
        weigh: tells how many bytes the wheels of some lines have, by canonical names.

    Returns: their titles and sizes in bytes; and the layers themselves where all of their packages were made before.
    """
    if made := made_layers(job, locked):
        return [(layer.title, layer.descriptor.size, layer) for layer in made]
    try:
        return _expected(job, locked, weigh)
    except DamagedError:
        _drop_damaged(job, locked)
        return _expected(job, locked, weigh)


def _expected(
    job: Job, locked: Sequence[str], weigh: Callable[[Sequence[str]], Mapping[str, int]]
) -> list[tuple[str, int, Layer | None]]:
    found = {line: find(job, line) for line in locked}
    missing = [line for line, package in found.items() if package is None]
    weights = weigh(missing) if missing else {}
    packages = [package or _guess(line, weights) for line, package in found.items()]
    layers: list[tuple[str, int, Layer | None]] = []
    for title, part in shared(packages):
        segments = [one.segment for one in part if one.segment]
        layer = _shared_layer(job, title, part) if all(one.digest for one in segments) else None
        layers.append((title, layer.descriptor.size if layer else sum(one.size for one in segments), layer))
    for one in _with_own(packages):
        if one.layer:
            known = one.layer if one.layer.descriptor.digest else None
            layers.append((one.layer.title, one.layer.descriptor.size, known))
    return layers


def _guess(line: str, weights: Mapping[str, int]) -> Package:
    """A package that is yet to be made, by the weight of its wheel, of which it becomes three to five times as much."""
    name = canonical_name(line) or line
    weight = weights.get(name, 0)
    if 4 * weight < _HEAVY:
        return Package(name, "", 4 * weight, segment=Segment(Path(), "", weight))
    return Package(
        name,
        "",
        4 * weight,
        layer=Layer(Descriptor(LAYER_GZIP, "", weight), "", f"package {line.replace('==', ' ')}", "packages"),
    )


@dataclass(frozen=True)
class Staged:
    """Packages on their way into a folder.

    Args:
        lines: those of a lock that they stand for.
        folders: waits until they are there, and gives their folders, by the lines in each. Raises PackagesError.
    """

    lines: Sequence[str]
    folders: Callable[[], Mapping[tuple[str, ...], Path]]


@contextmanager
def staging(bento: Path, lines: Sequence[str], target: Target, scratch: Path) -> Iterator[Staged]:
    """Install packages while something else is done; their folders go with the block.

    Args:
        bento: the Bento's folder.
        lines: of its lock.
        target: what they have to run on.
        scratch: a folder for the folders.
    """
    # Files with the same path would overwrite each other, and a wheel that is named by its path may be called anything.
    named = [line for line in lines if canonical_name(line) and not local_file(line, bento / "src")]
    with temporary_folder(scratch, "packages-") as folder, ExitStack() as stack:
        common = folder / "common"
        common.mkdir()
        finish = stack.enter_context(installing(bento, named, target, common)) if named else lambda: None

        @functools.cache
        def folders() -> Mapping[tuple[str, ...], Path]:
            finish()
            clashes = clashing(common)
            apart = [line for line in lines if line not in named or clashes is None or canonical_name(line) in clashes]
            found = {tuple(line for line in named if line not in apart): common}
            for number, line in enumerate(apart):
                alone = folder / str(number)
                alone.mkdir()
                with installing(bento, [line], target, alone) as finish_one:
                    finish_one()
                found[(line,)] = alone
            return found

        yield Staged(lines, folders)


def package_layers(
    job: Job, locked: Sequence[str], scratch: Path, tell: Callable[[str], None], staged: Staged | None = None
) -> tuple[Layer, ...]:
    """The layers with the packages of a lock.

    Args:
        job: what they are made for.
        locked: requirement lines.
        scratch: a folder for what is needed only meanwhile.
        tell: told in words what takes a while, before it begins.
        staged: these packages, where somebody has begun to install them already.

    Raises:
        PackagesError: a package has no wheel for the target, or cannot be downloaded.
    """

    def made() -> list[Layer]:
        found = {line: package for line in locked if (package := find(job, line))}
        if missing := [line for line in locked if line not in found]:
            found |= _make(job, missing, scratch, tell, staged)
        return list(_layers(job, [found[line] for line in locked]))

    def made_or_mended() -> list[Layer]:
        try:
            return made()
        except DamagedError as error:
            tell(f"{error.doing}: {error.why}; it is made anew")
            _drop_damaged(job, locked)
            return made()

    return job.cache.make(job.key(*locked), made_or_mended)


def _drop_damaged(job: Job, locked: Sequence[str]) -> None:
    """Remove whatever else is damaged: where one file is, others may be."""
    for package in filter(None, (find(job, line) for line in locked)):
        if package.segment and not package.segment.is_whole:
            package.segment.path.unlink(missing_ok=True)


def find(job: Job, line: str) -> Package | None:
    """The package of a lock's line, if it was made before."""
    key = job.key(line)
    try:
        data = records.read(job.folder / f"{key}.json")
        layer = from_record(data["layer"]) if data["layer"] else None
        segment = Segment(job.folder / f"{key}.gz", **data["segment"]) if data["segment"] else None
        found = Package(data["name"], data["version"], data["size"], frozenset(data["paths"]), layer, segment)
    except (ValueError, KeyError, TypeError):  # none, or of another version
        return None
    whole = (layer is None or job.cache.has(layer)) and (segment is None or segment.is_there)
    return found if whole else None


def shared(packages: Iterable[Package]) -> list[tuple[str, list[Package]]]:
    """The layers, by their titles, that packages share which have none of their own.

    Which one a package goes into depends on its name alone, as long as their number stays the same; but for those that
    have a file in common, of which the last one is to be seen in the image, and so gets a layer above.
    """
    light = [one for one in packages if one.segment]
    number = max(1, math.ceil(sum(one.size for one in light) / _SHARED))
    parts: list[list[Package]] = [[] for _ in range(number)]
    for one in sorted(light, key=lambda one: (canonical_name(one.name), one.version)):
        parts[int(hashlib.sha256(canonical_name(one.name).encode()).hexdigest(), 16) % number].append(one)
    titles = ["packages"] if number == 1 else [f"packages, part {n} of {number}" for n in range(1, number + 1)]
    layers = [
        (title if level == 1 else f"{title}, level {level}", layer)
        for title, part in zip(titles, parts, strict=True)
        for level, layer in enumerate(_apart(part), 1)
    ]
    return sorted(layers, key=lambda layer: layer[0].partition(", level ")[2])


def _apart(packages: Iterable[Package]) -> list[list[Package]]:
    """The packages in as few groups as have no file twice."""
    groups: list[tuple[list[Package], set[str]]] = []
    for one in packages:
        group, taken = next((group for group in groups if group[1].isdisjoint(one.paths)), ([], set()))
        if not group:
            groups.append((group, taken))
        group.append(one)
        taken |= one.paths
    return [group for group, _ in groups]


def _layers(job: Job, packages: Sequence[Package]) -> Iterator[Layer]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda one: _shared_layer(job, *one), shared(packages))
    yield from (one.layer for one in _with_own(packages) if one.layer)


def _with_own(packages: Iterable[Package]) -> list[Package]:
    return sorted((one for one in packages if one.layer), key=lambda one: canonical_name(one.name))


def _shared_layer(job: Job, title: str, packages: Sequence[Package]) -> Layer:
    segments = [one.segment for one in packages if one.segment]

    def made() -> list[Layer]:
        plain = hashlib.sha256()
        folders = folders_of(path for one in packages for path in one.paths)
        descriptor = job.cache.keep(joined(folders, segments, plain))
        return [Layer(descriptor, f"sha256:{plain.hexdigest()}", title, "packages")]

    key = key_of("joined", RECIPE, title, *(segment.digest for segment in segments))
    (layer,) = job.cache.make(key, made)
    return layer


def _make(
    job: Job, lines: Sequence[str], scratch: Path, tell: Callable[[str], None], staged: Staged | None
) -> dict[str, Package]:
    with ExitStack() as stack:
        if staged is None:
            tell(f"installing {len(lines)} packages for {job.target}")
            staged = stack.enter_context(staging(job.bento, lines, job.target, scratch))
        folders = staged.folders()
        tell(f"compiling them for {job.target.platform}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            listing = pool.submit(_installed, folders, job.target)  # while others compile
            _compile(folders.values(), job.base.compiler(), job.target)
            found = {line: with_byte_code(one, job.target) if one else None for line, one in listing.result().items()}
            # The largest first: a small one at the end leaves nobody waiting.
            order = sorted(lines, key=lambda line: -one.size if (one := found[line]) else 0)
            return dict(zip(order, pool.map(lambda line: _keep(job, line, found[line]), order), strict=True))


def _installed(folders: Mapping[tuple[str, ...], Path], target: Target) -> dict[str, Distribution | None]:
    """The packages that lines stand for; None for one that installs nothing."""
    found: dict[str, Distribution | None] = {}
    for these, folder in folders.items():
        by_name = {canonical_name(one.name): one for one in distributions(folder, target)}
        if len(these) == 1 and "" in by_name:  # files that it does not list
            by_name = {name: _with(one, by_name[""]) for name, one in by_name.items() if name}
        # A wheel that is named by its path alone is installed alone.
        only = next(iter(by_name.values()), None)
        found |= {line: by_name.get(name) if (name := canonical_name(line)) else only for line in these}
    return found


def _with(one: Distribution, rest: Distribution) -> Distribution:
    return replace(one, entries=(*one.entries, *rest.entries))


def _keep(job: Job, line: str, found: Distribution | None) -> Package:
    key = job.key(line)
    if found is None:
        package = Package("", "", 0)
    elif found.size >= _HEAVY:
        layer = job.cache.write(found.entries, f"package {found.name} {found.version}", "packages")
        package = Package(found.name, found.version, found.size, layer=layer)
    else:
        segment = write_segment(job.folder / f"{key}.gz", found.entries)
        paths = frozenset(entry.path for entry in found.entries)
        package = Package(found.name, found.version, found.size, paths, segment=segment)
    job.folder.mkdir(parents=True, exist_ok=True)
    records.keep(job.folder / f"{key}.json", _to_record(package))
    return package


def _to_record(package: Package) -> Mapping[str, Any]:
    segment = package.segment
    return {
        "name": package.name,
        "version": package.version,
        "size": package.size,
        "paths": sorted(package.paths),
        "layer": to_record(package.layer) if package.layer else None,
        "segment": {"digest": segment.digest, "size": segment.size} if segment else None,
    }


def _compile(folders: Iterable[Path], python: Interpreter, target: Target) -> None:
    """Make byte-code for every module, with a Python that compiles as the base's own does."""
    batches = [Batch(folder, PurePosixPath("/", target.site_packages), _modules(folder)) for folder in folders]
    compile_trees(python, [batch for batch in batches if batch.files], jobs=os.cpu_count() or 1)


def _modules(installed: Path) -> tuple[Path, ...]:
    found = (entry for entry in tree(installed, "") if entry.path.endswith(".py") and not entry.path.startswith("bin/"))
    return tuple(entry.content for entry in found if isinstance(entry.content, Path))
