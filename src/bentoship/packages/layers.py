"""The layers with a lock's packages: each is installed, compiled and compressed once, whatever lock it is in."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bentoship.errors import DamagedError
from bentoship.image.layer import Estimate, Layer, folders_of
from bentoship.layers.bytecode import Batch, Interpreter, compile_trees
from bentoship.layers.limit import MAKING
from bentoship.layers.segments import joined
from bentoship.packages.install import Staged, staging
from bentoship.packages.installed import Distribution, distributions, modules, with_byte_code
from bentoship.packages.job import RECIPE, Job
from bentoship.packages.package import Package, PackageEstimate, find, keep
from bentoship.packages.requirements import bare, canonical_name
from bentoship.packages.target import Target
from bentoship.system.files import file_lock
from bentoship.system.progress import StepReporter
from bentoship.system.records import key_of
from bentoship.system.text import counted

_SHARED = 24_000_000
"""Bytes of the packages in a shared layer, about: updating one of them sends that layer alone."""

AnyPackage = TypeVar("AnyPackage", bound=Package | PackageEstimate)
L = TypeVar("L", bound=Layer | Estimate)

Weigh = Callable[[Sequence[str]], Mapping[str, int]]
"""Returns how many bytes the wheels of a lock's lines have, by canonical names."""


def expected_layers(job: Job, lines: Sequence[str], weigh: Weigh) -> list[Layer | Estimate]:
    """Return the layers that `package_layers` would give, without installing anything.

    Args:
        job: what they are made for.
        lines: of a lock.
        weigh: is asked for the packages that are yet to be made.
    """
    return list(job.made(lines) or _repairing(job, lines, lambda: _expected(job, lines, weigh)))


def _expected(job: Job, lines: Sequence[str], weigh: Weigh) -> list[Layer | Estimate]:
    found = {line: find(job, line) for line in lines}
    missing = [line for line, package in found.items() if package is None]
    weights = weigh(missing) if missing else {}
    names = {line: canonical_name(line) or line for line in missing}
    packages = [
        package or PackageEstimate(line, names[line], weights.get(names[line], 0)) for line, package in found.items()
    ]
    layers: list[Layer | Estimate] = []
    for title, group in shared(packages):
        made = [package for package in group if isinstance(package, Package)]
        if len(made) == len(group):
            layers.append(_shared_layer(job, title, made))
        else:
            size = sum(package.segment.size for package in made if package.segment)
            size += sum(package.weight for package in group if isinstance(package, PackageEstimate))
            layers.append(Estimate(title, "packages", size))
    for package in _with_own_layer(packages):
        if isinstance(package, PackageEstimate):
            layers.append(Estimate(f"package {bare(package.line).replace('==', ' ')}", "packages", package.weight))
        elif package.layer:
            layers.append(package.layer)
    return layers


def package_layers(
    job: Job, lines: Sequence[str], scratch: Path, reporter: StepReporter, staged: Staged | None = None
) -> tuple[Layer, ...]:
    """Return the layers with the packages of a lock.

    Args:
        job: what they are made for.
        lines: of a lock.
        scratch: a folder for temporary files.
        reporter: receives the progress.
        staged: the installation of these packages, if it has begun already.

    Raises:
        PackagesError: a package has no wheel for the target, or cannot be downloaded.
    """

    def make() -> list[Layer]:
        found = _found(job, lines)
        if len(found) < len(lines):
            # The lock of another project, for which another run makes them at the same time, has most of them, too.
            with file_lock(job.cache.folder / MAKING / job.key()):
                found = _found(job, lines)
                if missing := [line for line in lines if line not in found]:
                    is_staged = staged and len(missing) == len(staged.lines)
                    found |= _make(job, missing, scratch, reporter, staged if is_staged else None)
        with reporter.task("joining packages into layers"):
            return list(_layers(job, [found[line] for line in lines]))

    return job.cache.make(job.key(*lines), lambda: _repairing(job, lines, make, reporter.say))


def _found(job: Job, lines: Sequence[str]) -> dict[str, Package]:
    return {line: package for line in lines if (package := find(job, line))}


def _repairing(
    job: Job, lines: Sequence[str], layers: Callable[[], list[L]], say: Callable[[str], None] = lambda _: None
) -> list[L]:
    """Return layers of a lock's packages. If one of these is damaged, rebuild it and all others that are, too."""
    try:
        return layers()
    except DamagedError as error:
        say(f"{error.doing}: {error.why}; rebuilding it")
        for package in filter(None, (find(job, line) for line in lines)):
            if package.segment and not package.segment.is_whole:
                package.segment.path.unlink(missing_ok=True)
        return layers()


def shared(packages: Iterable[AnyPackage]) -> list[tuple[str, list[AnyPackage]]]:
    """Return the shared layers of the packages without a layer of their own, each as its title and its packages.

    As long as the number of layers stays the same, a package's name alone decides which one it goes into. If packages
    have a file in common, the later ones go into a layer above, since the image shows the last one's file.
    """
    light = [package for package in packages if package.shares_layer]
    number = max(1, math.ceil(sum(package.size for package in light) / _SHARED))
    parts: list[list[AnyPackage]] = [[] for _ in range(number)]
    for package in sorted(light, key=lambda package: (canonical_name(package.name), package.version)):
        name = canonical_name(package.name).encode()
        parts[int(hashlib.sha256(name).hexdigest(), 16) % number].append(package)
    layers = []
    for index, part in enumerate(parts, 1):
        title = "packages" if number == 1 else f"packages, part {index} of {number}"
        for level, group in enumerate(_without_clashes(part), 1):
            layers.append((level, title if level == 1 else f"{title}, level {level}", group))
    return [(title, group) for _, title, group in sorted(layers, key=lambda layer: layer[0])]


def _without_clashes(packages: Iterable[AnyPackage]) -> list[list[AnyPackage]]:
    """Return the packages in as few groups as have no file twice."""
    groups: list[tuple[list[AnyPackage], set[str]]] = []
    for package in packages:
        group, taken = next((group for group in groups if group[1].isdisjoint(package.paths)), ([], set()))
        if not group:
            groups.append((group, taken))
        group.append(package)
        taken |= package.paths
    return [group for group, _ in groups]


def _layers(job: Job, packages: Sequence[Package]) -> Iterator[Layer]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda layer: _shared_layer(job, *layer), shared(packages))
    yield from (package.layer for package in _with_own_layer(packages) if package.layer)


def _with_own_layer(packages: Iterable[AnyPackage]) -> list[AnyPackage]:
    heavy = (package for package in packages if not package.shares_layer)
    return sorted(heavy, key=lambda package: canonical_name(package.name))


def _shared_layer(job: Job, title: str, packages: Sequence[Package]) -> Layer:
    segments = [package.segment for package in packages if package.segment]

    def make() -> list[Layer]:
        plain = hashlib.sha256()
        folders = folders_of(path for package in packages for path in package.paths)
        descriptor = job.cache.keep(joined(folders, segments, plain))
        return [Layer(descriptor, f"sha256:{plain.hexdigest()}", title, "packages")]

    key = key_of("joined", RECIPE, title, *(segment.digest for segment in segments))
    (layer,) = job.cache.make(key, make)
    return layer


def _make(
    job: Job, lines: Sequence[str], scratch: Path, reporter: StepReporter, staged: Staged | None
) -> dict[str, Package]:
    with ExitStack() as stack:
        staged = staged or stack.enter_context(staging(job.bento, lines, job.target, scratch, reporter))
        folders = staged.folders()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            listing = pool.submit(_installed, folders, job.target)  # while the byte-code is compiled
            title = f"compiling {counted(len(lines), 'package')} for {job.target.platform}"
            _compile(folders.values(), job.compiler(), job.target, title, reporter)
            found = {line: with_byte_code(one, job.target) if one else None for line, one in listing.result().items()}
            sizes = {line: one.size if (one := found[line]) else 0 for line in lines}
            # The largest first: with a small one last, no processor waits long for the others.
            order = sorted(lines, key=lambda line: -sizes[line])
            with reporter.task(f"compressing {counted(len(lines), 'package')}", total=sum(sizes.values())) as task:
                made = pool.map(lambda line: keep(job, line, found[line], task.advance), order)
                return dict(zip(order, made, strict=True))


def _installed(folders: Mapping[tuple[str, ...], Path], target: Target) -> dict[str, Distribution | None]:
    """Return the packages that lines stand for; None for one that installs nothing."""
    found: dict[str, Distribution | None] = {}
    for these, folder in folders.items():
        by_name = {canonical_name(one.name): one for one in distributions(folder, target)}
        if len(these) == 1 and "" in by_name:  # files that it does not list
            rest = by_name.pop("").entries
            by_name = {name: replace(one, entries=(*one.entries, *rest)) for name, one in by_name.items()}
        # A wheel that is named by its path alone is installed alone.
        only = next(iter(by_name.values()), None)
        found |= {line: by_name.get(name) if (name := canonical_name(line)) else only for line in these}
    return found


def _compile(folders: Iterable[Path], python: Interpreter, target: Target, title: str, reporter: StepReporter) -> None:
    """Put byte-code beside every module, with a Python that compiles as the base's own does."""
    batches = [
        Batch(folder, PurePosixPath("/", target.site_packages), files)
        for installed in folders
        for folder, files in modules(installed)
        if files
    ]
    compile_trees(python, batches, jobs=os.cpu_count() or 1, title=title, reporter=reporter)
