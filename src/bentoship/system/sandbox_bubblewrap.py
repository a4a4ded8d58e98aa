"""The command of bubblewrap, which makes mounts and namespaces where it is installed (man 1 bwrap)."""

import os
from typing import Any

from bentoship.system.linux import BIND, PRIVATE, REC, mount


def bubblewrap(spec: dict[str, Any], program: bytes) -> tuple[list[str], int]:
    """Return the command that runs a sandbox's program by bubblewrap, and a descriptor that it inherits.

    The working directory is the root file system; it is bound to /tmp, since its parents may be closed to this user.

    Args:
        spec: the sandbox.
        program: the filter of system calls; empty for none.

    Raises: OSError.
    """
    mount("none", "/", None, REC | PRIVATE)
    mount(".", "/tmp", None, BIND | REC)
    uid, gid = map(str, spec["user"])
    command = [spec["bubblewrap"], "--unshare-user", "--unshare-pid", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--uid", uid, "--gid", gid, "--hostname", "sandbox", "--cap-drop", "ALL"]
    command += ["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    command += ["--ro-bind" if spec["read_only"] else "--bind", "/tmp", "/"]
    if spec["shared_memory"]:
        command += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777"]
        command += ["--size", str(spec["shared_memory"]), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    reading, writing = os.pipe()  # it holds 64 kB
    os.write(writing, program)
    os.close(writing)
    if program:
        os.set_inheritable(reading, True)
        command += ["--seccomp", str(reading)]
    for name, value in spec["command_env"].items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", spec["folder"], "--", *spec["command"]], reading
