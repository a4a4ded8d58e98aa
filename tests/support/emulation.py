"""Images for another machine, run by an emulator, without a trace on this one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.verify.container import System
from bentoship.verify.linux import free_port
from tests.support.engines import require

EMULATOR = "qemu-aarch64-static"

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")

# What has the kernel run programs for arm64 by the emulator, in this namespace alone (Linux 6.7). F: it is opened now,
# since it is not there after chroot.
_REGISTER = r"""
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf '%s' ":arm64:M:0:$magic:$mask:$(command -v qemu-aarch64-static):F" >/proc/sys/fs/binfmt_misc/register
"""

_START = """
# Of these processes, else a supervisor would look its workers up among the ids of the host.
mount -t proc proc "$0/proc" 2>/dev/null || mount --rbind /proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot "$0" "$@"
"""


def obstacle() -> str:
    """Why whole containers cannot be emulated; empty when they can. Skips the test when the emulator is missing."""
    require(EMULATOR)
    done = subprocess.run([*_NAMESPACE, "sh", "-euc", _REGISTER], capture_output=True, text=True, check=False)
    return f"the kernel lets no namespace have an emulator of its own: {done.stderr.strip()}" if done.returncode else ""


def run_python(system: System, code: str) -> str:
    """What a program prints that the Python of an image for arm64 runs, in one process; skips the test without."""
    require(EMULATOR)
    probe = subprocess.run([*_NAMESPACE, "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no namespace can be made: {probe.stderr.strip()}")
    emulator = system.root / "emulator"
    shutil.copy(str(shutil.which(EMULATOR)), emulator)
    command = ["/emulator", f"{system.env['VIRTUAL_ENV']}/bin/python", "-c", code]
    done = _in_namespace(_START, system.root, command, system)
    out, _ = done.communicate(timeout=180)
    assert done.returncode == 0, out
    return out


@contextmanager
def served(system: System) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The service of an image for arm64, begun as containers are: its address, and its process."""
    port = free_port()
    running = _in_namespace(_REGISTER + _START, system.root, system.command, system, PORT=str(port))
    try:
        yield f"http://127.0.0.1:{port}", running
    finally:
        running.kill()
        running.communicate(timeout=30)


def _in_namespace(script: str, root: Path, command: Sequence[str], system: System, **env: str) -> subprocess.Popen[str]:
    # The programs before chroot are this machine's.
    path = f"{system.env['PATH']}:{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.Popen(
        [*_NAMESPACE, "sh", "-euc", script, str(root), *command],
        env={**system.env, "PATH": path, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
