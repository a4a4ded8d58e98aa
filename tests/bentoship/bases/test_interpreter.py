"""The Python of a base: found in the image, and run on this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath
from platform import python_version

import pytest

from bentoship.bases import Base
from bentoship.bases.interpreter import compiler, exact_version, find_python, host_platform
from bentoship.errors import BaseImageError
from bentoship.layers.bytecode import Interpreter
from tests.support.cache import needs_apt

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def program(root: Path, path: str, *, mode: int = 0o755) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    file.chmod(mode)


def test_first_on_the_path_is_found(tmp_path: Path) -> None:
    """The image's PATH decides, as in the image."""
    program(tmp_path, "usr/bin/python3.11")
    program(tmp_path, "usr/local/bin/python3.11")
    assert find_python(tmp_path, "3.11", "/usr/local/bin:/usr/bin") == PurePosixPath("/usr/local/bin/python3.11")


def test_links_are_followed_within_the_image(tmp_path: Path) -> None:
    """A link to an absolute path means the image's own."""
    program(tmp_path, "opt/python/bin/python3.11")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "python3.11").symlink_to("/opt/python/bin/python3.11")
    (tmp_path / "bin").symlink_to("usr/bin")
    assert find_python(tmp_path, "3.11", "/bin") == PurePosixPath("/opt/python/bin/python3.11")


def test_what_there_is_instead_is_named(tmp_path: Path) -> None:
    """The error tells the versions that the base has, and what to set."""
    for name in ("python3.12", "python3.9", "python3.12-config", "python3"):
        program(tmp_path, f"usr/bin/{name}")
    program(tmp_path, "usr/bin/python3.11", mode=0o644)
    with pytest.raises(BaseImageError) as caught:
        find_python(tmp_path, "3.13", "/usr/bin")
    assert "python3.12, python3.9" in caught.value.why
    assert "python3.12-config" not in caught.value.why
    assert "docker.python_version" in caught.value.hint


def test_base_without_python_is_refused(tmp_path: Path) -> None:
    """An empty base has no Python, and relative entries of a PATH play no part."""
    with pytest.raises(BaseImageError, match="no Python"):
        find_python(tmp_path, "3.11", "bin::/usr/bin")


def says(root: Path, path: str, version: str) -> PurePosixPath:
    """A program that says which Python it is, and cannot be run."""
    program(root, path)
    (root / path).write_bytes(b"\x7fELF\0%s\0" % version.encode())
    return PurePosixPath("/", path)


@pytest.mark.parametrize("version", ["3.11.2", "3.11.0rc2", "3.11.15+"])
def test_the_exact_version_is_what_the_program_says(tmp_path: Path, version: str) -> None:
    """Whatever machine it is for; other versions in it play no part."""
    python = says(tmp_path, "usr/bin/python3.11", f"3.2.0\0{version}")
    assert exact_version(tmp_path, python, "3.11") == version


def test_the_exact_version_may_stand_in_the_library(tmp_path: Path) -> None:
    """As in Docker's official images, whose program is small."""
    program(tmp_path, "usr/local/bin/python3.11")
    says(tmp_path, "usr/local/lib/libpython3.11.so.1.0", "3.11.9")
    assert exact_version(tmp_path, PurePosixPath("/usr/local/bin/python3.11"), "3.11") == "3.11.9"


def test_a_program_that_says_nothing_is_told(tmp_path: Path) -> None:
    """A program in which no version is found is refused by name."""
    program(tmp_path, "usr/bin/python3.11")
    with pytest.raises(BaseImageError, match=r"patch version of Python 3\.11"):
        exact_version(tmp_path, PurePosixPath("/usr/bin/python3.11"), "3.11")


def test_other_machine_is_served_by_a_host_python_of_its_version(tmp_path: Path) -> None:
    """Byte-code doesn't depend on the machine."""
    python = says(tmp_path, f"usr/bin/python{HERE}", python_version())
    own = compiler(tmp_path, python, version=HERE, platform="linux/s390x", twin=None)
    done = subprocess.run([*own.args, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    assert done.stdout.strip() == sys.version


def test_missing_version_names_how_to_install_it(tmp_path: Path) -> None:
    """Another patch version won't do; uv brings the right one."""
    python = says(tmp_path, f"usr/bin/python{HERE}", f"{HERE}.99")
    with pytest.raises(BaseImageError, match=rf"uv python install {HERE}\.99"):
        compiler(tmp_path, python, version=HERE, platform="linux/s390x", twin=None)


def test_a_python_of_pyenv_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In PATH there is only the version that is selected, or none."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    program(tmp_path, "pyenv/versions/3.99.7/bin/python3.99")
    python = says(tmp_path, "usr/bin/python3.99", "3.99.7")
    own = compiler(tmp_path, python, version="3.99", platform="linux/s390x", twin=None)
    assert own.args[0] == str(tmp_path / "pyenv/versions/3.99.7/bin/python3.99")


def test_script_is_refused_as_an_interpreter(tmp_path: Path) -> None:
    """What isn't a program with a loader is told so."""
    program(tmp_path, "usr/bin/python3.11")
    python = PurePosixPath("/usr/bin/python3.11")
    with pytest.raises(BaseImageError, match="loader"):
        compiler(tmp_path, python, version="3.11", platform=host_platform(), twin=None)


@needs_apt
def test_a_twin_of_the_same_version_compiles(base: Base, offered: str, tmp_path: Path) -> None:
    """The base's files for this machine are taken; not when they have another version."""
    native = find_python(base.rootfs, offered, "/usr/bin")
    wanted = exact_version(base.rootfs, native, offered)
    python = says(tmp_path, f"usr/bin/python{offered}", wanted)
    found = compiler(tmp_path, python, version=offered, platform="linux/s390x", twin=base.rootfs)
    assert found == base.compiler()
    says(tmp_path, f"usr/bin/python{offered}", f"{offered}.99")
    with pytest.raises(BaseImageError, match=rf"{offered}\.99"):
        compiler(tmp_path, python, version=offered, platform="linux/s390x", twin=base.rootfs)


_ATTACKS = """
import json, os, socket
def tried(attack):
    try:
        attack()
    except OSError:
        return False
    return True
print(json.dumps({
    "reads": tried(lambda: open(HOST_FILE)),
    "writes": tried(lambda: open("/usr/bin/evil", "w")),
    "connects": tried(lambda: socket.create_connection(("127.0.0.1", HOST_PORT), 5)),
    "is root": os.getuid() == 0,
}))
"""


def run_by(python: Interpreter, script: str, way: str) -> subprocess.CompletedProcess[str]:
    """Run a script by a base's Python, confined in one way."""
    (*command, _), described = python.start(script)
    described = json.dumps(json.loads(described) | {"ways": [way]})
    command = [*command, str(len(described))]
    return subprocess.run(command, cwd=python.root, env={}, input=described, capture_output=True, text=True)


@needs_apt
@pytest.mark.parametrize("way", ["namespaces", "chroot"])
def test_the_python_of_a_base_reaches_its_own_files_alone(base: Base, tmp_path: Path, way: str) -> None:
    """It comes from strangers: it reads and writes nothing of this machine, and has no network."""
    if way == "chroot" and os.geteuid() != 0:
        pytest.skip("needs root")
    python = base.compiler()
    (tmp_path / "secret").touch()
    with socket.create_server(("127.0.0.1", 0)) as host:
        given = f"HOST_FILE, HOST_PORT = {str(tmp_path / 'secret')!r}, {host.getsockname()[1]}"
        done = run_by(python, f"{given}\n{_ATTACKS}", way)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Root of a user namespace is nobody outside.
    assert found == {"reads": False, "writes": False, "connects": False, "is root": way == "namespaces"}


@needs_apt
def test_without_a_sandbox_the_python_of_a_base_has_no_rights(base: Base) -> None:
    """Where nothing better works, it still has no capability and gets none."""
    python = base.compiler()
    done = run_by(python, "print(open('/proc/self/status').read())", "plain")
    assert done.returncode == 0, done.stderr
    assert "NoNewPrivs:\t1" in done.stdout
    assert "CapEff:\t0000000000000000" in done.stdout
