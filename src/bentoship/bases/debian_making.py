"""Making the files of a base from Debian's packages, and what of them goes into its layer."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bentoship.bases.debian_files import configure, is_wanted
from bentoship.debian.apt import DebPackage
from bentoship.debian.unpack import control_files, files, unpack_tar
from bentoship.image.layer import Entry, tree
from bentoship.layers.bytecode import Batch, Interpreter, compile_trees
from bentoship.system.parallel import map_in_order
from bentoship.system.progress import StepReporter

# Modes and groups that differ from what `tree` gives every file. 42 is the group shadow (/usr/share/base-passwd).
_SPECIAL = {
    "etc/gshadow": (0o640, 42),
    "etc/shadow": (0o640, 42),
    "root": (0o700, 0),
    "run/lock": (0o1777, 0),
    "tmp": (0o1777, 0),
    "var/tmp": (0o1777, 0),
}


def unpack_all(debs: Sequence[DebPackage], folder: Path, reporter: StepReporter) -> None:
    """Unpack packages below a folder, and do of what their scripts would do what matters.

    Raises: BaseImageError, OSError.
    """
    task = reporter.task("unpacking Debian packages", total=len(debs), unit="packages")
    with ThreadPoolExecutor(1) as pool, task as unpacked:
        controls = pool.map(lambda deb: control_files(deb.path, ("control", "md5sums")), debs)  # meanwhile
        # One after the other, since two may have the same file; those that come next are decompressed meanwhile.
        for deb, tar in zip(debs, map_in_order(lambda deb: files(deb.path), debs), strict=True):
            unpack_tar(deb.path.name, tar, folder, wanted=is_wanted)
            unpacked.advance(1)
        configure(folder, {deb.name: control for deb, control in zip(debs, controls, strict=True)})


def compile_library(folder: Path, python: str, interpreter: Interpreter, reporter: StepReporter) -> None:
    """Put byte-code beside the modules of a Python of a minor version that lies below a folder."""
    library = folder / "usr" / "lib" / f"python{python}"
    modules = tuple(path for path in library.rglob("*.py") if not path.is_symlink())
    batch, title = Batch(folder, PurePosixPath("/"), modules), "compiling Python's library"
    compile_trees(interpreter, [batch], jobs=os.cpu_count() or 1, title=title, reporter=reporter)


def entries(rootfs: Path) -> Iterator[Entry]:
    """Yield the files of a base's layer."""
    for entry in tree(rootfs, ""):
        mode, group = _SPECIAL.get(entry.path, (entry.mode, entry.gid))
        yield replace(entry, mode=mode, gid=group)
