"""Images put together from layers, without Docker, in an OCI image layout."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from bentoship import transfer
from bentoship.assembly import assemble, check
from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.image.manifest import Image
from bentoship.layers import LayerCache
from bentoship.stores import Store
from bentoship.stores.layout import LayoutStore
from bentoship.transfer import Progress, Result


class DirectBackend:
    """Assembles into a layout, and transfers from there.

    Args:
        cache: layers of all projects.
        layout: the images of this project.
        scratch: a folder for what is needed only meanwhile.
        base: gives the base for a Bento.
        tell: told in words what takes a while, before it begins.
    """

    def __init__(
        self,
        cache: LayerCache,
        layout: LayoutStore,
        scratch: Path,
        base: Callable[[Bento], Base],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cache = cache
        self._layout = layout
        self._scratch = scratch
        self._base = base
        self._tell = tell

    def containerize(self, bento: Bento) -> Image:
        """Assemble the image of a Bento; its blobs and manifest are in the layout then, under the Bento's version."""
        check(bento)
        self._scratch.mkdir(parents=True, exist_ok=True)
        image = assemble(bento, self._base(bento), self._cache, self._scratch, tell=self._tell)
        for layer in image.layers:
            if not self._layout.exists(layer.descriptor):
                self._layout.adopt(self._cache.blob(layer.descriptor), layer.descriptor)
        for descriptor, content in ((image.config_descriptor, image.config), (image.descriptor, image.manifest)):
            self._layout.write(descriptor, io.BytesIO(content), lambda _: None)
        self._layout.tag(image.descriptor, bento.version)
        return image

    def tag(self, image: Image, tags: Sequence[str]) -> None:
        """Name the image in the layout."""
        for tag in tags:
            self._layout.tag(image.descriptor, tag)

    def push(self, image: Image, tags: Sequence[str], target: Store, progress: Progress) -> Result:
        """Send what the target lacks, then set the tags there."""
        return transfer.copy(self._layout, target, image.descriptor, tags=tags, progress=progress)
