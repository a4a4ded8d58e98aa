"""Unpacking the layers of an image."""

import gzip
import hashlib
import io
from pathlib import Path

import pytest

from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_GZIP, Descriptor
from bentoship.image.layer import Entry, Layer, tar_stream
from bentoship.stores import unpacking
from bentoship.stores.layout import LayoutStore
from bentoship.stores.unpacking import unpack
from tests.support.archives import sparse_tar


def stored(store: LayoutStore, plain: bytes) -> Layer:
    """Return a layer that a store has."""
    blob = gzip.compress(plain)
    descriptor = Descriptor.of(LAYER_GZIP, blob)
    store.write(descriptor, io.BytesIO(blob), lambda _: None)
    return Layer(descriptor, f"sha256:{hashlib.sha256(plain).hexdigest()}", "layer", "base")


def test_a_layer_is_unpacked(tmp_path: Path) -> None:
    """Whole, if it is what its diff id says."""
    store, folder = LayoutStore(tmp_path / "store"), tmp_path / "files"
    folder.mkdir()
    unpack([stored(store, b"".join(tar_stream([Entry("a", content=b"hello")])))], store, folder)
    assert (folder / "a").read_bytes() == b"hello"


def test_a_layer_that_hardly_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the disk: zeros compress to a thousandth, files of a system to a third."""
    store, folder = LayoutStore(tmp_path / "store"), tmp_path / "files"
    folder.mkdir()
    monkeypatch.setattr(unpacking, "_SMALL", 1 << 20)  # the same for less work
    bomb = b"".join(tar_stream([Entry("a", content=bytes(2 << 20))]))
    with pytest.raises(StoreError, match=r"unpack to more than 1\.0 MB"):
        unpack([stored(store, bomb)], store, folder)


def test_a_sparse_file_counts_whole(tmp_path: Path) -> None:
    """A header can claim exabytes of which nothing is stored."""
    store, folder = LayoutStore(tmp_path / "store"), tmp_path / "files"
    folder.mkdir()
    with pytest.raises(StoreError, match="unpack to more than"):
        unpack([stored(store, sparse_tar("a"))], store, folder)
