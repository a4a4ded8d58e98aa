"""A system's files in a folder of ours: paths read as that system reads them, tars unpacked without root or trust."""

import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from bentoship.system.files import writing


def resolve(root: Path, path: str | PurePosixPath) -> Path:
    """Return where a path of the system lies on this machine, every link followed as if `root` were /.

    The result need not exist; it never lies outside of `root`.

    Raises:
        OSError: the links go round in circles.
    """
    parts: list[str] = []
    left = list(reversed(PurePosixPath("/", path).parts[1:]))
    links = 0
    while left:
        part = left.pop()
        here = root.joinpath(*parts, part)
        if part == "..":
            parts = parts[:-1]
        elif not here.is_symlink():
            parts.append(part)
        else:
            links += 1
            if links > 40:  # as many as Linux follows in one path
                raise OSError(f"Too many links in {path}")
            target = PurePosixPath(here.readlink())
            if target.is_absolute():
                parts = []
            left += [part for part in reversed(target.parts) if part != "/"]
    return root.joinpath(*parts)


def extract(
    tar: tarfile.TarFile, root: Path, *, members: Iterable[tarfile.TarInfo] | None = None, whiteouts: bool = False
) -> None:
    """Unpack a tar below a folder. Owners, times and devices are left out; modes become 0755 or 0644.

    Args:
        tar: the archive; a stream will do.
        root: the folder; what it holds already is replaced where the tar has the same path.
        members: what to unpack of it, perhaps under other names, in the archive's order; everything when None.
        whiteouts: whether `.wh.` members delete, as in a layer (OCI image spec, layer.md, "Whiteouts").

    Raises:
        OSError, tarfile.TarError: it cannot be unpacked, or wants to lie outside of the folder.
    """
    target = _Target(root)
    for member in tar if members is None else members:
        path = PurePosixPath("/", member.name)
        if ".." in path.parts:
            raise tarfile.TarError(f"{member.name} lies outside of the archive")
        if path == PurePosixPath("/"):
            continue
        if whiteouts and path.name.startswith(".wh."):
            target.white_out(path)
        elif member.isdir():
            target.folder(path)
        elif member.isreg():
            _write(tar, member, target.free(path))
        elif member.issym():
            target.free(path).symlink_to(member.linkname)
            target.forget()
        elif member.islnk():
            target.link(path, PurePosixPath("/", member.linkname))


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    """Write a member's content to a file that is not there yet."""
    source = tar.extractfile(member)
    assert source is not None  # only a member without content has none
    with writing(path), path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


class _Target:
    """The folder that a tar is unpacked into, and what that tar has put there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: set[Path] = set()
        self._folders: dict[PurePosixPath, Path] = {}

    def forget(self) -> None:
        """Forget where folders lie: a link was made or removed."""
        self._folders.clear()

    def folder(self, path: PurePosixPath) -> None:
        """Make a folder, or keep the one that is there."""
        here = self._parent(path) / path.name
        if here.is_symlink() or not here.is_dir():
            self._remove(here)
            here.mkdir()
        here.chmod(0o755)
        self._written.add(here)

    def free(self, path: PurePosixPath) -> Path:
        """Return where to write a path, with nothing there any more."""
        here = self._parent(path) / path.name
        self._remove(here)
        self._written.add(here)
        return here

    def link(self, path: PurePosixPath, source: PurePosixPath) -> None:
        """Make a hard link to a file of the same system."""
        original = self._parent(source) / source.name
        if self._parent(path) / path.name != original:
            os.link(original, self.free(path), follow_symlinks=False)

    def white_out(self, path: PurePosixPath) -> None:
        """Delete what a `.wh.` member names of lower layers: a file or folder, or all beside it (`.wh..wh..opq`)."""
        parent, opaque = self._parent(path), path.name == ".wh..wh..opq"
        for older in list(parent.iterdir()) if opaque else [parent / path.name.removeprefix(".wh.")]:
            self._delete_older(older)

    def _delete_older(self, here: Path) -> None:
        """Delete what lower layers put there, and keep what this one did."""
        if here.is_dir() and not here.is_symlink():
            for child in list(here.iterdir()):
                self._delete_older(child)
            if here not in self._written and not any(here.iterdir()):
                here.rmdir()
        elif here not in self._written:
            here.unlink(missing_ok=True)
        self.forget()

    def _parent(self, path: PurePosixPath) -> Path:
        known = self._folders.get(path.parent)
        if known is None:
            known = resolve(self._root, path.parent)
            known.mkdir(parents=True, exist_ok=True)
            self._folders[path.parent] = known
        return known

    def _remove(self, here: Path) -> None:
        if here.is_symlink():
            here.unlink()
            self.forget()
        elif here.is_dir():
            shutil.rmtree(here)
            self.forget()
        else:
            here.unlink(missing_ok=True)
