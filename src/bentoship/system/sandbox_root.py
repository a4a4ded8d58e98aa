"""A folder made the root file system of a process, with the mounts that a container has."""

import os
from contextlib import suppress
from pathlib import Path

from bentoship.system.linux import BIND, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, REC, REMOUNT, call, mount

DEVICES = ("null", "zero", "full", "random", "urandom")
"""The devices in /dev that programs rely on."""

# As runc has them (opencontainers/runtime-spec, config-linux.md, "Masked Paths" and "Readonly Paths").
_READ_ONLY = ("proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger")
_MASKED = (
    "proc/acpi", "proc/asound", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug", "proc/scsi",
    "proc/timer_list", "proc/timer_stats", "sys/devices/virtual/powercap", "sys/firmware",
)  # fmt: skip


def make_root(*, read_only: bool, shared_memory: int) -> None:
    """Make the working directory the root file system of this process, which is in a mount namespace of its own.

    Args:
        read_only: whether nothing can be written.
        shared_memory: the bytes of /dev/shm; 0 for no /dev, /proc and /sys at all.

    Raises: OSError.
    """
    mount("none", "/", None, REC | PRIVATE)
    # Its parents may be closed to this user, but the working directory is a way to it, and /tmp one into its new mount.
    mount(".", "/tmp", None, BIND)
    os.chdir("/tmp")
    locked = os.statvfs(".").f_flag & (RDONLY | NOEXEC)
    mount("none", ".", None, REMOUNT | BIND | NOSUID | NODEV | locked)
    if shared_memory:
        mount_system(shared_memory)
    if read_only:
        mount("none", ".", None, REMOUNT | BIND | NOSUID | NODEV | locked | RDONLY)
    call("pivot_root", b".", b".")
    call("umount2", b".", 2)  # MNT_DETACH: what is on top is the old root
    os.chdir("/")


def mount_system(shared_memory: int) -> None:
    """Mount what a container has below the working directory: /dev, and where it is allowed /proc and /sys."""
    plain = NOSUID | NODEV | NOEXEC
    mount("tmpfs", "dev", "tmpfs", NOSUID | NOEXEC, "mode=0755,size=64k")
    for name in DEVICES:
        Path("dev", name).touch()
        mount(f"/dev/{name}", f"dev/{name}", None, BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("dev", name).symlink_to(f"/proc/self/fd{target}")
    Path("dev/shm").mkdir()
    mount("tmpfs", "dev/shm", "tmpfs", plain, f"mode=1777,size={shared_memory}")
    mount("none", "dev", None, REMOUNT | BIND | RDONLY | NOSUID | NOEXEC)
    # Where parts of the host's are covered, as in containers, the kernel refuses new ones: then there are none.
    with suppress(OSError):
        mount("sysfs", "sys", "sysfs", plain | RDONLY)
    with suppress(OSError):
        mount("proc", "proc", "proc", plain)
    for path in filter(os.path.exists, _READ_ONLY):
        mount(path, path, None, BIND | REC)
        mount("none", path, None, REMOUNT | BIND | RDONLY | plain)
    for path in filter(os.path.exists, _MASKED):
        if os.path.isdir(path):  # noqa: PTH112 - as the line above
            mount("tmpfs", path, "tmpfs", plain | RDONLY, "size=0,mode=0555")
        else:
            mount("dev/null", path, None, BIND)
