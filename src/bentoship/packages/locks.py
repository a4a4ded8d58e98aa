"""Locks: every package of an image with its exact version, for each platform, and whether each has a wheel there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.packages.install import OTHERWISE, Target, run_uv, selection
from bentoship.packages.requirements import (
    LOCK_PLATFORM,
    address_lines,
    canonical_name,
    is_exact,
    lines,
    portable_lines,
)
from bentoship.system import records
from bentoship.system.records import key_of


def lock(bento: Path, target: Target, locks: Path) -> list[str]:
    """Every package of a Bento with its exact version, as requirement lines, sorted.

    For another platform than the one that BentoML has locked it for, what was asked for is locked here: at the same
    versions, but for packages that have no wheel of them there.

    Args:
        bento: the Bento's folder. Its own lock is taken; one that was built with `lock_packages: false` gets one here.
        target: what the lock is for.
        locks: a folder that keeps the locks made here, so that the same Bento stays the same.

    Raises:
        PackagesError: no set of wheels satisfies it.
    """
    asked, own = _requirements(bento)
    if target.platform == LOCK_PLATFORM:
        return own or _kept(bento, target, asked, [], locks)
    return _kept(bento, target, asked, own or _loose_reference(bento, target, locks), locks)


def lock_all(bento: Path, targets: Sequence[Target], locks: Path) -> None:
    """Have locks for several targets, and see that each package has a wheel. Takes what `lock` does.

    Raises:
        PackagesError: naming every package that has no wheel, for all targets at once; or why there is no lock.
    """
    failures = {target: told for target in targets if (told := _failure(bento, target, locks))}
    if failures:
        doing = f"Install the Python packages for {' and for '.join(map(str, failures))}"
        raise PackagesError(doing, "; ".join(failures.values()), OTHERWISE)


def other_versions(bento: Path, target: Target, locks: Path) -> list[str]:
    """What a target gets in other versions than the platform that BentoML locks for. Takes what `lock` does."""
    reference = _requirements(bento)[1] or _loose_reference(bento, target, locks)
    versions = {canonical_name(line): line for line in reference}
    return [line for line in lock(bento, target, locks) if versions.get(canonical_name(line), line) != line]


def download_sizes(bento: Path, locked: Sequence[str], target: Target) -> dict[str, int]:
    """How many bytes the wheels of a lock have, by canonical names; none of which the index does not tell.

    Of several that a target runs one is installed: the largest is told.
    """
    import tomllib  # here, since it is rarely asked

    args = ["pip", "compile", "-", "--no-deps", "--format", "pylock.toml", "--no-header", *selection(target)]
    told = tomllib.loads(_uv(bento, locked, target, *args))
    return {
        canonical_name(package["name"]): max((wheel.get("size", 0) for wheel in package.get("wheels", [])), default=0)
        for package in told.get("packages", [])
    }


def _requirements(bento: Path) -> tuple[list[str], list[str]]:
    """What a Bento asks for, and the lock that BentoML has made of it; empty where it has made none."""
    folder = bento / "env" / "python"
    file = folder / "requirements.in"
    text = (folder / "requirements.txt").read_text("utf-8")
    asked = file.read_text("utf-8") if file.is_file() else ""
    wanted = portable_lines(text)
    # BentoML's lock says more than it was asked for: bentoml itself depends on others.
    grew = set(lines(text)) > set(lines(asked)) or _named(text) != _named(asked)
    if grew and all(is_exact(line) or "@" in line or not canonical_name(line) for line in wanted):
        return portable_lines(asked) or wanted, wanted
    return wanted, []


def _named(text: str) -> list[str]:
    """What comes from an index; BentoML writes other lines anew even where it makes no lock."""
    return [line for line in portable_lines(text) if canonical_name(line) and "@" not in line]


def _loose_reference(bento: Path, target: Target, locks: Path) -> list[str]:
    """What a Bento without a lock gets where others are locked; nothing where it cannot be had."""
    try:
        return lock(bento, replace(target, platform=LOCK_PLATFORM), locks)
    except PackagesError:
        return []


def _kept(bento: Path, target: Target, asked: list[str], preferred: list[str], locks: Path) -> list[str]:
    key = key_of("lock", str(target), *asked, *(["preferred", *preferred] if preferred else []))
    kept = locks / f"{key}.json"
    if isinstance(found := records.read(kept), list):
        return found
    made = _compile(bento, target, asked, preferred, *selection(target))
    records.keep(kept, made)
    return made


def _compile(bento: Path, target: Target, asked: Sequence[str], preferred: Sequence[str], *options: str) -> list[str]:
    """A lock of what is asked for, with the preferred versions where they satisfy it."""
    with tempfile.TemporaryDirectory(prefix="bentoship-") as folder:
        # Versions that stand in uv's output already are kept as long as they can be.
        output = Path(folder, "requirements.txt")
        output.write_text("\n".join(preferred), "utf-8")
        args = ["pip", "compile", "-", "--no-header", "--no-annotate", "--no-emit-package", "uv"]
        _uv(bento, asked, target, *args, *options, "--output-file", str(output))
        return portable_lines(output.read_text("utf-8"))


def _failure(bento: Path, target: Target, locks: Path) -> str:
    """Why a target's packages cannot be installed; empty when they can."""
    try:
        locked, unsolved = lock(bento, target, locks), ""
    except PackagesError as error:
        unsolved = _unsolved(error)
        asked, own = _requirements(bento)
        platform = ["--python-version", target.python, "--python-platform", target.uv_platform]
        try:
            # As BentoML locks: with packages that would have to be built, which are those to be named.
            locked = _compile(bento, target, asked, own, *platform)
        except PackagesError:
            locked = own  # of some there is no source, either
    missing = _without_wheel(bento, locked, target)
    return f"no wheel for {target.platform} of {', '.join(missing)}" if missing else unsolved


def _without_wheel(bento: Path, locked: Sequence[str], target: Target) -> list[str]:
    """Those that no wheel is offered of. uv names but the first, so the lock is halved until each stands alone."""
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
    """In uv's words, what keeps it from a lock. Any other failure, such as that of the network, is raised again."""
    if "No solution found" not in error.why:
        raise error
    return error.why


def _uv(bento: Path, requirements: Sequence[str], target: Target, *args: str) -> str:
    folder = bento / "env" / "python"
    files = (folder / "requirements.txt", folder / "requirements.in")
    addresses = [line for file in files if file.is_file() for line in address_lines(file.read_text("utf-8"))]
    source = "\n".join([*dict.fromkeys(addresses), *requirements])
    return run_uv(args, target, cwd=bento / "src", stdin=source)
