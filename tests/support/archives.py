"""Exported models, unpacked."""

import tarfile
from pathlib import Path


def unpack(path: Path, folder: Path) -> None:
    """Unpack an exported model; early releases of Python 3.11 know no filters, and need none for one of our own."""
    with tarfile.open(path) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)
