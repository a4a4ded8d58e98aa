"""A file system that nobody else uses, so that what others have removed from theirs does not count."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import UnmeasuredError

_MOST = 64 << 30
"""Bytes; it takes no more than what is written to it."""


@contextmanager
def own() -> Iterator[Path]:
    """An ext4 as Debian makes it, in a file; it goes with the block.

    On one without a journal, as machines for tests have, making files takes several times as long within minutes of
    removing others (Linux, fs/ext4/ialloc.c, recently_deleted), and for a first time much has to be removed.

    Yields: the folder where it is mounted. Raises: UnmeasuredError when it cannot be made, such as without root.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        file, folder = Path(name, "disk"), Path(name, "disk.d")
        folder.mkdir()
        free = os.statvfs(name).f_bavail * os.statvfs(name).f_frsize
        with file.open("wb") as stream:
            stream.truncate(min(_MOST, free))
        _system("mkfs.ext4", "-q", str(file))
        # Past the page cache, in which else all would lie twice.
        device = _system("losetup", "--find", "--show", "--direct-io=on", str(file))
        try:
            _system("mount", device, str(folder))
            try:
                yield folder
            finally:
                _system("umount", "--lazy", str(folder))
        finally:
            _system("losetup", "--detach", device)


def _system(*command: str) -> str:
    env = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    except OSError as error:
        raise UnmeasuredError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise UnmeasuredError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
