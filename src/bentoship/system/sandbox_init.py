"""Starts a program in a sandbox, and stays beside it: forwards connections, watches its limits, and ends with it.

`sandbox.py` runs this as a script (`python -I -S`) with the root file system as its working directory. Its input begins
with the sandbox in JSON, whose length is its argument; the rest is the program's. It imports the standard library
alone, and all at once: later its user may not read it any more.
"""

import base64
import errno
import json
import math
import os
import resource
import signal
import socket
import sys
import time
import warnings  # noqa: F401 - os.execvpe imports it, from where the program can have put one
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).parents[2]))

from bentoship.system import linux
from bentoship.system.sandbox_bubblewrap import bubblewrap
from bentoship.system.sandbox_forward import forward, raise_loopback
from bentoship.system.sandbox_memory import excess
from bentoship.system.sandbox_rights import become, give_up_rights, limit
from bentoship.system.sandbox_root import make_root

_SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD)


def enter_user_namespace(user: Sequence[int]) -> None:
    """Enter new namespaces whose only user is the image's, and stands for this process's own. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        linux.call("unshare", linux.NEWUSER | linux.NEWNET | linux.NEWIPC | linux.NEWUTS)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise OSError("unshare: /proc/sys/user allows no further namespaces") from error
        raise
    for name, line in (
        ("uid_map", f"{user[0]} {uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{user[1]} {gid} 1"),
    ):
        Path("/proc/self", name).write_text(line)


def try_namespaces(owner: Sequence[int] | None) -> None:
    """Enter all namespaces as a user, else as this one. Raises OSError where that is forbidden."""
    if owner:
        become(owner)
    enter_user_namespace((0, 0))
    linux.call("unshare", linux.NEWNS | linux.NEWPID)


def try_chroot(owner: Sequence[int] | None) -> None:
    """Enter a root, and become a user. Raises OSError where that is forbidden."""
    if not owner:
        raise OSError("only root may use chroot")
    os.chroot(".")
    become(owner)


def is_possible(attempt: Callable[[Sequence[int] | None], None], owner: Sequence[int] | None) -> bool:
    """Return whether an attempt succeeds, in a process of its own."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            attempt(owner)
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def enter(spec: dict[str, Any]) -> tuple[str, bool]:
    """Enter the namespaces of the first way that works, but for mounts and processes.

    Returns: the way, and whether this process has a network of its own now. Raises: OSError when no way works.
    """
    for way in spec["ways"]:
        if way == "bubblewrap":
            if spec["owner"]:
                become(spec["owner"])
            enter_user_namespace((os.geteuid(), os.getegid()))
            return way, True
        is_last = way == spec["ways"][-1]  # then the error says what is wrong
        if way == "namespaces" and (is_last or is_possible(try_namespaces, spec["owner"])):
            if spec["owner"]:
                become(spec["owner"])
            enter_user_namespace(spec["user"])
            socket.sethostname("sandbox")
            return way, True
        if way == "chroot" and (is_last or is_possible(try_chroot, spec["owner"])):
            return way, linux.NEWNET in set(linux.permitted((linux.NEWNET, linux.NEWIPC, linux.NEWUTS)))
        if way == "plain":
            return way, False
    raise OSError("no way to confine a program works here")


def start(spec: dict[str, Any], way: str, network: bool) -> NoReturn:
    """Become the program, confined; called in a new process.

    Args:
        spec: the sandbox.
        way: how it is confined.
        network: whether it has a network of its own.
    """
    try:
        linux.end_with_parent()
        os.setsid()
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # the kernel ends this first
        if way in ("bubblewrap", "namespaces"):
            linux.call("unshare", linux.NEWNS)
        if way == "bubblewrap":
            run_bubblewrap(spec)
        mounts = way == "namespaces" or (way == "chroot" and linux.NEWNS in linux.permitted([linux.NEWNS]))
        if mounts:
            make_root(read_only=spec["read_only"], shared_memory=spec["shared_memory"])
        elif way != "plain":
            os.chroot(".")
            os.chdir("/")
        limit(spec["limits"])
        if spec["report"] is not None:
            found = {"network": network, "mounts": mounts, "proc": os.path.exists("/proc/self")}  # noqa: PTH110
            os.write(spec["report"], json.dumps(found).encode())
        give_up_rights(spec["owner"] if way == "chroot" else None, base64.b64decode(spec["filter"]))
        linux.end_with_parent()
        if spec["command"]:
            run(spec, way)
    except OSError as error:
        print(": ".join(filter(None, (error.filename, error.strerror or str(error)))), file=sys.stderr, flush=True)
        os._exit(126)
    except ValueError as error:  # a NUL byte
        print(error, file=sys.stderr, flush=True)
        os._exit(126)
    os._exit(0)


def run_bubblewrap(spec: dict[str, Any]) -> NoReturn:
    """Become bubblewrap, which does the rest. Raises OSError."""
    limit(spec["limits"])
    command, passed = bubblewrap(spec, base64.b64decode(spec["filter"]))
    os.closerange(3, passed)
    os.closerange(passed + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execve(command[0], command, {})


def run(spec: dict[str, Any], way: str) -> NoReturn:
    """Become the program in the sandbox that this process has made. Raises OSError."""
    os.chdir(spec["folder"])
    name = "plain" if way == "plain" else "command"
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvpe(spec[name][0], spec[name], spec[f"{name}_env"])


def descendants(beside: int) -> list[int]:
    """Return the processes below this one, at any depth, but for one. None of the sandbox has another place."""
    children: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):  # noqa: PTH208
        with suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
            if pid != beside:
                children.setdefault(parent, []).append(pid)
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def watch(child: int, spec: dict[str, Any], beside: int) -> int:
    """Wait until a program has ended, or end it at a limit.

    Args:
        child: its process.
        spec: the sandbox.
        beside: the forwarder's process.

    Returns: its exit code, as a shell has it.
    """
    deadline = time.monotonic() + spec["seconds"]
    while True:
        received = signal.sigtimedwait(_SIGNALS, 0.2 if spec["gentle"] else 1.0)
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == child:
                    code = os.waitstatus_to_exitcode(found[1])
                    return code if code >= 0 else 128 - code
        if received and received.si_signo in (signal.SIGTERM, signal.SIGQUIT):
            gently = received.si_signo == signal.SIGTERM and spec["gentle"]
            # Where bubblewrap is the child, it does not pass signals on to its own.
            below = [pid for pid in descendants(beside) if pid != child] if spec["bubblewrap"] else []
            os.kill(next(iter(below), child) if gently else child, signal.SIGTERM if gently else signal.SIGKILL)
        why = f"ran for more than {spec['seconds']} s" if time.monotonic() > deadline else ""
        if spec["memory"]:
            why = excess(spec["memory"], descendants(beside), spec["shared_memory"]) or why
        if why:
            print(f"\nended by bentoship: it {why}", file=sys.stderr, flush=True)
            os.kill(child, signal.SIGKILL)
            spec = {**spec, "memory": 0, "seconds": math.inf}
            deadline = math.inf


def read_specification(length: int) -> dict[str, Any]:
    """Return the sandbox that the input begins with, and read no byte more, since the rest is the program's."""
    content = b""
    while len(content) < length and (piece := os.read(0, length - len(content))):
        content += piece
    return dict(json.loads(content))


def main() -> NoReturn:
    """Start the program that the input describes, and end as it does."""
    spec = read_specification(int(sys.argv[1]))
    try:
        way, network = enter(spec)
        if network:
            raise_loopback()
        owner = spec["owner"] if way == "chroot" else None
        listening = spec["listening"]
        beside = 0 if listening is None else forward(listening, spec["port"], owner)
        if way == "namespaces":
            # Last: afterwards this process can have no threads, and no other children.
            linux.call("unshare", linux.NEWPID)
        alone = way == "namespaces" or (way == "chroot" and linux.NEWPID in linux.permitted([linux.NEWPID]))
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        child = os.fork()
        if child == 0:
            start(spec, way, network)
        linux.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what loses its parent stays below this
        give_up_rights(owner)
        linux.prctl(4, 0)  # PR_SET_DUMPABLE: what has the same user, and no namespace of processes, cannot look in here
    except OSError as error:
        print(error.strerror or error, file=sys.stderr, flush=True)
        os._exit(126)
    if spec["report"] is not None:
        os.close(spec["report"])
    code = watch(child, spec, beside)
    while not alone and (rest := descendants(beside)):
        for pid in rest:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    os._exit(code)


if __name__ == "__main__":
    main()
