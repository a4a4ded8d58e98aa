"""Unpacking .deb files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bentoship.debian.unpack import control_files, unpack
from bentoship.errors import BaseImageError
from tests.support.cache import needs_apt

pytestmark = needs_apt

CONTROL = "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: N. N. <nn@example.org>\nDescription: sample\n"


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    """A package of before /usr was merged, with a setuid program, links of both kinds and a folder that is closed."""
    tree = tmp_path / "tree"
    for name in ("DEBIAN", "bin", "lib/sample", "usr/bin", "usr/share/doc/sample", "etc"):
        (tree / name).mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    (tree / "bin" / "sample").write_text("program")
    (tree / "bin" / "sample").chmod(0o4755)
    (tree / "bin" / "again").hardlink_to(tree / "bin" / "sample")
    (tree / "usr" / "bin" / "link").symlink_to("sample")
    (tree / "lib" / "sample" / "data").write_text("data")
    (tree / "usr" / "share" / "doc" / "sample" / "README").write_text("read me")
    (tree / "etc" / "sample ä.conf").write_text("a=b")
    (tree / "etc" / "sample ä.conf").chmod(0o600)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, tmp_path / "sample.deb"], check=True)
    return tmp_path / "sample.deb"


def test_content_of_bin_and_lib_goes_into_usr(deb: Path, tmp_path: Path) -> None:
    """Packages that still name /bin and /lib are unpacked as a merged /usr wants them."""
    into = tmp_path / "into"
    unpack(deb, into)
    assert sorted(path.name for path in into.iterdir()) == ["etc", "usr"]
    assert (into / "usr/bin/link").read_text() == "program"
    assert (into / "usr/bin/again").samefile(into / "usr/bin/sample")
    assert (into / "usr/lib/sample/data").read_text() == "data"


def test_modes_are_plain_whatever_the_umask(deb: Path, tmp_path: Path) -> None:
    """No file is setuid, and every file can be read."""
    before = os.umask(0o077)
    try:
        unpack(deb, tmp_path / "into")
    finally:
        os.umask(before)
    assert (tmp_path / "into/usr/bin/sample").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "into/etc/sample ä.conf").stat().st_mode & 0o7777 == 0o644


def test_only_what_is_wanted_is_unpacked(deb: Path, tmp_path: Path) -> None:
    """What isn't wanted leaves no trace, not even its folder."""
    unpack(deb, tmp_path / "into", wanted=lambda path: not path.startswith("usr/share"))
    assert not (tmp_path / "into/usr/share").exists()
    assert (tmp_path / "into/usr/bin/sample").exists()


def test_control_files_are_read(deb: Path) -> None:
    """Those that a package has are given."""
    assert control_files(deb, ("control", "md5sums")) == {"control": CONTROL.encode()}


def test_damaged_package_is_an_error(deb: Path, tmp_path: Path) -> None:
    """A package that was cut short is not half unpacked in silence."""
    deb.write_bytes(deb.read_bytes()[:-40])
    with pytest.raises(BaseImageError, match=r"Unpack sample\.deb"):
        unpack(deb, tmp_path / "into")


def test_missing_dpkg_is_an_error(deb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dpkg-deb there is an error, not a traceback."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BaseImageError, match="No such file"):
        unpack(deb, tmp_path / "into")
