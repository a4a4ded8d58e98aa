"""What a lock names and has no wheel: found, and built."""

import platform
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.image.platforms import platform_of
from bentoship.packages.building import Builder
from bentoship.packages.indexes import indexes_of
from bentoship.packages.requirements import bare, built_names, canonical_name, local_file, options_for_uv, paths_start
from bentoship.packages.resolving import ask_uv, selection, unsolved
from bentoship.packages.target import Target


def without_wheel(bento: Path, locked: Sequence[str], target: Target) -> list[str]:
    """Return the lines of a lock without a wheel that a target runs.

    Args:
        bento: the Bento's folder.
        locked: requirement lines.
        target: what they have to run on.
    """
    files = {line: file for line in locked if (file := local_file(line, paths_start(bento)))}
    others = [line for line in locked if line not in files]
    unfit = [line for line, file in files.items() if not _fits(bento, file, target)]
    return [*(_unavailable(bento, others, target) if others else ()), *unfit]


def _unavailable(bento: Path, locked: Sequence[str], target: Target) -> list[str]:
    """Return the lines without a wheel. uv names only the first, so the lock is halved until each line stands alone."""
    try:
        ask_uv(bento, locked, target, "pip", "compile", "-", "--no-deps", "--quiet", *selection(target))
    except PackagesError as error:
        unsolved(error)
        if len(locked) <= 1:
            return list(locked)
        half = len(locked) // 2
        return [one for part in (locked[:half], locked[half:]) for one in _unavailable(bento, part, target)]
    return []


def _fits(bento: Path, wheel: Path, target: Target) -> bool:
    """Return whether a target runs a wheel, by its name (PEP 425)."""
    if wheel.name.endswith(("-py3-none-any.whl", "-py2.py3-none-any.whl")):
        return True
    args = ["pip", "install", "--dry-run", "--no-deps", "--target", str(bento / "none"), str(wheel)]
    try:
        ask_uv(bento, (), target, *args, *selection(target))
    except PackagesError as error:
        if "incompatible" not in error.why:
            raise
        return False
    return True


def built_wheel(bento: Path, line: str, target: Target, kept: Path) -> Path | None:
    """Return a wheel that is built here of a package without one; None where this cannot give one for the target.

    Args:
        bento: the Bento's folder.
        line: a line of its lock.
        target: what it has to run on.
        kept: a folder that keeps wheels.

    Raises: PackagesError when the build fails.
    """
    own = platform_of(platform.machine()) if platform.system() == "Linux" else None
    if local_file(line, paths_start(bento)):
        return None
    # What has a wheel for this platform is compiled: built here, it would run on no other.
    options = options_for_uv(bento)
    has_wheel = canonical_name(line) not in built_names(options)
    if has_wheel and own and own != target.platform and not _unavailable(bento, [line], replace(target, platform=own)):
        return None
    builder = Builder(kept, target.python, options, paths_start(bento), indexes_of(bento))
    wheel = builder.build(line, f"{bare(line)} {_source_digest(bento, line, target)}", bare(line))
    return wheel if _fits(bento, wheel, target) else None


def _source_digest(bento: Path, line: str, target: Target) -> str:
    """Return the hash of a package's source distribution; its address where the index does not say."""
    args = ["pip", "compile", "-", "--no-deps", "--format", "pylock.toml", "--no-header"]
    system = ["--python-version", target.python, "--python-platform", target.uv_platform]
    with suppress(PackagesError):
        for package in tomllib.loads(ask_uv(bento, [line], target, *args, *system)).get("packages", []):
            source = package.get("sdist", {})
            return str(source.get("hashes", {}).get("sha256") or source.get("url", ""))
    return ""
