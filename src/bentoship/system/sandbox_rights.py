"""What a program may do: its user, its limits, no capability, and a filter of system calls."""

import ctypes
import os
import resource
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bentoship.system.linux import call, prctl

_CAPABILITIES = 64
"""More than there are."""


class Filter(ctypes.Structure):
    """A program that decides on system calls (struct sock_fprog)."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def become(owner: Sequence[int]) -> None:
    """Become an unprivileged user of the host for good. Raises OSError."""
    os.setgroups([])
    os.setresgid(owner[1], owner[1], owner[1])
    os.setresuid(owner[0], owner[0], owner[0])
    prctl(4, 1)  # PR_SET_DUMPABLE: else its own files in /proc belong to root


def limit(limits: Mapping[str, int]) -> None:
    """Set the limits of this process and all that it starts; none is raised."""
    for name, value in {**limits, "CORE": 0}.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def give_up_rights(owner: Sequence[int] | None, program: bytes = b"") -> None:
    """Give up all capabilities for good.

    Args:
        owner: the user to become, where this process is root of the host.
        program: decides on system calls from now on.

    Raises: OSError.
    """
    for number in range(_CAPABILITIES):
        with suppress(OSError):  # there is no such capability, or this process has none
            prctl(24, number)  # PR_CAPBSET_DROP
    prctl(47, 4)  # PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
    if owner:
        become(owner)
    call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24))
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    if program:
        # PR_SET_SECCOMP, SECCOMP_MODE_FILTER; each instruction has 8 bytes.
        prctl(22, 2, ctypes.byref(Filter(len(program) // 8, program)))
