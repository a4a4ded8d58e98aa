"""Reading from where a content is nearest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bentoship.errors import StoreError
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.stores.layout import LayoutStore
from bentoship.stores.nearest import Nearest

CONTENT = b"content"
DESCRIPTOR = Descriptor.of(LAYER_TAR, CONTENT)


def store(folder: Path, *contents: bytes) -> LayoutStore:
    """One that holds these."""
    made = LayoutStore(folder)
    for content in contents:
        made.write(Descriptor.of(LAYER_TAR, content), io.BytesIO(content), lambda _: None)
    return made


def read(nearest: Nearest) -> bytes:
    """The content, whole."""
    with nearest.open(DESCRIPTOR) as content:
        return content.read()


def test_what_is_near_is_not_fetched(tmp_path: Path) -> None:
    """The far store is not touched for what one of the near ones has."""
    near, far = store(tmp_path / "near", CONTENT), store(tmp_path / "far", CONTENT)
    far.path(DESCRIPTOR).unlink()
    assert read(Nearest((store(tmp_path / "empty"), near), far)) == CONTENT


def test_what_is_far_is_fetched_if_it_is_small(tmp_path: Path) -> None:
    """Else it is told to be missing, as where there is no far store at all."""
    near, far = store(tmp_path / "near"), store(tmp_path / "far", CONTENT)
    assert read(Nearest((near,), far)) == CONTENT
    with pytest.raises(StoreError, match="no longer on this machine"):
        read(Nearest((near,), far, most=len(CONTENT) - 1))
    with pytest.raises(StoreError, match="no longer on this machine"):
        read(Nearest((near,)))
