"""What lies on this machine for publishing, and how to be rid of it."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from bentoship.project import Run, once
from bentoship.system import text


@once
def stop_registry(run: Run) -> None:
    """Stop the local registry."""
    from bentoship.providers.local import LocalRegistry

    settings = run.project.settings
    stopped = LocalRegistry(settings.cache, settings.local_registry_port).stop()
    run.reporter.say("stop-registry", "stopped; its images are kept" if stopped else "it does not run")


@once
def clean(run: Run) -> None:
    """Remove what the next publish would make again."""
    cache = run.project.settings.cache
    # What the local registry holds was published, and is nobody's to throw away as a cache.
    found = [path for path in cache.glob("*") if path.name != "registry"]
    freed = 0
    with run.reporter.task("clean"):
        for path in [*found, run.project.layout.parent]:
            freed += _freed_with(path)
            shutil.rmtree(path, ignore_errors=True)
    run.reporter.say("clean", f"removed {text.size(freed)}; what was published in the local registry is kept")


def _freed_with(folder: Path) -> int:
    """The bytes that are free once a folder has gone; others may be removing some of it at this moment."""
    freed = 0
    for below, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                info = Path(below, name).lstat()
                freed += info.st_size if info.st_nlink == 1 else 0
    return freed
