"""Stopping the local registry and removing what publishing has cached."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bentoship.errors import BentoshipError
from bentoship.project import Run, once
from bentoship.system import text
from bentoship.system.files import remove_tree
from bentoship.system.values import dataclass

_PATIENCE = 2.0
"""Seconds to wait for a run that is just ending."""


@once
def stop_registry(run: Run) -> None:
    """Stop the local registry."""
    from bentoship.providers.local import LocalRegistry

    settings = run.project.settings
    stopped = LocalRegistry(settings.cache, settings.local_registry_port).stop()
    run.reporter.say("stop-registry", "stopped; its images are kept" if stopped else "it is not running")


@once
def clean(run: Run) -> None:
    """Remove what the next publish would rebuild.

    Raises: BentoshipError while another run uses it, or when something cannot be removed; all else is.
    """
    cache, layers = run.project.settings.cache, run.layers.folder
    with run.use_cache().alone(_PATIENCE) as is_alone:
        if not is_alone:
            raise BentoshipError("Clean the cache", "another run is using it", "Wait until it has ended.")
        # What cannot be rebuilt is kept: the images in the local registry and the record of earlier pushes. So are the
        # files by which runs wait for each other.
        found = [path for path in cache.glob("*") if path.name not in ("registry", "history", "locks", layers.name)]
        # What is behind a symbolic link may be shared with others.
        made = [] if layers.is_symlink() else list(layers.glob("[!.]*"))
        linked = [path for path in (layers, *found) if path.is_symlink()]
        places = [path for path in (*found, *made, run.project.layout.parent) if path not in linked]
        with run.reporter.task("clean"):
            removed = [_removed(path) for path in places if os.path.lexists(path)]
    _report(run, removed, linked)
    if left := [file for one in removed for file in one.left]:
        shown = "; ".join(left[:3]) + (f"; and {len(left) - 3} more" if len(left) > 3 else "")
        raise BentoshipError("Clean the cache", f"skipped {shown}", "Remove it as the user that it belongs to.")


@dataclass(frozen=True)
class _Removed:
    """What was removed of a file or folder.

    Args:
        path: where it was.
        bytes: how many that freed.
        left: the files and folders that could not be removed, each with why.
    """

    path: Path
    bytes: int
    left: Sequence[str]


def _report(run: Run, removed: Sequence[_Removed], linked: Sequence[Path]) -> None:
    """Report what was removed, the largest first, and what was not."""
    for one in sorted(removed, key=lambda one: -one.bytes):
        if one.bytes:
            run.reporter.say("clean", f"removed {text.size(one.bytes)} in {one.path}")
    for path in linked:
        run.reporter.say("clean", f"skipped {path}: it is a symbolic link")
    total = text.size(sum(one.bytes for one in removed))
    run.reporter.say("clean", f"removed {total}; the images in the local registry are kept")


def _removed(path: Path) -> _Removed:
    """Remove a file or folder, as far as possible."""
    before = _own_bytes(path)
    if path.is_dir():
        remove_tree(path)
    else:
        with suppress(OSError):
            path.unlink()
    left = _own_bytes(path)
    return _Removed(path, sum(before.values()) - sum(left.values()), [*filter(None, map(_failure, left))])


def _failure(path: Path) -> str:
    """Return a path with why it cannot be removed; empty if it can."""
    try:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _own_bytes(path: Path) -> dict[Path, int]:
    """Return what would be freed by removing each file and empty folder in a place; parts of it may be disappearing."""
    found = {}
    for below, folders, names in os.walk(path):
        for name in names if names or folders else [""]:
            with suppress(OSError):
                info = Path(below, name).lstat()
                found[Path(below, name)] = info.st_size if name and info.st_nlink == 1 else 0
    if not path.is_dir() and os.path.lexists(path):
        found[path] = path.lstat().st_size
    return found
