"""Stopping the local registry and removing what publishing has cached."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from bentoship.errors import BentoshipError
from bentoship.project import Run, once
from bentoship.system import text


@once
def stop_registry(run: Run) -> None:
    """Stop the local registry."""
    from bentoship.providers.local import LocalRegistry

    settings = run.project.settings
    stopped = LocalRegistry(settings.cache, settings.local_registry_port).stop()
    run.reporter.say("stop-registry", "stopped; its images are kept" if stopped else "it is not running")


@once
def clean(run: Run) -> None:
    """Remove what the next publish would rebuild. Raises BentoshipError while another run uses it."""
    cache, layers = run.project.settings.cache, run.layers.folder
    with run.use_cache().alone() as is_alone:
        if not is_alone:
            raise BentoshipError("Clean the cache", "another run is using it", "Wait until it has ended.")
        # What cannot be rebuilt is kept: the images in the local registry and the record of earlier pushes. So are the
        # files by which runs wait for each other.
        found = [path for path in cache.glob("*") if path.name not in ("registry", "history", "locks", layers.name)]
        # Layers behind a symbolic link may be shared with others.
        made = [] if layers.is_symlink() else layers.glob("[!.]*")
        freed = 0
        with run.reporter.task("clean"):
            for path in [*found, *made, run.project.layout.parent]:
                freed += _freed_with(path)
                shutil.rmtree(path, ignore_errors=True)
    run.reporter.say("clean", f"removed {text.size(freed)}; the images in the local registry are kept")


def _freed_with(folder: Path) -> int:
    """Return the bytes that removing a folder frees; parts of it may be disappearing at the same time."""
    freed = 0
    for below, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                info = Path(below, name).lstat()
                freed += info.st_size if info.st_nlink == 1 else 0
    return freed
