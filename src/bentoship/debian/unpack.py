"""Unpacking .deb files without root and without running their scripts."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoship import process, rootfs
from bentoship.errors import BaseImageError

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top folders that are links into /usr since Debian 12 (wiki.debian.org/UsrMerge); packages may still name them."""


def unpack(deb: Path, into: Path, *, wanted: Callable[[str], bool] = lambda path: True) -> None:
    """Unpack a package's files below a folder, /bin, /sbin and /lib* going into /usr.

    Args:
        deb: the package.
        into: the folder that stands for /.
        wanted: told a path without a slash in front, whether to unpack it.

    Raises:
        BaseImageError: dpkg-deb is missing, the package is damaged, or the disk is full.
    """
    with _tar(deb, "--fsys-tarfile") as tar:
        rootfs.extract(tar, into, members=_members(tar, wanted))


def control_files(deb: Path, names: Collection[str]) -> dict[str, bytes]:
    """Those of a package's control files ("control", "md5sums") that it has. Raises: BaseImageError as `unpack`."""
    with _tar(deb, "--ctrl-tarfile") as tar:
        return {
            name: stream.read()
            for member in tar
            if (name := member.name.removeprefix("./")) in names and (stream := tar.extractfile(member))
        }


@contextmanager
def _tar(deb: Path, option: str) -> Iterator[tarfile.TarFile]:
    doing = f"Unpack {deb.name}"
    try:
        with subprocess.Popen(
            ["dpkg-deb", option, str(deb)],
            env=process.environment(extra={"LC_ALL": "C"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        ) as child:
            with tarfile.open(fileobj=child.stdout, mode="r|", encoding="utf-8") as tar:
                yield tar
            while child.stdout and child.stdout.read(1 << 16):  # what pads the archive, else dpkg-deb dies of its pipe
                pass
    except (OSError, tarfile.TarError) as error:
        raise BaseImageError(doing, str(error)) from error
    if child.returncode != 0:
        raise BaseImageError(doing, f"dpkg-deb ended with exit code {child.returncode}")


def _members(tar: tarfile.TarFile, wanted: Callable[[str], bool]) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        member.name = _merged(member.name)
        if member.islnk():
            member.linkname = _merged(member.linkname)
        if member.name not in MERGED and wanted(member.name):
            yield member


def _merged(name: str) -> str:
    name = name.removeprefix("./").strip("/")
    return f"usr/{name}" if name.partition("/")[0] in MERGED and "/" in name else name
