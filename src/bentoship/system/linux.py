"""System calls of Linux that Python has no functions for."""

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
"""Kinds of namespaces (linux/sched.h)."""

RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
"""Flags of mounts (linux/mount.h)."""

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: Any) -> int:
    """Call a function of the C library. Raises OSError, which names it."""
    result = getattr(_libc, name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return int(result)


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount, as mount(2) says. Raises OSError."""
    text = [None if value is None else os.fsencode(value) for value in (source, target, kind, data)]
    call("mount", text[0], text[1], text[2], ctypes.c_ulong(flags), text[3])


def prctl(option: int, *args: Any) -> None:
    """Call prctl(2) with an option and its arguments. Raises OSError."""
    call("prctl", option, *args, *(0,) * (4 - len(args)))


def end_with_parent() -> None:
    """Have this process killed when its parent ends; to be repeated after a change of user. Raises OSError."""
    prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG


def permitted(kinds: Sequence[int]) -> Iterator[int]:
    """Yield those kinds of namespaces that this process may enter, and has entered."""
    for kind in kinds:
        with suppress(OSError):
            call("unshare", kind)
            yield kind
