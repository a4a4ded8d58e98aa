"""Locks: every package of an image with its exact version, for each platform, and whether each has a wheel there."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.packages.folders import listing, named_in
from bentoship.packages.indexes import indexes_of
from bentoship.packages.requirements import (
    CONSTRAINTS,
    LOCK_PLATFORM,
    address_lines,
    bare,
    built_names,
    canonical_name,
    hashes,
    is_exact,
    lines,
    local_file,
    options_for_uv,
    packed_wheels,
    paths_start,
    portable_lines,
    requirements_of,
    subject,
)
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import lock_settings
from bentoship.system import records
from bentoship.system.files import digest_of
from bentoship.system.records import key_of
from bentoship.system.values import dataclass

_COMPILED = "What is compiled on this machine runs on its platform alone."


@dataclass(frozen=True)
class Lock:
    """Every package of an image with its exact version.

    Args:
        target: what it is for.
        lines: requirement lines, sorted.
        deviations: those in other versions than the platform gets that BentoML locks for.
        built: the wheels that were built here of packages without one, each with its line.
    """

    target: Target
    lines: tuple[str, ...]
    deviations: tuple[str, ...] = ()
    built: tuple[tuple[str, Path], ...] = ()

    @property
    def installed(self) -> tuple[str, ...]:
        """Return the lines by which uv installs it: what was built by the path of its wheel."""
        wheels = dict(self.built)
        return tuple(
            f"{canonical_name(line)} @ {wheels[line].as_uri()}" if line in wheels else line for line in self.lines
        )


def resolve(bento: Path, targets: Sequence[Target], kept: Path) -> list[Lock]:
    """Return the lock of a Bento for each of some targets.

    For another platform than the one that BentoML has locked it for, what was asked for is locked here: at the same
    versions, but for packages that have no wheel of them there.

    Args:
        bento: the Bento's folder. Its own lock is taken; one that was built with `lock_packages: false` gets one here.
        targets: what the locks are for.
        kept: a folder that keeps the locks made here, so that the same Bento stays the same.

    Raises:
        PackagesError: no set of wheels satisfies it, for one target or more; it names every package without a wheel.
    """
    found: list[Lock] = []
    failed: dict[Target, str] = {}
    for target in targets:
        try:
            found.append(_lock(bento, target, kept))
        except PackagesError as error:
            failed[target] = _failure(bento, target, error)
    if failed:
        missing = {lock.target: why for lock in found if (why := _missing_wheels(bento, lock))}
        failures = {**failed, **missing}
        raise _refusal({target: failures[target] for target in targets if target in failures})
    for lock in found:
        _check_hashes(bento, lock, kept)
    return [replace(lock, built=_kept_wheels(_record(bento, lock, kept))) for lock in found]


def lock_here(bento: Path, target: Target, kept: Path, *, python: str) -> Lock:
    """Return the lock of a Bento for this machine: the image's own where that fits.

    Args:
        bento: the Bento's folder.
        target: this machine, with the Python that is to run.
        kept: as for `resolve`.
        python: the image's Python, for which the Bento's own lock was made.

    Raises: PackagesError.
    """
    if target.python == python:
        (lock,) = resolve(bento, [target], kept)
    else:
        asked, own = _requirements(bento)
        lock = Lock(target, tuple(_made_once(bento, target, asked, own, kept)))
    return replace(lock, built=_kept_wheels(_record(bento, lock, kept)))


def _check_hashes(bento: Path, lock: Lock, kept: Path) -> None:
    """Check that what was asked for with --require-hashes has them, and what it depends on. Raises PackagesError.

    BentoML adds itself to the requirements, without a hash: what it alone depends on needs none.
    """
    text, _ = requirements_of(bento)
    if "--require-hashes" not in address_lines(text):
        return
    asked = [line for line in portable_lines(text) if hashes(line) or canonical_name(line) != "bentoml"]
    needed = {subject(line) for line in _made_once(bento, lock.target, asked, [*lock.lines], kept)}
    others = [line for line in lock.lines if not hashes(line) and not local_file(line, paths_start(bento))]
    if missing := [bare(line) for line in others if subject(line) in needed]:
        why = f"the requirements say --require-hashes, but there is none for {', '.join(missing)}"
        hint = "Add their hashes: `uv pip compile --generate-hashes` writes all."
        raise PackagesError("Check the hashes of the Python packages", why, hint)


def with_wheels(bento: Path, locks: Sequence[Lock], kept: Path) -> list[Lock]:
    """Return locks with a wheel of each package: what has none is built, once.

    Args:
        bento: the Bento's folder.
        locks: of it.
        kept: a folder that keeps the wheels, and which they are.

    Raises: PackagesError, naming all that have no wheel and cannot be built here.
    """
    if not locks:
        return []
    from bentoship.packages.missing import built_wheel, without_wheel  # mostly all packages were made before

    found: list[Lock] = []
    failures: dict[Target, str] = {}
    names = built_names(options_for_uv(bento))
    hints: list[str] = []
    for lock in locks:
        built, refused, reasons = dict(lock.built), [], []
        named = [line for line in lock.installed if canonical_name(line) in names and "@" not in line]
        for line in dict.fromkeys([*named, *without_wheel(bento, lock.installed, lock.target)]):
            try:
                wheel = built_wheel(bento, line, lock.target, kept)
            except PackagesError as error:
                reasons.append(f"{bare(line)} cannot be built: {error.why}{_asked_by(bento, lock, line)}")
                hints.append(error.hint)
                wheel = None
            else:
                hints += [] if wheel else [_COMPILED]
            if wheel:
                built[line] = wheel
            else:
                refused.append(line)
        if refused:
            failures[lock.target] = "; ".join([_named_missing(lock.target, refused), *reasons])
        found.append(replace(lock, built=tuple(built.items())))
    if failures:
        raise _refusal(failures, hints)
    for lock in found:
        if lock.built:
            records.keep(_record(bento, lock, kept), {line: str(wheel) for line, wheel in lock.built})
    return found


def _kept_wheels(record: Path) -> tuple[tuple[str, Path], ...]:
    """Return the wheels that were built for a lock before, unless one of them is gone."""
    known = records.read_as(record, lambda data: [(line, Path(path)) for line, path in data.items()])
    return tuple(known) if known and all(wheel.is_file() for _, wheel in known) else ()


def _record(bento: Path, lock: Lock, kept: Path) -> Path:
    names = sorted(built_names(options_for_uv(bento)))
    return kept / f"{key_of('built', str(lock.target), *lock.lines, lock_settings(), *names)}.json"


def _named_missing(target: Target, missing: Sequence[str]) -> str:
    """Return which packages have no wheel, in a sentence; empty when all have one."""
    return f"no wheel for {target.platform} of {', '.join(map(bare, missing))}" if missing else ""


def _asked_by(bento: Path, lock: Lock, line: str) -> str:
    """Return which packages ask for one, in brackets; empty where the user alone does."""
    from bentoship.packages.resolving import asking_packages

    asked, own = _requirements(bento)
    with suppress(PackagesError):
        names = asking_packages(bento, line, lock.target, asked or own)
        return f" ({', '.join(names)} requires it)" if names else ""
    return ""


def _refusal(failures: Mapping[Target, str], hints: Sequence[str] = ()) -> PackagesError:
    from bentoship.packages.resolving import OTHERWISE

    doing = f"Install the Python packages for {' and for '.join(map(str, failures))}"
    return PackagesError(
        doing, "; ".join(failures.values()), " ".join(dict.fromkeys([*filter(None, hints), OTHERWISE]))
    )


def _requirements(bento: Path) -> tuple[list[str], list[str]]:
    """Return what a Bento asks for, and the lock that BentoML has made of it; empty where it has made none."""
    asked, text = requirements_of(bento)
    wanted = portable_lines(text)
    # BentoML's lock says more than it was asked for: bentoml itself depends on others.
    grew = {*map(bare, lines(text))} > {*map(bare, lines(asked))} or _named(text) != _named(asked)
    if asked and grew and all(is_exact(line) or "@" in line or not canonical_name(line) for line in wanted):
        return portable_lines(asked), wanted
    return wanted, []


def _named(text: str) -> list[str]:
    """Return the lines for packages from an index; BentoML rewrites other lines even where it makes no lock."""
    return [bare(line) for line in portable_lines(text) if canonical_name(line) and "@" not in line]


def _lock(bento: Path, target: Target, kept: Path) -> Lock:
    asked, own = _requirements(bento)
    is_whole = bool(own) and not packed_wheels(bento)
    if target.platform == LOCK_PLATFORM:
        return Lock(target, tuple(own if is_whole else _made_once(bento, target, asked, own, kept)))
    reference = own if is_whole else _reference(bento, target, asked, own, kept)
    lines = _made_once(bento, target, asked, reference, kept)
    versions = {canonical_name(line): bare(line) for line in reference}
    deviations = (bare(line) for line in lines if versions.get(canonical_name(line), bare(line)) != bare(line))
    return Lock(target, tuple(lines), tuple(deviations))


def _reference(bento: Path, target: Target, asked: list[str], own: list[str], kept: Path) -> list[str]:
    """Return what a Bento without a whole lock gets where others are locked; its own where that cannot be had."""
    try:
        return _made_once(bento, replace(target, platform=LOCK_PLATFORM), asked, own, kept)
    except PackagesError:
        return own


def _made_once(bento: Path, target: Target, asked: list[str], preferred: list[str], kept: Path) -> list[str]:
    limits = bento / "env" / "python" / CONSTRAINTS
    found_in = listing(named_in(options_for_uv(bento), paths_start(bento)))
    texts = [limits.read_text("utf-8")] if limits.is_file() else []
    files = [file for line in asked if (file := local_file(line, paths_start(bento)))]
    texts += map(digest_of, files)
    further = filter(None, (found_in, indexes_of(bento)))
    others = [*map(bare, preferred)], texts, lock_settings(), *further
    key = key_of("lock", str(target), *asked, *(["others", repr(others)] if any(others) else []))
    file = kept / f"{key}.json"
    if found := records.read_as(file, lambda data: [*map(str.__str__, data)]):
        return found
    from bentoship.packages.resolving import locked_lines  # mostly there is a lock

    made = locked_lines(bento, target, asked, preferred)
    records.keep(file, made)
    return made


def _failure(bento: Path, target: Target, error: PackagesError) -> str:
    """Return why there is no lock for a target; raise again what is not caused by its packages."""
    from bentoship.packages.resolving import unsolved  # not needed when there is a lock
    from bentoship.packages.uv_output import conflict

    reason = unsolved(error)
    _, own = _requirements(bento)
    return _missing_wheels(bento, Lock(target, tuple(own))) or conflict(reason)


def _missing_wheels(bento: Path, lock: Lock) -> str:
    from bentoship.packages.missing import without_wheel  # not needed when there is a lock

    return _named_missing(lock.target, without_wheel(bento, lock.lines, lock.target))
