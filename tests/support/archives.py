"""Tars: exported models unpacked, and what is hard on those that unpack it."""

import io
import tarfile
from pathlib import Path


def unpack(path: Path, folder: Path) -> None:
    """Unpack an exported model; early releases of Python 3.11 know no filters, and need none for one of our own."""
    with tarfile.open(path) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)


def sparse_tar(name: str) -> bytes:
    """Return a tar with a file of 4 EB, of which nothing is stored (GNU tar, "PAX Format, Version 1.0")."""
    member = tarfile.TarInfo(f"GNUSparseFile.0/{name}")
    size = {"GNU.sparse.realsize": str(1 << 62), "GNU.sparse.name": name}
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", **size}
    member.size = 512
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(b"0\n".ljust(512, b"\0")))
    return stream.getvalue()
