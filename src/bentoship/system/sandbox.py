"""Sandboxes for programs of others: a root file system, a user, limits, and no way to this machine (Linux)."""

import base64
import json
import os
import pwd
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from bentoship.errors import ProcessError
from bentoship.system import process
from bentoship.system.files import OWN, temporary_folder
from bentoship.system.system_calls import deny_list
from bentoship.system.values import dataclass

BUBBLEWRAP, NAMESPACES, CHROOT, PLAIN = "bubblewrap", "namespaces", "chroot", "plain"
"""The ways to confine a program, the best first; the third needs root. In the last it sees this machine's files."""

MEMORY_SHARE = 0.8
"""How much of the memory that is available may be used."""

SHARED_MEMORY = 1 << 30
"""Bytes of /dev/shm."""

PROCESSES = 4096
"""Processes and threads; libraries for machine learning start several for each processor."""

OPEN_FILES = 65_536
"""Open files of each process."""

FILE_SIZE = 8 << 30
"""Bytes of each file that is written."""

SECONDS = 900
"""Seconds until a program is ended."""

_INIT = Path(__file__).with_name("sandbox_init.py")

# Where no system has users (systemd, UIDS-GIDS.md); in a container, the last of its users.
_HIGHEST, _RANGE = 2_000_000_000, 50_000_000


@dataclass(frozen=True)
class Sandbox:
    """A program, and what it runs in.

    Args:
        root: the folder that is its root directory.
        command: the program and its arguments; none to try the sandbox.
        env: its whole environment.
        folder: its working directory.
        user: the ids of its user and group, as it sees them in a namespace.
        owner: the id on this machine of its user and group; None for this process's own, without root.
        ways: how it may be confined; the first that works is taken.
        plain: the program and the environment for the way of that name.
        read_only: whether it can write nothing at all.
        system: whether it has /dev, and if possible /proc and /sys; `root` has folders for them.
        gentle: whether SIGTERM is passed on to it, in place of SIGKILL.
        memory: the bytes of memory that it may use, as it is watched; 0 for any.
        seconds: how long it may run.
        limits: limits by their names in man 2 setrlimit.
    """

    root: Path
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: tuple[int, int] = (0, 0)
    owner: int | None = None
    ways: tuple[str, ...] = (NAMESPACES,)
    plain: tuple[tuple[str, ...], Mapping[str, str]] = ((), {})
    read_only: bool = False
    system: bool = False
    gentle: bool = False
    memory: int = 0
    seconds: int = SECONDS
    limits: Mapping[str, int] = field(
        default_factory=lambda: {"NPROC": PROCESSES, "NOFILE": OPEN_FILES, "FSIZE": FILE_SIZE}
    )

    def start(self, *, listening: int | None = None, port: int = 0, report: int | None = None) -> tuple[list[str], str]:
        """Return the command that runs the program in the sandbox, and what it has to read before the program does.

        Its working directory has to be `root`. What it reads describes the sandbox, which is too long for an argument.

        Args:
            listening: the descriptor of a listening socket, to pass on; its connections are forwarded into the sandbox.
            port: the port in the sandbox that they go to.
            report: a descriptor, to pass on, to which a description of what the sandbox has is written.
        """
        spec = {
            "command": self.command,
            "command_env": dict(self.env),
            "plain": self.plain[0],
            "plain_env": dict(self.plain[1]),
            "folder": self.folder,
            "user": self.user,
            "owner": None if self.owner is None else (self.owner, self.owner),
            "ways": self.ways,
            "read_only": self.read_only,
            "gentle": self.gentle,
            "memory": self.memory,
            "limits": dict(self.limits),
            "shared_memory": min(SHARED_MEMORY, self.memory or SHARED_MEMORY) if self.system else 0,
            "seconds": self.seconds,
            "filter": base64.b64encode(deny_list()).decode(),
            # Whole, since a link to it may lie where the unprivileged user may not look.
            "bubblewrap": os.path.realpath(shutil.which("bwrap") or "bwrap") if BUBBLEWRAP in self.ways else None,
            "listening": listening,
            "port": port,
            "report": report,
        }
        described = json.dumps(spec)
        return [sys.executable, "-I", "-S", "-B", str(_INIT), str(len(described))], described


@dataclass(frozen=True)
class Abilities:
    """What a sandbox has on this machine: a network of its own, mounts of its own, and a /proc."""

    network: bool
    mounts: bool
    proc: bool


def abilities(*ways: str) -> Abilities:
    """Return what a sandbox of some ways has, by making one. Raises ProcessError when it cannot be made."""
    reading, writing = os.pipe()
    with temporary_folder(None, OWN, wait=True) as folder, open(reading, "rb") as report:  # noqa: PTH123
        try:
            for name in ("dev", "proc", "sys"):
                Path(folder, name).mkdir()
            owner = unprivileged_id()
            give(Path(folder), owner)
            trial = Sandbox(Path(folder), ways=ways, owner=owner, system=True)
            command, described = trial.start(report=writing)
            process.run(command, env={}, cwd=Path(folder), input=described, pass_fds=(writing,))
        finally:
            os.close(writing)
        return Abilities(**json.loads(report.read()))


def try_bubblewrap() -> None:
    """Run a program of this machine by bubblewrap. Raises ProcessError when that does not work, or it is missing."""
    if not shutil.which("bwrap"):
        raise ProcessError("Run bwrap", "it is not installed", "Install bubblewrap.")
    owner = unprivileged_id()
    trial = Sandbox(Path("/"), ("/bin/true",), owner=owner, ways=(BUBBLEWRAP,), read_only=True, system=True)
    command, described = trial.start()
    process.run(command, env={}, cwd=trial.root, input=described)


def unprivileged_id() -> int | None:
    """Return the id for a user and group that nothing else on this machine has; None if this process is no real root.

    Raises: ProcessError when this process is root and has no other id to give.
    """
    if os.geteuid() != 0:
        return None
    users, groups = (_last_ids(name) for name in ("uid_map", "gid_map"))
    taken = {65_534, 65_535, *_ids_of_processes()}
    both = range(max(users.start, groups.start, 1), min(users.stop, groups.stop))
    if not len(both) and _is_ordinary():
        return None
    for _ in range(100):
        if len(both) and (candidate := both[secrets.randbelow(len(both))]) not in taken and not _has_account(candidate):
            return candidate
    why = "this process is root and has no other user to run it as"
    raise ProcessError("Find an unprivileged user", why, "Run it as an ordinary user.")


def _has_account(number: int) -> bool:
    """Return whether an id is that of a user whom this machine knows."""
    with suppress(KeyError):
        return bool(pwd.getpwuid(number))
    return False


def _is_ordinary() -> bool:
    """Return whether root of this process's namespace is an ordinary user outside of it."""
    return Path("/proc/self/uid_map").read_text("utf-8").split()[1] != "0"


def _last_ids(name: str) -> range:
    """Return the last ids that this process may become."""
    lines = [list(map(int, line.split())) for line in Path("/proc/self", name).read_text("utf-8").splitlines()]
    end = min(max((first + number for first, _, number in lines), default=_HIGHEST), _HIGHEST)
    first = max((first for first, _, number in lines if first < end), default=0)
    return range(max(first, end - _RANGE), end)


def _ids_of_processes() -> Iterator[int]:
    for process_folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield process_folder.stat().st_uid


def give(root: Path, owner: int | None) -> None:
    """Give a folder and everything below it to a user and group, without following links; to none if it is None."""
    if owner is None:
        return
    os.lchown(root, owner, owner)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.lchown(f"{folder}/{name}", owner, owner)


def available_memory() -> int:
    """Return the bytes of memory that a sandbox may use."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    values = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return int(values["MemAvailable"] * MEMORY_SHARE)
