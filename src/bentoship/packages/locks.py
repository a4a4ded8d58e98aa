"""Locks: every package of an image with its exact version, for each platform, and whether each has a wheel there."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.packages.install import OTHERWISE, options_for_uv, run_uv, selection
from bentoship.packages.requirements import (
    CONSTRAINTS,
    LOCK_PLATFORM,
    address_lines,
    bare,
    canonical_name,
    hashes,
    is_exact,
    lines,
    paths_start,
    portable_lines,
    requirements_of,
    subject,
    with_hashes,
)
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import lock_settings
from bentoship.system import records
from bentoship.system.files import OWN, temporary_folder
from bentoship.system.records import key_of


@dataclass(frozen=True)
class Lock:
    """Every package of an image with its exact version.

    Args:
        target: what it is for.
        lines: requirement lines, sorted.
        deviations: those in other versions than the platform gets that BentoML locks for.
    """

    target: Target
    lines: tuple[str, ...]
    deviations: tuple[str, ...] = ()


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
    return found


def _check_hashes(bento: Path, lock: Lock, kept: Path) -> None:
    """Check that what was asked for with --require-hashes has them, and what it depends on. Raises PackagesError.

    BentoML adds itself to the requirements, without a hash: what it alone depends on needs none.
    """
    text, _ = requirements_of(bento)
    if "--require-hashes" not in address_lines(text):
        return
    asked = [line for line in portable_lines(text) if hashes(line) or canonical_name(line) != "bentoml"]
    needed = {subject(line) for line in _made_once(bento, lock.target, asked, [*lock.lines], kept)}
    if missing := [bare(line) for line in lock.lines if not hashes(line) and subject(line) in needed]:
        why = f"the requirements say --require-hashes, but there is none for {', '.join(missing)}"
        hint = "Add their hashes: `uv pip compile --generate-hashes` writes all."
        raise PackagesError("Check the hashes of the Python packages", why, hint)


def check_wheels(bento: Path, locks: Sequence[Lock]) -> None:
    """Check that each package of some locks has a wheel. Raises PackagesError, naming all that have none."""
    missing = {lock.target: why for lock in locks if (why := _missing_wheels(bento, lock))}
    if missing:
        raise _refusal(missing)


def _refusal(failures: Mapping[Target, str]) -> PackagesError:
    doing = f"Install the Python packages for {' and for '.join(map(str, failures))}"
    return PackagesError(doing, "; ".join(failures.values()), OTHERWISE)


def download_sizes(bento: Path, lines: Sequence[str], target: Target) -> dict[str, int]:
    """Return how many bytes the wheels of a lock's lines have, by canonical names; 0 where the index does not tell.

    Of several that a target runs one is installed: the largest counts.
    """
    import tomllib  # rarely needed

    args = ["pip", "compile", "-", "--no-deps", "--format", "pylock.toml", "--no-header", *selection(target)]
    document = tomllib.loads(_uv(bento, lines, target, *args))
    return {
        canonical_name(package["name"]): max((wheel.get("size", 0) for wheel in package.get("wheels", [])), default=0)
        for package in document.get("packages", [])
    }


def _requirements(bento: Path) -> tuple[list[str], list[str]]:
    """Return what a Bento asks for, and the lock that BentoML has made of it; empty where it has made none."""
    asked, text = requirements_of(bento)
    wanted = portable_lines(text)
    # BentoML's lock says more than it was asked for: bentoml itself depends on others.
    grew = {*map(bare, lines(text))} > {*map(bare, lines(asked))} or _named(text) != _named(asked)
    if grew and all(is_exact(line) or "@" in line or not canonical_name(line) for line in wanted):
        return portable_lines(asked) or wanted, wanted
    return wanted, []


def _named(text: str) -> list[str]:
    """Return the lines for packages from an index; BentoML rewrites other lines even where it makes no lock."""
    return [bare(line) for line in portable_lines(text) if canonical_name(line) and "@" not in line]


def _lock(bento: Path, target: Target, kept: Path) -> Lock:
    asked, own = _requirements(bento)
    if target.platform == LOCK_PLATFORM:
        return Lock(target, tuple(own or _made_once(bento, target, asked, [], kept)))
    reference = own or _loose_reference(bento, target, asked, kept)
    lines = _made_once(bento, target, asked, reference, kept)
    versions = {canonical_name(line): bare(line) for line in reference}
    deviations = (bare(line) for line in lines if versions.get(canonical_name(line), bare(line)) != bare(line))
    return Lock(target, tuple(lines), tuple(deviations))


def _loose_reference(bento: Path, target: Target, asked: list[str], kept: Path) -> list[str]:
    """Return what a Bento without a lock gets where others are locked; nothing where it cannot be had."""
    try:
        return _made_once(bento, replace(target, platform=LOCK_PLATFORM), asked, [], kept)
    except PackagesError:
        return []


def _made_once(bento: Path, target: Target, asked: list[str], preferred: list[str], kept: Path) -> list[str]:
    limits = bento / "env" / "python" / CONSTRAINTS
    others = [*map(bare, preferred)], [limits.read_text("utf-8")] if limits.is_file() else [], lock_settings()
    key = key_of("lock", str(target), *asked, *(["others", repr(others)] if any(others) else []))
    file = kept / f"{key}.json"
    if found := records.read_as(file, lambda data: [*map(str.__str__, data)]):
        return found
    made = _compile(bento, target, asked, preferred, *selection(target))
    records.keep(file, made)
    return made


def _compile(bento: Path, target: Target, asked: Sequence[str], preferred: Sequence[str], *options: str) -> list[str]:
    """Return a lock of what is required, in the preferred versions where they satisfy it."""
    with temporary_folder(None, OWN) as folder:
        # Versions that stand in uv's output already are kept as long as they can be.
        output = Path(folder, "requirements.txt")
        output.write_text("\n".join(map(bare, preferred)), "utf-8")
        args = ["pip", "compile", "-", "--no-header", "--no-annotate", "--no-emit-package", "uv"]
        _uv(bento, asked, target, *args, *options, "--output-file", str(output))
        return with_hashes(portable_lines(output.read_text("utf-8")), "\n".join(asked))


def _failure(bento: Path, target: Target, error: PackagesError) -> str:
    """Return why there is no lock for a target; raise again what is not caused by its packages."""
    unsolved = _unsolved(error)
    asked, own = _requirements(bento)
    platform = ["--python-version", target.python, "--python-platform", target.uv_platform]
    try:
        # As BentoML locks: with packages that would have to be built, which are those to be named.
        lines = _compile(bento, target, asked, own, *platform)
    except PackagesError:
        lines = own  # of some there is no source, either
    return _missing_wheels(bento, Lock(target, tuple(lines))) or unsolved


def _missing_wheels(bento: Path, lock: Lock) -> str:
    """Return which packages of a lock have no wheel, in a sentence; empty when all have one."""
    missing = _without_wheel(bento, lock.lines, lock.target)
    return f"no wheel for {lock.target.platform} of {', '.join(missing)}" if missing else ""


def _without_wheel(bento: Path, locked: Sequence[str], target: Target) -> list[str]:
    """Return the lines without a wheel. uv names only the first, so the lock is halved until each line stands alone."""
    try:
        _uv(bento, locked, target, "pip", "compile", "-", "--no-deps", "--quiet", *selection(target))
    except PackagesError as error:
        _unsolved(error)
        if len(locked) <= 1:
            return list(locked)
        half = len(locked) // 2
        return [one for part in (locked[:half], locked[half:]) for one in _without_wheel(bento, part, target)]
    return []


def _unsolved(error: PackagesError) -> str:
    """Return why uv found no lock, in its own words; raise any other failure again, such as that of the network."""
    if "No solution found" not in error.why:
        raise error
    return error.why


def _uv(bento: Path, requirements: Sequence[str], target: Target, *args: str) -> str:
    start, constraints = paths_start(bento), bento / "env" / "python" / CONSTRAINTS
    limits = [f"-c {os.path.relpath(constraints, start)}"] if constraints.is_file() else []
    source = "\n".join([*options_for_uv(bento), *limits, *requirements])
    return run_uv(args, target, cwd=start, stdin=source)
