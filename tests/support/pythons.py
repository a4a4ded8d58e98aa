"""A base image with a Python of this machine that its Debian does not have, as `python:X.Y-slim` is one."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

from bentoship.bases import Base
from bentoship.image.descriptor import Descriptor
from bentoship.layers.cache import LayerCache
from bentoship.stores import Store
from tests.support.images import put_image_of

_LEFT_OUT = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter"}


def put_python_image(store: Store, system: Base, layers: LayerCache, python: str) -> Descriptor:
    """Write an image of a system, with a Python of this machine in /usr/local beside the one that it has.

    Args:
        store: gets it.
        system: of this machine's platform.
        layers: has the system's layers.
        python: the path of the Python.

    Returns: the manifest's descriptor.
    """
    own = [gzip.decompress(layers.blob(layer.descriptor).read_bytes()) for layer in system.layers]
    env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    return put_image_of(store, *own, _tar_of_python(python), settings={"Env": env})


def _tar_of_python(python: str) -> bytes:
    code = "import sys; print(sys.base_prefix, *sys.version_info[:2], sep='\\n')"
    prefix, *version = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    name = f"python{'.'.join(version)}"

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if _LEFT_OUT & {*Path(member.name).parts} else member

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(Path(prefix, "bin", name).resolve(), f"usr/local/bin/{name}", filter=kept)
        archive.add(Path(prefix, "lib", name), f"usr/local/lib/{name}", filter=kept)
        # Where the loader finds it without a cache, which the image of Docker Hub has.
        for library in Path(prefix, "lib").glob(f"lib{name}*.so.*"):
            archive.add(library.resolve(), f"usr/lib/{library.name}", filter=kept)
    return stream.getvalue()
