"""A registry in folders: repositories side by side, for tests that need neither a program nor a network."""

from __future__ import annotations

from pathlib import Path

from bentoship.image.descriptor import Descriptor
from bentoship.stores.layout import LayoutStore


class FolderRegistry(LayoutStore):
    """One repository of a registry: a layout, with the others in the same folder.

    Args:
        root: the folder of the registry.
        path: of the repository, such as "team/echo".
    """

    def __init__(self, root: Path, path: str) -> None:
        super().__init__(root / path)
        self.root = root

    def mount(self, descriptor: Descriptor, from_path: str) -> bool:
        """Take a blob from another repository; whether it is there now."""
        source = LayoutStore(self.root / from_path)
        if not source.exists(descriptor):
            return False
        self.adopt(source.path(descriptor), descriptor)
        return True
