"""A root file system in a folder: resolving paths inside it, and unpacking untrusted tars into it without root."""

import os
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from bentoship.system.files import writing


def resolve(root: Path, path: str | PurePosixPath) -> Path:
    """Return the path on this machine of a path in the root file system, following links as if `root` were /.

    The result need not exist; it is never outside `root`.

    Raises:
        OSError: there are too many links, as in a loop.
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
            if links > 40:  # Linux's limit
                raise OSError(f"Too many links in {path}")
            target = PurePosixPath(here.readlink())
            if target.is_absolute():
                parts = []
            left += [part for part in reversed(target.parts) if part != "/"]
    return root.joinpath(*parts)


def extract(
    tar: tarfile.TarFile, root: Path, *, members: Iterable[tarfile.TarInfo] | None = None, whiteouts: bool = False
) -> None:
    """Unpack a tar into a folder. Owners, times and devices are ignored; modes become 0755 or 0644.

    Args:
        tar: the archive, which may be a stream.
        root: the folder; existing files with the same path as a member are replaced.
        members: the members to unpack, possibly renamed, in the archive's order; all when None.
        whiteouts: whether `.wh.` members delete, as in a layer (OCI image spec, layer.md, "Whiteouts").

    Raises:
        OSError, tarfile.TarError: a member cannot be unpacked, or would be outside the folder.
    """
    target = _Target(root)
    for member in tar if members is None else members:
        tar.members = []  # type: ignore[attr-defined]  # it would keep all of them, of which a small archive can have millions
        path = PurePosixPath("/", member.name)
        if ".." in path.parts:
            raise tarfile.TarError(f"{member.name} is outside the archive")
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
    """Write a member's content to a new file."""
    source = tar.extractfile(member)
    assert source is not None  # it is None only for members without content
    with writing(path), path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


class _Target:
    """The folder that a tar is unpacked into, and the paths that the tar has written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._written: set[Path] = set()
        self._folders: dict[PurePosixPath, Path] = {}

    def forget(self) -> None:
        """Clear the cache of resolved folders, because a link was created or removed."""
        self._folders.clear()

    def folder(self, path: PurePosixPath) -> None:
        """Create a folder, or keep an existing one."""
        here = self._parent(path) / path.name
        if here.is_symlink() or not here.is_dir():
            self._remove(here)
            here.mkdir()
        here.chmod(0o755)
        self._written.add(here)

    def free(self, path: PurePosixPath) -> Path:
        """Return where to write a path, after removing what is there."""
        here = self._parent(path) / path.name
        self._remove(here)
        self._written.add(here)
        return here

    def link(self, path: PurePosixPath, source: PurePosixPath) -> None:
        """Create a hard link to a file in the same root file system."""
        original = self._parent(source) / source.name
        if self._parent(path) / path.name != original:
            os.link(original, self.free(path), follow_symlinks=False)

    def white_out(self, path: PurePosixPath) -> None:
        """Delete what a `.wh.` member names in lower layers: a file or folder, or all its siblings (`.wh..wh..opq`)."""
        parent, name = self._parent(path), path.name.removeprefix(".wh.")
        if name in ("", ".", ".."):  # the last would be a folder of another base
            raise tarfile.TarError(f"{path} deletes nothing that it may")
        for older in list(parent.iterdir()) if name == ".wh..opq" else [parent / name]:
            self._delete_older(older)

    def _delete_older(self, here: Path) -> None:
        """Delete what lower layers have written, and keep what this one has."""
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
