"""What a base's files show, kept so that they need not be read again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from bentoship.errors import BaseImageError
from bentoship.system import records
from bentoship.system.rootfs import resolve
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Facts:
    """What is known of a base without looking at its files.

    Args:
        python: where its Python is.
        glibc: the minor version of its C library: 36 for 2.36.
        release: what it calls itself ("Debian GNU/Linux 12 (bookworm)"); empty for a base from a registry.
        users: the texts of passwd, group, shadow and gshadow in its /etc, those that it has.
    """

    python: PurePosixPath
    glibc: int
    release: str
    users: Mapping[str, str]

    @classmethod
    def of(cls, rootfs: Path, python: PurePosixPath, release: str = "") -> Facts:
        """Return the facts of a base.

        Args:
            rootfs: its files.
            python: where its Python is, as `find_python` gives it.
            release: what it calls itself, where that matters.

        Raises: BaseImageError when it has no C library that wheels are made for.
        """
        files = {name: resolve(rootfs, f"etc/{name}") for name in ("passwd", "group", "shadow", "gshadow")}
        return cls(
            python,
            _glibc(rootfs),
            release,
            {name: file.read_text("utf-8") for name, file in files.items() if file.is_file()},
        )

    @classmethod
    def read(cls, file: Path) -> Facts | None:
        """Return the facts that a file holds; None when it is missing or damaged."""
        return records.read_as(
            file,
            lambda data: cls(PurePosixPath(data["python"]), data["glibc"], data["release"], {**data["users"]}),
        )

    def keep(self, file: Path) -> None:
        """Write them to a file."""
        records.keep(file, {**asdict(self), "python": str(self.python)})


_GLIBC = rb"GNU C Library .*version 2\.(\d+)"


def _glibc(rootfs: Path) -> int:
    """Return the minor version of a base's GNU C library, as the library itself states it."""
    roots = [resolve(rootfs, place) for place in ("lib", "lib64", "usr/lib", "usr/lib64")]
    folders = [folder for root in roots for folder in (root, *sorted(root.glob("*")))]
    for folder in folders:
        library = resolve(rootfs, f"{folder.relative_to(rootfs)}/libc.so.6")
        if library.is_file() and (found := re.search(_GLIBC, library.read_bytes())):
            return int(found[1])
    raise BaseImageError(
        "Inspect the base image", "it has no GNU C library, which wheels need", "Choose one such as Debian's."
    )
