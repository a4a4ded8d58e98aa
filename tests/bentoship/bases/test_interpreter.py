"""The Python of a base: found in the image, and run on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath
from platform import machine

import pytest

from bentoship.bases import Base
from bentoship.bases.interpreter import command, find_python
from bentoship.bytecode import Batch, compile_trees
from bentoship.errors import BaseImageError
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


def test_other_machine_is_served_by_this_hosts_python(tmp_path: Path) -> None:
    """Byte-code doesn't depend on the machine, so any Python of the version makes it."""
    own = command(tmp_path, PurePosixPath("/usr/bin/python3"), version=HERE, platform="linux/s390x")
    done = subprocess.run([*own.args, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
    assert done.stdout.strip() == str(sys.version_info[:2])


def test_missing_version_names_how_to_install_it(tmp_path: Path) -> None:
    """Where no Python of the version is, uv brings one."""
    with pytest.raises(BaseImageError, match=r"uv python install 3\.99"):
        command(tmp_path, PurePosixPath("/usr/bin/python3.99"), version="3.99", platform="linux/s390x")


def test_script_is_refused_as_an_interpreter(tmp_path: Path) -> None:
    """What isn't a program with a loader is told so."""
    program(tmp_path, "usr/bin/python3.11")
    platform = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[machine()]
    with pytest.raises(BaseImageError, match="loader"):
        command(tmp_path, PurePosixPath("/usr/bin/python3.11"), version="3.11", platform=platform)


@needs_apt
def test_base_and_host_make_the_same_byte_code(base: Base, offered: str, tmp_path: Path) -> None:
    """The base's own Python through its loader, and another one of its minor version, agree on every byte."""
    python = find_python(base.rootfs, offered, "/usr/bin")
    own = command(base.rootfs, python, version=offered, platform="linux/amd64")
    other = command(base.rootfs, python, version=offered, platform="linux/s390x")
    assert own != other
    library = base.rootfs / "usr" / "lib" / f"python{offered}"
    made = []
    for name, interpreter in (("own", own), ("other", other)):
        for package in ("json", "email"):
            for file in (library / package).rglob("*.py"):
                copy = tmp_path / name / file.relative_to(library)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        root = tmp_path / name
        compile_trees(interpreter, [Batch(root, PurePosixPath("/lib"), tuple(root.rglob("*.py")))], jobs=1)
        made.append({path.relative_to(root): path.read_bytes() for path in root.rglob("*.pyc")})
    assert len(made[0]) > 20
    assert made[0] == made[1]
