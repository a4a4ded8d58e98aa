"""Unpacking .deb files without root and without running their scripts."""

import io
import subprocess
import tarfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoship.errors import BaseImageError
from bentoship.system import process, rootfs

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top folders that are links into /usr since Debian 12 (wiki.debian.org/UsrMerge); packages may still name them."""


def unpack(deb: Path, into: Path, *, wanted: Callable[[str], bool] = lambda path: True) -> None:
    """Unpack a package's files below a folder, /bin, /sbin and /lib* going into /usr.

    Args:
        deb: the package.
        into: the folder that stands for /.
        wanted: returns whether to unpack a path, which has no leading slash.

    Raises:
        BaseImageError: dpkg-deb is missing, the package is damaged, or the disk is full.
    """
    unpack_tar(deb.name, files(deb), into, wanted=wanted)


def files(deb: Path) -> bytes:
    """Return the tar of a package's files, decompressed. Raises: BaseImageError as `unpack`."""
    return _tar(deb, "--fsys-tarfile")


def unpack_tar(name: str, tar: bytes, into: Path, *, wanted: Callable[[str], bool] = lambda path: True) -> None:
    """Unpack the tar of the files of a package, by its name, as `unpack` does."""
    with _unpacking(name), _opened(tar) as archive:
        rootfs.extract(archive, into, members=_members(archive, wanted))


def control_files(deb: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return those of the control files ("control", "md5sums") that a package has. Raises as `unpack` does."""
    with _unpacking(deb.name), _opened(_tar(deb, "--ctrl-tarfile")) as archive:
        return {
            name: stream.read()
            for member in archive
            if (name := member.name.removeprefix("./")) in names and (stream := archive.extractfile(member))
        }


def _tar(deb: Path, option: str) -> bytes:
    env = process.environment(extra={"LC_ALL": "C"})
    with _unpacking(deb.name):
        done = subprocess.run(
            ["dpkg-deb", option, deb], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    if done.returncode != 0:
        raise BaseImageError(f"Unpack {deb.name}", done.stderr.decode(errors="replace").strip())
    return done.stdout


def _opened(tar: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(tar), mode="r:", encoding="utf-8")


@contextmanager
def _unpacking(name: str) -> Iterator[None]:
    """Raise a BaseImageError that names the package for what goes wrong in the block."""
    try:
        yield
    except (OSError, tarfile.TarError) as error:
        raise BaseImageError(f"Unpack {name}", str(error)) from error


def _members(tar: tarfile.TarFile, wanted: Callable[[str], bool]) -> Iterator[tarfile.TarInfo]:
    """Yield the wanted members of a package, under the names that they have with a merged /usr."""
    for member in tar:
        member.name = _merged(member.name)
        if member.islnk():
            member.linkname = _merged(member.linkname)
        if member.name not in MERGED and wanted(member.name):
            yield member


def _merged(name: str) -> str:
    name = name.removeprefix("./").strip("/")
    return f"usr/{name}" if name.partition("/")[0] in MERGED and "/" in name else name
