"""An image's files, started without an engine by unshare (Linux): in namespaces, or with another / by root."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bentoship.system import process
from bentoship.system.rootfs import resolve
from bentoship.verify.linux import HostProcess, end_all_in, free_port
from bentoship.verify.runner import RemoteImage
from bentoship.verify.unpacked import DEVICES, System, unpacked

_NEW = ("--mount", "--pid", "--fork", "--kill-child")
"""The new namespaces that unshare makes; all of them are gone with the program that it starts."""

_NEW_WITH_USERS = ("--user", "--map-root-user", *_NEW)

# Where /proc has been covered in part, as in containers, the kernel refuses a new one: then ours is better than none.
_MOUNT = """\
set -eu
root=$1; shift
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
mount --rbind /sys "$root/sys" || true
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
while [ "$1" != -- ]; do
    mount --bind "/dev/$1" "$root/dev/$1"
    shift
done
shift
exec "$@"
"""


class NamespaceRunner:
    """Starts an image with users, mounts and processes of its own; the network is this machine's."""

    name = "a namespace"

    def obstacle(self) -> str | None:
        """Return why namespaces cannot be had; None when they can."""
        if not sys.platform.startswith("linux"):
            return "namespaces are Linux's"
        if missing := [name for name in ("unshare", "mount", "sh") if not _which(name)]:
            return f"{', '.join(missing)} is missing for a namespace"
        # The whole of it: each part may be forbidden by itself.
        probe = 'mount -t tmpfs tmpfs /sys && exec "$0" --map-user=1 --map-group=1 --root=/ /bin/sh -c :'
        command = [_which("unshare"), *_NEW_WITH_USERS, _which("sh"), "-c", probe, _which("unshare")]
        done = process.run(command, env=process.environment(), check=False)
        return f"no namespace can be made: {done.last_lines}" if done.code else None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        with unpacked(image) as system:
            # The files belong to the one user that there is, and so does the service.
            user = (f"--map-user={system.user.uid}", f"--map-group={system.user.gid}")
            with _started(system, [_which("unshare"), *_NEW_WITH_USERS, *_mounting(system.root)], user) as service:
                yield service


class ChrootRunner:
    """Starts an image as its own user, with files of its own, and with mounts and processes where root may have them.

    It is for where users cannot have namespaces, and for containers.
    """

    name = "a chroot"

    def obstacle(self) -> str | None:
        """Return why / cannot be changed; None when it can."""
        if not sys.platform.startswith("linux"):
            return "a chroot of Linux's needs Linux"
        if os.geteuid() != 0:
            return "only root may chroot"
        if not _which("unshare"):
            return "unshare is missing for a chroot"
        # Without a namespace to make, it is but the program that changes / and the user.
        command = [_which("unshare"), "--root=/", "/bin/sh", "-c", ":"]
        done = process.run(command, env=process.environment(), check=False)
        return f"chroot is forbidden: {done.last_lines}" if done.code else None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        with unpacked(image) as system:
            mounts = _may_mount()
            if not mounts:
                _make_devices(system.root)
            _give_home(system)
            # On the way to its files a user has to get through folders that may be root's alone.
            system.root.parent.chmod(0o711)
            user = (f"--setuid={system.user.uid}", f"--setgid={system.user.gid}")
            new = [_which("unshare"), *_NEW, *_mounting(system.root)] if mounts else []
            try:
                with _started(system, new, user, namespaced=mounts) as service:
                    yield service
            finally:
                end_all_in(system.root)


@contextmanager
def _started(
    system: System, new: Sequence[str | Path], user: Sequence[str], *, namespaced: bool = True
) -> Iterator[HostProcess]:
    """Start an image's own command for as long as the block lasts, listening on loopback alone.

    Args:
        system: the image's files.
        new: the command that makes namespaces and mounts, and goes on with the command that follows it.
        user: what has unshare change to the image's user.
        namespaced: whether there is a new namespace of processes.
    """
    port = free_port()
    env = {**system.env, "PORT": str(port), "BENTOML_HOST": "127.0.0.1"}
    inside = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items()), *system.command]
    command = [*new, _which("unshare"), *user, f"--root={system.root}", f"--wd={system.folder}", *inside]
    service = HostProcess(command, port=port, log=system.root.parent / "log", namespaced=namespaced)
    try:
        yield service
    finally:
        service.kill()


def _mounting(root: Path) -> list[str | Path]:
    """Return the command that mounts what a container has, and goes on with the command that follows it."""
    for device in DEVICES:
        (root / "dev" / device).touch()
    return [_which("sh"), "-c", _MOUNT, "sh", root, *DEVICES, "--"]


def _which(name: str) -> str:
    """Return the path of one of the system's programs, which may not be on PATH; empty when it is missing."""
    return shutil.which(name, path=f"{process.environment().get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin") or ""


def _may_mount() -> bool:
    """Return whether root may do what root may do, as is not so in containers."""
    probe = [_which("unshare"), *_NEW, _which("sh"), "-c", "mount -t tmpfs tmpfs /sys"]
    return process.run(probe, env=process.environment(), check=False).code == 0


def _make_devices(root: Path) -> None:
    """Make devices, where they may be made; for all but /dev/null there are ways without."""
    for name in DEVICES:
        path = root / "dev" / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, Path("/dev", name).stat().st_rdev)
        except PermissionError:
            path.touch()
        path.chmod(0o666)
    (root / "dev" / "shm").chmod(0o1777)


def _give_home(system: System) -> None:
    """Give the user its home, as in the image; unpacking has kept no owners."""
    home = resolve(system.root, system.user.home)
    if system.user.uid == 0 or home == system.root:
        return
    for folder, _, files in os.walk(home):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - there are thousands
            with suppress(OSError):
                os.chown(path, system.user.uid, system.user.gid, follow_symlinks=False)
