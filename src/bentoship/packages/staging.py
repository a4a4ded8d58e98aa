"""Packages on their way from an index into folders, installed while something else is done."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentoship.packages.install import Target, clashing, installing
from bentoship.packages.requirements import canonical_name, local_file
from bentoship.system.files import temporary_folder


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
