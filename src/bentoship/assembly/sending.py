"""Blobs on their way to a registry: what several runs have, one of them sends, and the others have it mounted."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.layers.limit import MAKING
from bentoship.system.files import file_lock
from bentoship.system.records import key_of
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Sending:
    """The blobs that this machine is sending to a registry.

    Args:
        cache: the folder of the cache of layers, which the runs have in common.
        target: the repository that this run sends to.
    """

    cache: Path
    target: ImageReference

    @contextmanager
    def turn(self, blob: Descriptor) -> Iterator[None]:
        """Have other runs that send a blob to the same registry wait for the block, in which it is sent."""
        file = self._file(blob)
        with file_lock(file):
            yield
            with suppress(OSError):  # a disk may be full; it is sent all the same
                file.write_text(self.target.path, "utf-8")

    def sent_to(self, blob: Descriptor) -> str:
        """Return the path of another repository that a blob was sent to; empty for none."""
        path = self._file(blob).read_text("utf-8")
        return path if path != self.target.path else ""

    def _file(self, blob: Descriptor) -> Path:
        return self.cache / MAKING / key_of("sending", self.target.host, blob.digest)
