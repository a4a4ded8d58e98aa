"""A system's files in a folder of ours: paths read as that system reads them, tars unpacked without root or trust."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from bentoship.system.files import lock, write_whole, writing

MAX_LINKS = 40
"""As many links as Linux follows in one path."""


def resolve(root: Path, path: str | PurePosixPath) -> Path:
    """Where a path of the system lies on this machine, every link followed as if `root` were /.

    The result need not exist; it never lies outside of `root`.

    Raises:
        OSError: the links go round in circles.
    """
    found: list[str] = []
    left = list(reversed(PurePosixPath("/", path).parts[1:]))
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            found = found[:-1]
            continue
        here = root.joinpath(*found, part)
        if not here.is_symlink():
            found.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(f"Too many links in {path}")
        target = PurePosixPath(here.readlink())
        if target.is_absolute():
            found = []
        left += [part for part in reversed(target.parts) if part != "/"]
    return root.joinpath(*found)


def make_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder unless it is there as it was made; under another name meanwhile, so that it is never half there.

    Args:
        folder: is safe to make from several processes at once.
        fill: puts everything into the empty folder that it is given.
    """
    with lock(folder.parent / "lock"):
        if is_as_made(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        for abandoned in folder.parent.glob(".partial-*"):  # by a run that was killed: who holds the lock is alone
            shutil.rmtree(abandoned)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
        try:
            fill(partial)
            write_whole(_record(folder), _state(partial).encode())
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def is_as_made(folder: Path) -> bool:
    """Whether a folder that `make_once` made is there, and no file in it was changed, added or lost since."""
    try:
        return folder.is_dir() and _record(folder).read_bytes() == _state(folder).encode()
    except OSError:
        return False


def _record(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.state")


def _state(folder: Path) -> str:
    """A hash over the name, kind, size and time of every file: reading all of them would take seconds."""
    lines: list[str] = []

    def look(path: str, below: str) -> None:
        # Texts, and entries of folders: to make a Path of each of thousands of files takes as long as to look at it.
        with os.scandir(path) as listing:
            found = sorted(listing, key=lambda one: one.name)
        for one in found:
            info = one.stat(follow_symlinks=False)
            is_folder = stat.S_ISDIR(info.st_mode)
            whole = "" if is_folder else f"{info.st_size} {info.st_mtime_ns}"
            lines.append(f"{below}{one.name}\0{info.st_mode} {whole}\n")
            if is_folder:
                look(one.path, f"{below}{one.name}/")

    look(str(folder), "")
    return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()


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
        """Look again where folders lie: a link was made or removed."""
        self._folders.clear()

    def folder(self, path: PurePosixPath) -> None:
        here = self._parent(path) / path.name
        if here.is_symlink() or not here.is_dir():
            self._remove(here)
            here.mkdir()
        here.chmod(0o755)
        self._written.add(here)

    def free(self, path: PurePosixPath) -> Path:
        """Where to write the path, with nothing there yet."""
        here = self._parent(path) / path.name
        self._remove(here)
        self._written.add(here)
        return here

    def link(self, path: PurePosixPath, source: PurePosixPath) -> None:
        original = self._parent(source) / source.name
        here = self._parent(path) / path.name
        if here != original:
            os.link(original, self.free(path), follow_symlinks=False)

    def white_out(self, path: PurePosixPath) -> None:
        parent = self._parent(path)
        name = path.name.removeprefix(".wh.")
        if name != ".wh..opq":
            self._delete_older(parent / name)
            return
        for older in list(parent.iterdir()):
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
