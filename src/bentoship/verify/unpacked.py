"""An image unpacked into a folder of this machine, ready to be started without an engine."""

import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentoship.errors import NotVerifiedError, StoreError
from bentoship.stores.graph import read_image
from bentoship.stores.layout import LayoutStore
from bentoship.stores.transfer import copy
from bentoship.stores.unpacking import LAYER_TYPES, unpack
from bentoship.system.files import temporary_folder
from bentoship.system.rootfs import resolve
from bentoship.system.sandbox_root import DEVICES
from bentoship.system.text import flaw
from bentoship.verify.container import System, described
from bentoship.verify.runner import RemoteImage

_HOSTS = "127.0.0.1 localhost sandbox\n::1 localhost\n"


@contextmanager
def unpacked(image: RemoteImage) -> Iterator[System]:
    """Pull and unpack an image into a folder that is removed after the block.

    Raises:
        StoreError: it cannot be pulled, or is damaged.
        NotVerifiedError: a layer cannot be unpacked here.
        VerifyError: no program can be started as it says.
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
        system = described(root, config)
        yield replace(system, env={**system.env, **image.variables})


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
        raise StoreError(doing, f"it is damaged ({flaw(error)})") from error
