"""An image unpacked into a folder of this machine, ready to be started without an engine."""

import os
import re
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bentoship.errors import NotVerifiedError, StoreError
from bentoship.image.manifest import variables
from bentoship.image.platforms import DEFAULT_PATH
from bentoship.stores.graph import read_image
from bentoship.stores.layout import LayoutStore
from bentoship.stores.transfer import copy
from bentoship.stores.unpacking import LAYER_TYPES, unpack
from bentoship.system.files import temporary_folder
from bentoship.system.rootfs import resolve
from bentoship.system.sandbox_root import DEVICES
from bentoship.verify.runner import RemoteImage

_HIGHEST_ID = (1 << 31) - 1
"""The highest user or group that engines take."""

_HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost\n"


@dataclass(frozen=True)
class User:
    """The user as which a container's program runs."""

    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class System:
    """An unpacked image.

    Args:
        root: the folder that is its root directory.
        command: the program and its arguments.
        env: the program's whole environment.
        folder: the program's working directory.
        user: the user as which the program runs.
    """

    root: Path
    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    user: User


@contextmanager
def unpacked(image: RemoteImage) -> Iterator[System]:
    """Pull and unpack an image into a folder that is removed after the block.

    Raises:
        StoreError: it cannot be pulled, or is damaged.
        NotVerifiedError: a layer cannot be unpacked here.
    """
    with temporary_folder(image.scratch, "verify-", wait=True) as folder:
        root = Path(folder, "root")
        root.mkdir()
        pulled = Path(folder, "pulled")
        config = _unpack(image, LayoutStore(pulled), root)
        shutil.rmtree(pulled)
        for name in ("dev", "dev/shm", "proc", "sys"):
            _empty(root / name)
        if not (root / "tmp").is_dir() or (root / "tmp").is_symlink():
            _empty(root / "tmp")
        (root / "tmp").chmod(0o1777)
        # It has no network, and learns nothing of this machine's.
        for name, content in (("etc/hosts", _HOSTS), ("etc/resolv.conf", "")):
            with suppress(OSError):
                resolve(root, name).write_text(content, "utf-8")
        user = _user(root, str(config.get("User") or ""))
        env = {"PATH": DEFAULT_PATH, "HOME": user.home, **variables(config)}
        command = (*(config.get("Entrypoint") or []), *(config.get("Cmd") or []))
        yield System(root, tuple(map(str, command)), env, config.get("WorkingDir") or "/", user)


def make_devices(root: Path) -> None:
    """Create device files where permitted, else empty files; programs can do without all but /dev/null."""
    for name in DEVICES:
        path = root / "dev" / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, Path("/dev", name).stat().st_rdev)
        except PermissionError:
            path.touch()
        path.chmod(0o666)
    (root / "dev" / "shm").chmod(0o1777)


def _empty(folder: Path) -> None:
    """Put an empty folder in the place of whatever an image has there, such as a link to a folder of this machine."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir()


def _unpack(image: RemoteImage, layout: LayoutStore, root: Path) -> dict[str, Any]:
    """Pull and unpack an image into a folder. Returns: the `config` object of the image's configuration."""
    doing = f"Unpack {image.reference}"
    try:
        copy(image.store, layout, image.root)
        pulled = read_image(layout, image.root)
        for layer in pulled.layers:
            if layer.descriptor.media_type not in LAYER_TYPES:
                why = f"a layer has the unsupported type {layer.descriptor.media_type}"
                raise NotVerifiedError(doing, why, "Install Docker or podman, which can unpack it.")
        unpack(pulled.layers, layout, root)
        return pulled.settings
    except (EOFError, tarfile.TarError, zlib.error) as error:
        raise StoreError(doing, f"it is damaged ({error!r})") from error


def _user(root: Path, named: str) -> User:
    """Return the user that an image names as NAME or ID, with an optional :GROUP, looked up in its /etc/passwd.

    Raises: NotVerifiedError when there is no such user or group.
    """
    name, _, group = named.partition(":")
    lines = _table(root, "passwd")
    entry = next((line for line in lines if name in (line[0], line[2])), None) if name else None
    uid = _id(entry[2] if entry else name or "0", named)
    gid = _id(entry[3], named) if entry else 0
    if group:
        known = next((line for line in _table(root, "group") if group in (line[0], line[2])), None)
        gid = _id(known[2] if known else group, named)
    return User(uid, gid, entry[5] if entry else "/root" if uid == 0 else "/")


def _id(text: str, named: str) -> int:
    """Return the number of a user or group. Args: text: the number; named: the user that the image names."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _HIGHEST_ID:
        why = f"its user is {named!r}, which is neither in its /etc/passwd nor a number from 0 to {_HIGHEST_ID}"
        raise NotVerifiedError("Start the image", why, "Change USER where the base image is made.")
    return int(text)


def _table(root: Path, name: str) -> list[list[str]]:
    try:
        text = resolve(root, f"etc/{name}").read_text("utf-8", "replace")
    except OSError:
        return []
    rows = (line.split(":") for line in text.splitlines())
    return [row for row in rows if len(row) >= (7 if name == "passwd" else 3)]
