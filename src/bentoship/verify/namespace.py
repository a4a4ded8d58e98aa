"""An image's files, started in namespaces of their own: without root and without an engine, on Linux."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bentoship.system import process
from bentoship.verify.linux import HostProcess, free_port
from bentoship.verify.runner import RemoteImage
from bentoship.verify.unpacked import DEVICES, System, unpacked

NEW = ("--mount", "--pid", "--fork", "--kill-child")
"""What unshare makes anew; all of it is gone with the program that it starts."""

_NEW = ("--user", "--map-root-user", *NEW)

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
        if missing := [name for name in ("unshare", "mount", "sh") if not which(name)]:
            return f"{', '.join(missing)} is missing for a namespace"
        # The whole of it: each part may be forbidden by itself.
        probe = 'mount -t tmpfs tmpfs /sys && exec "$0" --map-user=1 --map-group=1 --root=/ /bin/sh -c :'
        command = [which("unshare"), *_NEW, which("sh"), "-c", probe, which("unshare")]
        done = process.run(command, env=process.environment(), check=False)
        return f"no namespace can be made: {done.last_lines}" if done.code else None

    @contextmanager
    def run(self, image: RemoteImage) -> Iterator[HostProcess]:
        """Pull, unpack and start an image. Raises StoreError, ProcessError or NotVerifiedError."""
        with unpacked(image) as system:
            port = free_port()
            # The files belong to the one user that there is, and so does the service.
            user = (f"--map-user={system.user.uid}", f"--map-group={system.user.gid}")
            new = [which("unshare"), *_NEW, *mounting(system.root)]
            command = [*new, *entering(system, user), *start(system, port)]
            service = HostProcess(command, port=port, log=system.root.parent / "log")
            try:
                yield service
            finally:
                service.kill()


def mounting(root: Path) -> list[str | Path]:
    """Return the command that mounts what a container has, and goes on with the command that follows it."""
    for device in DEVICES:
        (root / "dev" / device).touch()
    return [which("sh"), "-c", _MOUNT, "sh", root, *DEVICES, "--"]


def entering(system: System, user: Sequence[str]) -> list[str | Path]:
    """Return the command that changes /, folder and user, and goes on with the command that follows it."""
    return [which("unshare"), *user, f"--root={system.root}", f"--wd={system.folder}"]


def start(system: System, port: int) -> list[str]:
    """Return the command that starts the service inside: the image's own, listening on loopback alone."""
    env = {**system.env, "PORT": str(port), "BENTOML_HOST": "127.0.0.1"}
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in env.items()), *system.command]


def which(name: str) -> str:
    """Return the path of one of the system's programs, which may not be on PATH; empty when it is missing."""
    return shutil.which(name, path=f"{process.environment().get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin") or ""
