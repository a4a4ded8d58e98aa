"""Images unpacked to be started without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bentoship.errors import StoreError
from bentoship.image.descriptor import CONFIG, MANIFEST, Descriptor
from bentoship.image.layer import symlink, tar_stream
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.verify.container import User
from bentoship.verify.runner import RemoteImage
from bentoship.verify.unpacked import unpacked
from tests.support.images import noise, put, put_image_of

SERVED = {"Entrypoint": ["/bin/serve"]}


def image(folder: Path, root: Descriptor, store: LayoutStore) -> RemoteImage:
    """An image that is pulled from a layout."""
    reference = ImageReference.parse(f"localhost:1/a@{root.digest}")
    return RemoteImage(reference, root, store, True, None, folder / "scratch")


def test_files_are_there_as_long_as_needed(tmp_path: Path) -> None:
    """With the folders that a container has."""
    store = LayoutStore(tmp_path / "store")
    root = put_image_of(store, {"content": noise(3000, 1)}, settings=SERVED)
    with unpacked(image(tmp_path, root, store)) as system:
        assert (system.root / "content").stat().st_size == 3000
        assert all((system.root / name).is_dir() for name in ("dev/shm", "proc", "sys", "tmp"))
        assert (system.folder, system.user, system.env["HOME"]) == ("/", User(0, 0, "/root"), "/root")
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize("name", ["dev", "dev/shm", "proc", "sys", "tmp"])
def test_links_in_an_image_do_not_lead_to_this_machine(tmp_path: Path, name: str) -> None:
    """What a container has in these places is made below the image's root, and nothing else changes."""
    outside, store = tmp_path / "outside", LayoutStore(tmp_path / "store")
    outside.mkdir(mode=0o755)
    (outside / "file").touch()
    root = put_image_of(store, b"".join(tar_stream([symlink(name, str(outside))])), settings=SERVED)
    with unpacked(image(tmp_path, root, store)) as system:
        assert (system.root / name).is_dir()
        assert not (system.root / name).is_symlink()
        assert outside.stat().st_mode & 0o7777 == 0o755
        assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_damaged_image_is_told(tmp_path: Path) -> None:
    """A configuration that says nothing of the layers is none."""
    store = LayoutStore(tmp_path / "store")
    described = put(store, CONFIG, json.dumps({"os": "linux"}).encode()).to_dict()
    root = put(store, MANIFEST, json.dumps({"config": described, "layers": []}).encode())
    with pytest.raises(StoreError, match="damaged"), unpacked(image(tmp_path, root, store)):
        pass
