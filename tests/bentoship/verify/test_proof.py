"""The proof: which image of a registry this machine can run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.bases.interpreter import host_platform
from bentoship.errors import NotVerifiedError, StoreError, VerifyError
from bentoship.image.descriptor import CONFIG, INDEX, MANIFEST, Descriptor
from bentoship.image.platforms import platform_fields
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.verify.proof import fitting, verify
from bentoship.verify.runner import RemoteImage
from tests.support.images import put


@pytest.fixture
def store(tmp_path: Path) -> LayoutStore:
    """What stands for the registry."""
    return LayoutStore(tmp_path / "store")


def image(root: Descriptor, store: LayoutStore) -> RemoteImage:
    """An image of the store."""
    return RemoteImage(ImageReference.parse(f"localhost:1/a@{root.digest}"), root, store, True, None, store.folder)


def manifest(store: LayoutStore, platform: str) -> Descriptor:
    """An image without layers."""
    config = put(store, CONFIG, json.dumps({**platform_fields(platform), "rootfs": {"diff_ids": []}}).encode())
    return put(store, MANIFEST, json.dumps({"config": config.to_dict(), "layers": []}).encode())


def index(store: LayoutStore, *platforms: str) -> Descriptor:
    """An index of such images."""
    entries = [{**manifest(store, name).to_dict(), "platform": platform_fields(name)} for name in platforms]
    return put(store, INDEX, json.dumps({"manifests": entries}).encode())


def test_this_machines_image_is_taken(store: LayoutStore) -> None:
    """From an index by the digest of its own, else as it is."""
    own = manifest(store, host_platform())
    chosen = fitting(image(index(store, "linux/vax", host_platform()), store))
    assert (chosen.root, chosen.reference.digest) == (own, own.digest)
    assert fitting(image(own, store)) == image(own, store)


def test_an_image_for_other_machines_says_nothing_of_itself(store: LayoutStore) -> None:
    """For which it is, is told, with another exit code than a failure's."""
    with pytest.raises(NotVerifiedError, match=f"for linux/pdp, linux/vax, and this machine runs {host_platform()}"):
        fitting(image(index(store, "linux/vax", "linux/pdp"), store))
    with pytest.raises(NotVerifiedError, match="for linux/vax") as caught:
        fitting(image(manifest(store, "linux/vax"), store))
    assert caught.value.exit_code == 3


def test_a_damaged_image_is_told(store: LayoutStore) -> None:
    """What is no manifest has no platform."""
    with pytest.raises(StoreError, match="damaged"):
        fitting(image(put(store, MANIFEST, b"{}"), store))


FAILED_WORKER = """\
Traceback (most recent call last):
  File "/home/bentoml/bento/src/service.py", line 5, in <module>
    import cv2
    ^^^^^^^^^^
ImportError: libGL.so.1: cannot open shared object file

Traceback (most recent call last):
    raise exc
RuntimeError: No active process found for watcher.
"""


class Ended:
    """A runner in which every image has ended, with a log."""

    name = "a test"
    address = caution = ""

    def __init__(self, log: str) -> None:
        self.log = lambda: log
        self.ended = lambda: True
        self.obstacle = self.memory = self.stop = lambda: None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[Ended]:
        """Return itself."""
        yield self


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (FAILED_WORKER, "ImportError: libGL.so.1: cannot open shared object file; then RuntimeError: No active"),
        (FAILED_WORKER.partition("\n\n")[0], "ImportError: libGL.so.1: cannot open"),
        ("Starting\n  no stars  \n", "Starting no stars"),
        ("\n", "its log is empty"),
    ],
)
def test_the_error_that_came_first_is_shown(store: LayoutStore, log: str, why: str) -> None:
    """A worker's is the cause of what its parent ends with."""
    with pytest.raises(VerifyError, match=re.escape(f"it ended before it was ready: {why}")) as caught:
        verify(image(manifest(store, host_platform()), store), [Ended(log)], None, print)
    assert ("libGL.so.1" in why) == ("A package needs libGL.so.1, which the image lacks" in caught.value.hint)
