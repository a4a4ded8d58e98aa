"""An image's files, started by root with another /, on Linux: where users cannot have namespaces, and in containers."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bentoship.system import process
from bentoship.system.rootfs import resolve
from bentoship.verify.linux import HostProcess, end_all_in, free_port
from bentoship.verify.namespace import NEW, entering, mounting, start, which
from bentoship.verify.runner import RemoteImage
from bentoship.verify.unpacked import DEVICES, System, unpacked


class ChrootRunner:
    """Starts an image as its own user, with its own files, and with mounts and processes where root may have them."""

    name = "a chroot"

    def obstacle(self) -> str | None:
        """Return why / cannot be changed; None when it can."""
        if not sys.platform.startswith("linux"):
            return "a chroot of Linux's needs Linux"
        if os.geteuid() != 0:
            return "only root may chroot"
        if not which("unshare"):
            return "unshare is missing for a chroot"
        # Without a namespace to make, it is but the program that changes / and the user.
        done = process.run([which("unshare"), "--root=/", "/bin/sh", "-c", ":"], env=process.environment(), check=False)
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
            port = free_port()
            user = (f"--setuid={system.user.uid}", f"--setgid={system.user.gid}")
            new = [which("unshare"), *NEW, *mounting(system.root)] if mounts else []
            command = [*new, *entering(system, user), *start(system, port)]
            service = HostProcess(command, port=port, log=system.root.parent / "log", namespaced=mounts)
            try:
                yield service
            finally:
                service.kill()
                end_all_in(system.root)


def _may_mount() -> bool:
    """Return whether root may do what root may do, as is not so in containers."""
    probe = [which("unshare"), *NEW, which("sh"), "-c", "mount -t tmpfs tmpfs /sys"]
    return process.run(probe, env=process.environment(), check=False).code == 0


def _make_devices(root: Path) -> None:
    """Make devices, where they may be made; for all but /dev/null there are ways without."""
    for name in DEVICES:
        path = root / "dev" / name
        device = Path("/dev", name).stat().st_rdev
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, device)
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
