"""Sandboxes: what a hostile program in one of them can reach, and what is left of it."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bentoship.bases import Base
from bentoship.system import sandbox, system_calls
from bentoship.system.sandbox import Sandbox
from tests.support.cache import needs_apt
from tests.support.confined import Starter, starter
from tests.support.slow import cases

pytestmark = needs_apt

_ATTACKS = """
import ctypes, json, os, socket
descriptors = sorted(os.listdir("/proc/self/fd"))
libc = ctypes.CDLL(None, use_errno=True)

def called(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "refused")

def written(path):
    with open(path, "w") as file:
        file.write("|/bin/evil")

def connected(family, address):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)

def mounted():
    called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))

ATTACKS = {
    "read a file of the host": lambda: open(HOST_FILE).read(),
    "read it below the root of another process": lambda: open("/proc/1/root" + HOST_FILE).read(),
    "write core_pattern": lambda: written("/proc/sys/kernel/core_pattern"),
    "write sysrq-trigger": lambda: written("/proc/sysrq-trigger"),
    "write to /sys": lambda: written("/sys/kernel/mm/ksm/run"),
    "read kcore": lambda: open("/proc/kcore", "rb").read(1) or 1 / 0,
    "write to the root": lambda: written("/usr/bin/evil"),
    "connect to the host": lambda: connected(socket.AF_INET, ("127.0.0.1", HOST_PORT)),
    "connect to the internet": lambda: connected(socket.AF_INET, ("192.0.2.1", 80)),
    "mount": mounted,
    "make a user namespace": lambda: called(libc.unshare(0x10000000)),
    "enter a namespace": lambda: os.open("/proc/1/ns/net", 0) and called(libc.setns(3, 0)),
    "become another user": lambda: os.setuid(4711),
    "chroot": lambda: os.chroot("/usr"),
    "make a device": lambda: os.mknod("/dev/shm/disk", 0o060666, os.makedev(8, 0)),
    "kill init of the host": lambda: os.kill(HOST_PID, 0),
}
if FILTERED:
    ATTACKS["trace"] = lambda: called(libc.ptrace(0, 0, 0, 0))
    ATTACKS["open a socket of the hypervisor"] = lambda: socket.socket(40).close()

def tried(attack):
    try:
        attack()
    except (OSError, ArithmeticError) as error:
        return "refused"
    return "succeeded"

status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "attacks": {name: tried(attack) for name, attack in ATTACKS.items()},
    "capabilities": {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16},
    "no new privileges": status["NoNewPrivs"],
    "user": [os.getuid(), os.getgid()],
    "on the host": open("/proc/self/uid_map").read().split(),
    "variables": sorted(os.environ),
    "descriptors": descriptors,
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "shared memory": bool(open("/dev/shm/new", "w")) and bool(open("/dev/null", "w").write("x")),
}))
"""


@pytest.fixture(params=["root", "ordinary user", "root in a chroot", "root by bubblewrap"])
def by(request: pytest.FixtureRequest) -> Iterator[Starter]:
    """Each kind of user who starts sandboxes."""
    with starter(request.param) as found:
        yield found


def box(base: Base, code: str, **fields: object) -> Sandbox:
    """A sandbox in which the Python of a system runs a program; nothing can write to the system."""
    if os.geteuid() == 0:
        base.rootfs.chmod(0o755)
    command = (str(base.facts.python), "-I", "-S", "-c", code)
    return Sandbox(base.rootfs, command, {"SET": "1"}, read_only=True, system=True, **fields)  # type: ignore[arg-type]


def left(marker: str) -> list[int]:
    """The processes whose command has a marker in it."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if marker in str(process.info["cmdline"])]


@pytest.mark.parametrize("user", [(0, 0), (1034, 1035)], ids=["as root", "as a named user"])
def test_attacks_are_refused(by: Starter, debian: Base, tmp_path: Path, user: tuple[int, int]) -> None:
    """Files, settings, network and processes of the host are out of reach, for an image's root as well."""
    secret = tmp_path / "secret"
    secret.write_text("planted")
    with socket.create_server(("127.0.0.1", 0)) as host:
        given = {
            "HOST_FILE": str(secret),
            "HOST_PORT": host.getsockname()[1],
            "HOST_PID": os.getpid(),
            "FILTERED": bool(system_calls.deny_list()),
        }
        code = "".join(f"{name} = {value!r}\n" for name, value in given.items()) + _ATTACKS
        done = by.run(box(debian, code, user=user))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name for name, result in found["attacks"].items() if result != "refused"} == set()
    assert (found["capabilities"], found["no new privileges"]) == (True, "1")
    assert set(found["variables"]) - {"LC_CTYPE", "PWD"} == {"SET"}  # Python sets the first, bubblewrap the second
    assert found["descriptors"] == ["0", "1", "2", "3"]  # the last one lists them
    assert found["processes"] == 1
    assert found["shared memory"]
    if by.way != sandbox.CHROOT:
        assert found["user"] == list(user)
        assert found["on the host"] != ["0", "0", "1"]
    else:
        assert 0 not in found["user"]


def test_processes_are_bounded(by: Starter, debian: Base) -> None:
    """What forks without end is refused further processes, and all have ended with it."""
    code = """
import os, time
try:
    for number in range(500):
        if os.fork() == 0:
            time.sleep(60)
except OSError:
    print(number)
"""
    marker = uuid.uuid4().hex
    done = by.run(box(debian, f"{code}# {marker}", limits={"NPROC": 40}))
    assert done.returncode == 0, done.stderr
    assert 20 <= int(done.stdout) <= 40
    assert left(marker) == []


_SHMGET = """
import ctypes, time
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
while True:
    segment = libc.shmget(0, ctypes.c_size_t(10_000_000), 0o1600)
    address = ctypes.c_void_p(libc.shmat(segment, None, 0))
    ctypes.memset(address, 1, 10_000_000)
    libc.shmdt(address)
    time.sleep(0.005)
"""


@pytest.mark.parametrize(
    "code",
    cases(
        {
            "of its own": "many = []\nwhile True: many.append(b'x' * 5_000_000); time.sleep(0.005)",
            "files without a name": """
import os
while True: os.write(os.memfd_create("file"), b"x" * 5_000_000); time.sleep(0.005)
""",
            "segments of System V": _SHMGET,
            "a shared mapping": """
import mmap
shared = mmap.mmap(-1, 1 << 30)
while True: shared.write(b"x" * 5_000_000); time.sleep(0.005)
""",
            "a full /dev/shm": """
many = [b"x" * 110_000_000]
with open("/dev/shm/file", "wb") as file:
    while True: file.write(b"x" * 5_000_000); time.sleep(0.08)
""",
        },
        "of its own",
        "files without a name",
    ),
)
def test_memory_is_bounded(by: Starter, debian: Base, code: str) -> None:
    """What takes more is ended, and it is said why, whether it has the memory mapped or not."""
    done = by.run(box(debian, f"import time\n{code}", memory=150_000_000))
    assert done.returncode == 137, done.stderr
    assert "ended by bentoship: it used more than 150 MB of memory" in done.stderr


def test_this_machine_keeps_some_memory(by: Starter, debian: Base) -> None:
    """Whatever holds the rest."""
    done = by.run(box(debian, "import time; time.sleep(60)", memory=1 << 50))
    assert done.returncode == 137
    assert "ended by bentoship: it left this machine less than" in done.stderr


def test_shared_memory_is_no_larger_than_memory(by: Starter, debian: Base) -> None:
    """Where /dev/shm is a mount."""
    code = "import os; found = os.statvfs('/dev/shm'); print(found.f_blocks * found.f_frsize)"
    assert int(by.run(box(debian, code, memory=150_000_000)).stdout) <= 151_000_000


def test_time_is_bounded(by: Starter, debian: Base) -> None:
    """What runs for too long is ended."""
    done = by.run(box(debian, "import time; time.sleep(60)", seconds=0))
    assert done.returncode == 137
    assert "ran for more than 0 s" in done.stderr


def test_nothing_is_left_behind(by: Starter, debian: Base) -> None:
    """A process that has left its parent and its session ends with the program; its exit code is passed on."""
    code = """
import os, sys, time
for _ in range(2):
    if os.fork():
        sys.exit(7)
    os.setsid()
time.sleep(60)
"""
    marker = uuid.uuid4().hex
    assert by.run(box(debian, f"{code}# {marker}")).returncode == 7
    assert left(marker) == []


def test_there_is_no_core(by: Starter, debian: Base) -> None:
    """A crash is passed on as a shell does, and writes nothing."""
    code = "import os, resource; print(resource.getrlimit(resource.RLIMIT_CORE)); os.abort()"
    done = by.run(box(debian, code))
    # The first process of a namespace is not ended by its own signals.
    assert done.returncode in (134, 139), done.stderr
    assert done.stdout in ("", "(0, 0)\n")


def test_a_missing_program_is_told(by: Starter, debian: Base) -> None:
    """By what could not be run."""
    done = by.run(Sandbox(debian.rootfs, ("/usr/bin/nothing",), read_only=True))
    assert done.returncode in (1, 126)
    assert "No such file" in done.stderr


def test_the_unprivileged_user_is_new() -> None:
    """As root, one that no process and no entry of the machine has; else the own one."""
    found = sandbox.unprivileged_id()
    if os.geteuid() != 0:
        assert found is None
    else:
        assert found
        assert found > 1_900_000_000 or found < 65_534


def test_giving_follows_no_links(tmp_path: Path) -> None:
    """What a link leads to keeps its owner."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file").touch()
    (root / "link").symlink_to(outside)
    sandbox.give(root, 54_321)
    assert {path.lstat().st_uid for path in (root, *root.rglob("*"))} == {54_321}
    assert outside.stat().st_uid == 0
