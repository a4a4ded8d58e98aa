"""Hooks by which BentoML takes what uv says of a project: its lock, and the indexes of single packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bentoml._internal.bento import build_config
from bentoml.images import Image

from bentoship.packages.requirements import INDEXES


def keep_indexes(indexes: Callable[[], str]) -> None:
    """Make BentoML put the indexes of single packages beside requirements, before it locks these.

    Args:
        indexes: returns what the project says of them; empty for nothing.
    """
    freeze, write = Image._freeze_python_requirements, build_config.PythonOptions.write_to_bento

    def keep(bento_fs: Path) -> None:
        if text := indexes():
            folder = bento_fs / "env" / "python"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / INDEXES).write_text(text, "utf-8")

    def freeze_and_keep(self: Any, bento_fs: Path, *args: Any) -> str:
        keep(bento_fs)
        return str(freeze(self, bento_fs, *args))

    def write_and_keep(self: Any, bento_fs: Path, *args: Any, **options: Any) -> None:
        keep(bento_fs)
        write(self, bento_fs, *args, **options)

    Image._freeze_python_requirements = freeze_and_keep
    build_config.PythonOptions.write_to_bento = write_and_keep  # type: ignore[method-assign]  # a hook


def take_uv_lock(export: Callable[[], tuple[str, Iterable[Path]]], read: set[Path]) -> None:
    """Make `Image.uv_lock` require what the project's uv.lock has.

    BentoML notes that it is asked for, and loses the note when it merges the Image with the options of the project
    (attrs.evolve in `populate_image_from_build_config` in _bentoml_sdk/images.py), from 1.4.20 to 1.4.40.

    Args:
        export: returns the requirements, and the files that decide on them.
        read: gets these files.
    """

    def uv_lock(self: Any) -> Any:
        text, files = export()
        read.update(files)
        self.python_requirements += text
        self._after_pip_install = True
        return self

    Image.uv_lock = uv_lock
