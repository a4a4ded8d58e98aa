"""Asking uv about requirements of a Bento: which packages they mean, and how large those are."""

import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from bentoship.errors import PackagesError
from bentoship.packages.folders import refreshing
from bentoship.packages.indexes import indexes_of, naming_indexes
from bentoship.packages.requirements import (
    CONSTRAINTS,
    bare,
    canonical_name,
    local_file,
    options_for_uv,
    paths_start,
    portable_lines,
    with_hashes,
)
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import calling_uv, local_folders
from bentoship.packages.uv_waiting import run_uv
from bentoship.system.files import OWN, temporary_folder
from bentoship.system.process import Completed

OTHERWISE = "Change the requirement, or use BACKEND=docker, which builds packages in the image."
"""What to do about a package that cannot be installed."""

_OFFLINE = "Check the network and the package index (UV_DEFAULT_INDEX)."


def locked_lines(bento: Path, target: Target, asked: Sequence[str], preferred: Sequence[str]) -> list[str]:
    """Return a lock of what is required, in the preferred versions where they satisfy it.

    Packages without a wheel are in it where there is no other lock.

    Raises: PackagesError.
    """
    try:
        return _compile(bento, target, asked, preferred, *selection(target))
    except PackagesError as error:
        if not _lacks_wheels(error):
            raise
        try:
            return _compile(bento, target, asked, preferred, *_for_target(target))
        except PackagesError:
            raise error from None


def _compile(bento: Path, target: Target, asked: Sequence[str], preferred: Sequence[str], *options: str) -> list[str]:
    with temporary_folder(None, OWN) as folder:
        # Versions that stand in uv's output already are kept as long as they can be.
        output = Path(folder, "requirements.txt")
        output.write_text("\n".join(map(bare, preferred)), "utf-8")
        args = ["pip", "compile", "-", "--no-header", "--no-annotate", "--no-emit-package", "uv"]
        # What another package asks for by a repository has a wheel in the Bento.
        if wheels := [line for line in preferred if local_file(line, paths_start(bento)) and line not in asked]:
            override = Path(folder, "override.txt")
            override.write_text("\n".join(map(bare, wheels)), "utf-8")
            args += ["--override", str(override)]
        ask_uv(bento, asked, target, *args, *options, "--output-file", str(output))
        return with_hashes(portable_lines(output.read_text("utf-8")), "\n".join(asked))


def _lacks_wheels(error: PackagesError) -> bool:
    """Return whether there may be a lock if packages are built, too."""
    return any(words in error.why for words in ("No solution found", "Building source distributions"))


def asking_packages(bento: Path, line: str, target: Target, asked: Sequence[str]) -> list[str]:
    """Return the names of the packages that require one.

    Args:
        bento: the Bento's folder.
        line: of the package, in a lock.
        target: what the lock is for.
        asked: the requirement lines that the lock is made of.

    Raises: PackagesError.
    """
    args = ["pip", "compile", "-", "--no-header", "--annotation-style", "line"]
    text = ask_uv(bento, asked, target, *args, *_for_target(target))
    said = re.search(rf"(?m)^{re.escape(bare(line))}\s+# via (.+)$", text)
    return [name for name in (said[1].split(", ") if said else ()) if not name.startswith("-")]


def download_sizes(bento: Path, lines: Sequence[str], target: Target) -> dict[str, int]:
    """Return how many bytes the wheels of a lock's lines have, by canonical names; 0 where the index does not tell.

    Of several that a target runs one is installed: the largest counts.
    """
    args = ["pip", "compile", "-", "--no-deps", "--format", "pylock.toml", "--no-header", *selection(target)]
    document = tomllib.loads(ask_uv(bento, lines, target, *args))
    return {
        canonical_name(package["name"]): max((wheel.get("size", 0) for wheel in package.get("wheels", [])), default=0)
        for package in document.get("packages", [])
    }


def ask_uv(bento: Path, requirements: Sequence[str], target: Target, *args: str) -> str:
    """Return what uv prints of requirements of a Bento. Raises PackagesError with its error message."""
    start, constraints = paths_start(bento), bento / "env" / "python" / CONSTRAINTS
    limits = [f"-c {os.path.relpath(constraints, start)}"] if constraints.is_file() else []
    options = options_for_uv(bento)
    source = "\n".join([*options, *limits, *requirements])
    if "compile" in args:  # a dry run that reads again does not compare a wheel with its platform
        args = (*args, *refreshing(local_folders(options, start)))
    indexes = indexes_of(bento)
    with calling_uv(start, source, indexes) as env, naming_indexes(indexes, source, args) as named:
        return checked(run_uv(for_python([*args, *named]), env=env, cwd=start, input=source), target).stdout


def selection(target: Target) -> list[str]:
    """Return uv's options for wheels that a target runs."""
    return [*_for_target(target), "--only-binary", ":all:"]


def _for_target(target: Target) -> list[str]:
    return ["--python-version", target.python, "--python-platform", target.uv_platform]


def unsolved(error: PackagesError) -> str:
    """Return why uv found no lock, in its own words; raise any other failure again, such as that of the network."""
    if "No solution found" not in error.why:
        raise error
    return error.why


def for_python(args: Sequence[str]) -> list[str]:
    """Return arguments for uv, with the Python that it runs to see what packages ask of one."""
    return [*args, "--python", sys.executable]


def checked(done: Completed, target: Target) -> Completed:
    """Return the result of a call of uv. Raises PackagesError, with its error message, when it has failed."""
    if done.code:
        # Before its error message uv prints what it downloads; the tree that it draws becomes one line.
        complaint = re.split(r"(?m)^\s*(?:×|error:)", done.stderr, maxsplit=1)[-1]
        why = re.sub(r"[\s╰─▶│├]+", " ", complaint).strip()
        offline = any(word in why for word in ("cannot be reached", "dns error", "client error (Connect)", "timed out"))
        raise PackagesError(f"Install the Python packages for {target}", why, _OFFLINE if offline else OTHERWISE)
    return done
