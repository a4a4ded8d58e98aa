"""What packages are installed for, by which what was made of them is found again."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bentoship.image.layer import Layer
from bentoship.layers.cache import LayerCache
from bentoship.packages.folders import states_of
from bentoship.packages.indexes import indexes_of
from bentoship.packages.requirements import built_names, canonical_name, local_file, options_for_uv, paths_start
from bentoship.packages.target import Target
from bentoship.packages.uv_settings import local_folders, lock_settings
from bentoship.system.files import digest_of
from bentoship.system.records import key_of
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.layers.bytecode import Interpreter

# Of folders of this machine, what they hold counts, not that they are named.
_FROM = r"(--index-url|-i|--extra-index-url|--no-index)\b|(--find-links|-f)[ =]+https?:"

RECIPE = "6"
"""Increase it when the same packages give other layers, or more is kept of them, so that existing ones are rebuilt."""


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
        start = paths_start(self.bento)
        paths = (local_file(line, start) for line in lines)
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
        options = sorted(line for line in map(without_secrets, self._options) if re.match(_FROM, line))
        return [*options, lock_settings(), *filter(None, [indexes_of(self.bento)])]

    @functools.cached_property
    def _built(self) -> set[str]:
        """Return the names of packages whose wheels are not taken; one that was built is a file in the lock."""
        return built_names(self._options)

    @functools.cached_property
    def _folders(self) -> list[Path]:
        """Return the folders of this machine that packages may come from, in which another may get the same name."""
        return local_folders(self._options, paths_start(self.bento))

    def made(self, lines: Sequence[str]) -> tuple[Layer, ...] | None:
        """Return the layers with the packages of a lock; None unless all of them were made before."""
        return self.cache.find(self.key(*lines))
