"""Running an image without an engine, with unshare (Linux): in namespaces, or as root in a chroot."""

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
"""The options for new namespaces, which end with the program that unshare starts."""

_NEW_WITH_USERS = ("--user", "--map-root-user", *_NEW)

# Where parts of /proc are masked, as in containers, the kernel refuses to mount a new one: then ours has to do.
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
    """A runner with namespaces for users, mounts and processes; the network is this machine's."""

    name = "a namespace"

    def obstacle(self) -> str | None:
        """Return why namespaces cannot be used; None when they can."""
        if not sys.platform.startswith("linux"):
            return "namespaces need Linux"
        if missing := [name for name in ("unshare", "mount", "sh") if not _which(name)]:
            return f"a namespace needs {', '.join(missing)}, which this machine lacks"
        # A test of everything that is needed: each part may be forbidden separately.
        probe = 'mount -t tmpfs tmpfs /sys && exec "$0" --map-user=1 --map-group=1 --root=/ /bin/sh -c :'
        command = [_which("unshare"), *_NEW_WITH_USERS, _which("sh"), "-c", probe, _which("unshare")]
        done = process.run(command, env=process.environment(), check=False)
        return f"namespaces cannot be created: {done.last_lines}" if done.code else None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        with unpacked(image) as system:
            # The files belong to the namespace's only user, as which the service runs.
            user = (f"--map-user={system.user.uid}", f"--map-group={system.user.gid}")
            with _started(system, [_which("unshare"), *_NEW_WITH_USERS, *_mounting(system.root)], user) as service:
                yield service


class ChrootRunner:
    """A runner with a chroot and the image's own user, and with namespaces for mounts and processes where permitted.

    It is for machines without user namespaces, and for containers.
    """

    name = "a chroot"

    def obstacle(self) -> str | None:
        """Return why chroot cannot be used; None when it can."""
        if not sys.platform.startswith("linux"):
            return "a chroot needs Linux"
        if os.geteuid() != 0:
            return "only root may use chroot"
        if not _which("unshare"):
            return "a chroot needs unshare, which this machine lacks"
        # Without options for namespaces, unshare only changes the root directory and the user.
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
            # The user has to reach its files through a folder that may be accessible to root only.
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
    """Run an image's own command during the block, listening on loopback only.

    Args:
        system: the image's files.
        new: a command that creates namespaces and mounts, then runs the command that follows it.
        user: the options with which unshare changes to the image's user.
        namespaced: whether there is a new process namespace.
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
    """Return a command that mounts what a container has, then runs the command that follows it."""
    for device in DEVICES:
        (root / "dev" / device).touch()
    return [_which("sh"), "-c", _MOUNT, "sh", root, *DEVICES, "--"]


def _which(name: str) -> str:
    """Return the path of a system program, which may not be on PATH; empty when it is missing."""
    return shutil.which(name, path=f"{process.environment().get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin") or ""


def _may_mount() -> bool:
    """Return whether root may mount, which it may not in most containers."""
    probe = [_which("unshare"), *_NEW, _which("sh"), "-c", "mount -t tmpfs tmpfs /sys"]
    return process.run(probe, env=process.environment(), check=False).code == 0


def _make_devices(root: Path) -> None:
    """Create device files where permitted, else empty files; programs can do without all but /dev/null."""
    for name in DEVICES:
        path = root / "dev" / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, Path("/dev", name).stat().st_rdev)
        except PermissionError:
            path.touch()
        path.chmod(0o666)
    (root / "dev" / "shm").chmod(0o1777)


def _give_home(system: System) -> None:
    """Make the user the owner of its home, as in the image; unpacking does not keep owners."""
    home = resolve(system.root, system.user.home)
    if system.user.uid == 0 or home == system.root:
        return
    for folder, _, files in os.walk(home):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - there are thousands
            with suppress(OSError):
                os.chown(path, system.user.uid, system.user.gid, follow_symlinks=False)
