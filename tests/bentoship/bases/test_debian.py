"""A base of Debian's packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from bentoship.bases import Base, debian
from bentoship.bases.debian import LEFT_OUT, DebianSource
from bentoship.debian.sources import os_release
from bentoship.errors import BaseImageError
from bentoship.layers.cache import LayerCache
from bentoship.system.rootfs import resolve
from tests.support.cache import kept, needs_apt
from tests.support.elf import ARM64, programs
from tests.support.synthetic import assembled, laid_out

pytestmark = needs_apt

Members = dict[str, tarfile.TarInfo]


@pytest.fixture(scope="module")
def blob(base: Base, cache: Path) -> Path:
    """The base's layer."""
    [layer] = base.layers
    return LayerCache(cache / "layers").blob(layer.descriptor)


@pytest.fixture(scope="module")
def members(blob: Path) -> Members:
    """What is in the layer."""
    with tarfile.open(blob) as tar:
        return {member.name: member for member in tar}


def test_layer_is_small(blob: Path) -> None:
    """It weighs less than a third of what BentoML's own base does."""
    assert blob.stat().st_size <= 27_000_000


def test_descriptor_fits_the_blob(base: Base, blob: Path) -> None:
    """The layer is described as it is."""
    content = blob.read_bytes()
    descriptor = base.layers[0].descriptor
    assert (descriptor.size, descriptor.hex) == (len(content), hashlib.sha256(content).hexdigest())


def test_modes_are_plain_but_for_the_few_that_matter(members: Members) -> None:
    """No program is setuid; all may write to /tmp, and nobody but root and shadow read shadow."""
    special = {name: (member.mode, member.gid) for name, member in members.items() if not member.issym()}
    assert special.pop("tmp") == special.pop("var/tmp") == special.pop("run/lock") == (0o1777, 0)
    assert special.pop("etc/shadow") == special.pop("etc/gshadow") == (0o640, 42)
    assert special.pop("root") == (0o700, 0)
    assert set(special.values()) == {(0o755, 0), (0o644, 0)}


def test_top_folders_are_links_into_usr(members: Members) -> None:
    """As Debian installs itself since its release 12."""
    assert {name: members[name].linkname for name in ("bin", "lib", "sbin")} == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "sbin": "usr/sbin",
    }


def test_no_link_leads_nowhere(base: Base, members: Members) -> None:
    """Each link's target came along."""
    assert [name for name in members if members[name].issym() and not resolve(base.rootfs, name).exists()] == []


def test_scanners_find_each_package(base: Base, members: Members) -> None:
    """Each package's control paragraph is there with its version, and so is its copyright."""
    for package in base.origin["debian"]["packages"]:
        paragraph = (base.rootfs / "var/lib/dpkg/status.d" / package["name"]).read_text("utf-8")
        assert f"Version: {package['version']}\n" in paragraph
        assert resolve(base.rootfs, f"usr/share/doc/{package['name']}/copyright").is_file()


def test_system_tells_its_release(base: Base) -> None:
    """os-release is Debian's own, and the origin says the same."""
    assert base.origin["debian"]["release"] == os_release(base.rootfs / "etc/os-release")["PRETTY_NAME"]


def test_origin_names_each_package(base: Base) -> None:
    """What it was made of can be told, by hash."""
    packages = {package["name"]: package for package in base.origin["debian"]["packages"]}
    assert {"python3", "libgomp1", "libstdc++6", "ca-certificates", "tzdata"} <= set(packages)
    assert not LEFT_OUT & set(packages)
    assert all(len(package["sha256"]) == 64 for package in packages.values())


def test_every_module_is_compiled(members: Members, offered: str) -> None:
    """The user that runs a Bento couldn't write byte-code beside the standard library."""
    library = f"usr/lib/python{offered}"
    tag = f"cpython-{offered.replace('.', '')}"
    modules = [name for name in members if name.startswith(library) and name.endswith(".py") and members[name].isfile()]
    compiled = {str(Path(name).parent / "__pycache__" / f"{Path(name).stem}.{tag}.pyc") for name in modules}
    assert len(modules) > 400
    assert compiled <= set(members)


def test_users_are_debians(base: Base) -> None:
    """The user database has Debian's own users, none of them with a password."""
    passwd = (base.rootfs / "etc/passwd").read_text().splitlines()
    assert passwd[0] == "root:x:0:0:root:/root:/bin/bash"
    assert "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin" in passwd
    assert "shadow:x:42:" in (base.rootfs / "etc/group").read_text().splitlines()
    shadow = (base.rootfs / "etc/shadow").read_text().splitlines()
    assert [line.split(":")[0] for line in shadow] == [line.split(":")[0] for line in passwd]
    assert {line.split(":")[1] for line in shadow} == {"*"}


_USES = """
import asyncio, bz2, ctypes, curses, decimal, lzma, multiprocessing, readline, sqlite3, ssl, sys, uuid, venv, zlib
import zoneinfo
print(asyncio.__cached__)
print(hasattr(ssl, "create_default_context"))
"""


def test_its_python_runs_with_its_own_library(base: Base) -> None:
    """The modules that a service may import are there, with the libraries that they need."""
    own = base.compiler()
    done = subprocess.run([*own.args, "-c", _USES], env=dict(own.env), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith(str(base.rootfs))


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.9", "3.13"])
def test_another_release_has_another_python(cache: Path, python: str) -> None:
    """Its packages come from this host's mirror, and are checked with this host's keys."""
    if os_release().get("ID") != "debian":
        pytest.skip("this host is no Debian")
    other = DebianSource(cache, python, LayerCache(cache / "layers")).make("linux/amd64")
    assert other.origin["debian"]["release"].startswith("Debian")
    test_its_python_runs_with_its_own_library(other)


def test_certificates_are_one_bundle(base: Base) -> None:
    """The bundle is where OpenSSL looks for it, and whole."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(base.rootfs / "etc/ssl/certs/ca-certificates.crt")
    certificates = list((base.rootfs / "usr/share/ca-certificates/mozilla").iterdir())
    assert len(context.get_ca_certs()) == len(certificates) > 50
    assert str((base.rootfs / "usr/lib/ssl/cert.pem").readlink()) == "/etc/ssl/certs/ca-certificates.crt"


def test_up_to_date_base_is_found_without_apt(
    base: Base, cache: Path, offered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing changed no program is run."""
    monkeypatch.setenv("PATH", "/nonexistent")
    layers = LayerCache(cache / "layers")
    assert DebianSource(cache, offered, layers).make("linux/amd64") == base


def test_files_are_looked_at_only_to_compile(base: Base, cache: Path, tmp_path: Path, offered: str) -> None:
    """What is told of them was kept; what was lost since is made again before its Python compiles."""
    for name in ("apt", "layers"):
        (tmp_path / name).symlink_to(cache / name)
    shutil.copytree(cache / "bases", tmp_path / "bases", symlinks=True, copy_function=os.link)
    library = tmp_path / "bases" / base.rootfs.name / "usr" / "lib" / f"python{offered}" / "ast.py"
    library.unlink()
    layers = LayerCache(tmp_path / "layers")
    found = DebianSource(tmp_path, offered, layers).outline("linux/amd64").base
    assert found
    assert (found.layers, found.facts) == (base.layers, base.facts)
    assert not library.exists()
    assert found.compiler().args
    assert library.exists()


def test_lost_layer_is_made_again(base: Base, cache: Path, tmp_path: Path, offered: str) -> None:
    """A layer cache that was emptied gets the same layer, from the files that are there."""
    layers = LayerCache(tmp_path / "layers")
    again = DebianSource(cache, offered, layers).make("linux/amd64")
    assert again.layers == base.layers
    assert layers.blob(base.layers[0].descriptor).is_file()


_SCRIPT = """
import sys
from pathlib import Path
from bentoship.bases import debian
from bentoship.bases.debian import DebianSource
from bentoship.layers.cache import LayerCache
from bentoship.system.rootfs import resolve
cache = Path(sys.argv[1])
base = DebianSource(cache, sys.argv[2], LayerCache(cache / "layers")).make("linux/amd64")
print(base.layers[0].descriptor.digest)
"""


def test_digest_is_the_same_in_other_circumstances(base: Base, tmp_path: Path, offered: str) -> None:
    """Neither folder, umask, locale nor time zone show in the layer."""
    folder = tmp_path / "zwei Räume"
    folder.mkdir()
    (folder / "apt").symlink_to(kept() / "apt")
    env = {**os.environ, "LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONPATH": os.pathsep.join(sys.path)}
    args = [sys.executable, "-c", _SCRIPT, str(folder), offered]
    done = subprocess.run(args, env=env, umask=0o077, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == base.layers[0].descriptor.digest


def test_other_python_is_refused_with_what_there_is(cache: Path, offered: str) -> None:
    """Which Python Debian has, and both ways out, are told."""
    with pytest.raises(BaseImageError) as caught:
        DebianSource(cache, "3.99", LayerCache(cache / "layers")).make("linux/amd64")
    assert f"Python {offered}" in caught.value.why
    assert f"Set docker.python_version to {offered}" in caught.value.hint
    assert "BASE_IMAGE=python:3.99-slim" in caught.value.hint


def test_what_needs_no_registry_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base itself where Debian has the Python, else which Pythons it has; nothing on a machine without apt."""
    monkeypatch.setattr(debian, "os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    assert debian.title("3.13") == "Debian 13 (trixie) with Python 3.13"
    assert debian.otherwise("3.13", "x").startswith("Set BASE_IMAGE=debian")
    assert debian.title("3.12") == ""
    assert "this machine has Python 3.9, 3.11, 3.13: set python_version of its Image" in debian.otherwise(
        "3.12", "python_version of its Image"
    )
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert (debian.title("3.11"), debian.otherwise("3.11", "x")) == ("", "")


def test_unknown_platform_is_refused(cache: Path, offered: str) -> None:
    """Windows containers have no Debian."""
    with pytest.raises(BaseImageError, match="windows/amd64"):
        DebianSource(cache, offered, LayerCache(cache / "layers")).make("windows/amd64")


def test_other_architecture_differs_in_programs_alone(base: Base, cache: Path, offered: str) -> None:
    """A base for arm64 is put together here, too; all its byte-code is what the other one has, file for file."""
    other = DebianSource(cache, offered, LayerCache(cache / "layers")).make("linux/arm64")
    made = {}
    for rootfs in (base.rootfs, other.rootfs):
        library = rootfs / "usr" / "lib" / f"python{offered}"
        # What configure found out about the machine is a module of its own.
        files = (path for path in library.rglob("*.pyc") if not path.name.startswith("_sysconfigdata_"))
        made[rootfs] = {str(path.relative_to(rootfs)): path.read_bytes() for path in files}
    assert len(made[base.rootfs]) > 400
    assert made[base.rootfs] == made[other.rootfs]


def test_every_program_of_another_architecture_is_for_it(cache: Path, offered: str) -> None:
    """Nothing of this machine's gets into a base for another one."""
    other = DebianSource(cache, offered, LayerCache(cache / "layers")).make("linux/arm64")
    machines = programs(other.rootfs)
    assert len(machines) > 100
    assert set(machines.values()) == {ARM64}
    [found] = {resolve(other.rootfs, "lib/ld-linux-aarch64.so.1")} & set(machines)
    assert found.is_file()


def test_another_architecture_is_compiled_by_the_same_python(base: Base, cache: Path, offered: str) -> None:
    """By the base for this machine, whatever Python runs here."""
    other = DebianSource(cache, offered, LayerCache(cache / "layers")).make("linux/arm64")
    assert other.compiler() == base.compiler()


def test_byte_code_of_a_package_is_the_same_for_all_platforms(
    base: Base, cache: Path, tmp_path: Path, offered: str
) -> None:
    """What is no program shares its layer, though the image of each platform has a Python of its own."""
    layers, bento = LayerCache(cache / "layers"), laid_out(tmp_path, offered)
    arm = DebianSource(cache, offered, layers).make("linux/arm64")
    images = [assembled(bento, one, layers, tmp_path) for one in (base, arm)]
    titles = ["packages", "model stars:v1", "source echo:one"]
    assert [[layer.title for layer in image.layers][-3:] for image in images] == [titles, titles]
    assert images[0].layers[-3:] == images[1].layers[-3:]
    with tarfile.open(layers.blob(images[0].layers[-3].descriptor)) as archive:
        assert any(name.endswith(".pyc") for name in archive.getnames())


def test_what_is_known_before_it_is_made_is_so(base: Base, cache: Path, tmp_path: Path, offered: str) -> None:
    """Packages have to run on the C library that its package's version tells."""
    layers = LayerCache(tmp_path / "layers")
    outline = DebianSource(cache, offered, layers).outline("linux/amd64")
    assert outline.base is None
    assert outline.glibc == base.facts.glibc
    assert outline.origin["debian"]["packages"] == base.origin["debian"]["packages"]
