"""Docker's engine of Debian's next release, with the image store that is containerd's, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoship.system.files import file_lock
from tests.support.bridges import bridge
from tests.support.dockerd import Daemon, end, ready
from tests.support.engines import SYSTEM_PATH, without
from tests.support.newer_debian import unpacked

_RELEASE = "trixie"
_PACKAGES = ("docker.io", "iptables", "ca-certificates", "coreutils")

# In a namespace of mounts, with which they go. Whoever starts containers has to have a mount as its root.
_START = """
set -e
mount --bind "$1" "$1"
for shared in proc sys dev etc/hosts etc/resolv.conf; do mount --rbind "/$shared" "$1/$shared"; done
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2" "$1/mnt"
exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin dockerd --host unix:///mnt/docker.sock --pidfile /mnt/pid \\
    --data-root /mnt/data --exec-root /mnt/exec --config-file /mnt/daemon.json
"""


@contextmanager
def running() -> Iterator[Daemon]:
    """Such an engine; nothing of it is left at the end but its programs, for the next time."""
    needed = ("ip", "iptables", "mmdebstrap", "unshare")
    missing = [program for program in needed if not shutil.which(program, path=SYSTEM_PATH)]
    if os.geteuid() != 0 or missing:
        without("docker", f"a newer engine needs root, ip, iptables, mmdebstrap and unshare; missing: {missing}")
    root = _programs()
    with tempfile.TemporaryDirectory(prefix="engine-") as name, bridge() as its_bridge:
        folder = Path(name)
        network = {"iptables": False, "ip6tables": False, "bridge": its_bridge}
        options = {"features": {"containerd-snapshotter": True}, **network}
        (folder / "daemon.json").write_text(json.dumps(options))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _START, "sh", str(root), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield ready(Daemon(f"unix://{folder}/docker.sock", folder, process))
        finally:
            end(process, folder)


def _programs() -> Path:
    """The engine's programs and all that they need, unpacked from Debian's packages."""
    root = unpacked(_RELEASE, *_PACKAGES, needed_for="docker")
    with file_lock(root.with_suffix(".lock")):
        for folder in ("proc", "sys", "dev", "run", "tmp", "mnt"):
            (root / folder).mkdir(exist_ok=True)
        for file in ("hosts", "resolv.conf"):
            (root / "etc" / file).touch()
    return root
