"""What is known of a base without its files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from bentoship.bases.facts import Facts
from bentoship.errors import BaseImageError
from bentoship.system import records
from tests.support.shapes import SHAPES

PYTHON = PurePosixPath("/usr/bin/python3.11")


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A few files of a system."""
    for name in ("etc", "usr/lib/x86_64-linux-gnu"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    library = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u9) stable release version 2.36.\n"
    (tmp_path / "root/usr/lib/x86_64-linux-gnu/libc.so.6").write_bytes(library)
    return tmp_path / "root"


def test_the_files_tell(rootfs: Path) -> None:
    """Which C library, and which users."""
    found = Facts.of(rootfs, PYTHON)
    assert (found.glibc, found.python) == (36, PYTHON)
    assert found.users == {"passwd": "root:x:0:0:root:/root:/bin/bash\n"}


def test_links_lead_to_nothing_outside(rootfs: Path) -> None:
    """An absolute link of a base means a file of the base, never the one of this machine at that place."""
    (rootfs / "usr/share").mkdir()
    (rootfs / "etc/passwd").rename(rootfs / "usr/share/users")
    (rootfs / "etc/passwd").symlink_to("/usr/share/users")
    (rootfs / "etc/shadow").symlink_to("/proc/self/status")
    (rootfs / "usr/lib/x86_64-linux-gnu").rename(rootfs / "usr/share/libraries")
    (rootfs / "usr/lib/x86_64-linux-gnu").symlink_to("/usr/share/libraries")
    found = Facts.of(rootfs, PYTHON)
    assert found.glibc == 36
    assert found.users == {"passwd": "root:x:0:0:root:/root:/bin/bash\n"}


def test_what_was_kept_is_the_same(rootfs: Path, tmp_path: Path) -> None:
    """Nobody has to look again."""
    found = Facts.of(rootfs, PYTHON, "Debian GNU/Linux 12 (bookworm)")
    found.keep(tmp_path / "facts")
    assert Facts.read(tmp_path / "facts") == found


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff"])
def test_what_is_damaged_counts_as_none(tmp_path: Path, content: bytes | None) -> None:
    """It is made again from the files."""
    if content is not None:
        (tmp_path / "facts").write_bytes(content)
    assert Facts.read(tmp_path / "facts") is None


@pytest.mark.parametrize("value", SHAPES)
def test_what_has_another_shape_counts_as_none(tmp_path: Path, value: object) -> None:
    """As another version may have kept it."""
    records.keep(tmp_path / "facts", value)
    assert Facts.read(tmp_path / "facts") is None


def test_what_was_changed_counts_as_none(rootfs: Path, tmp_path: Path) -> None:
    """No image tells what no base is."""
    Facts.of(rootfs, PYTHON).keep(tmp_path / "facts")
    text = (tmp_path / "facts").read_text()
    (tmp_path / "facts").write_text(text.replace("36", "17"))
    assert Facts.read(tmp_path / "facts") is None


def test_a_base_without_the_gnu_library_is_refused(tmp_path: Path) -> None:
    """Wheels are made for it."""
    with pytest.raises(BaseImageError, match="no GNU C library"):
        Facts.of(tmp_path, PYTHON)
