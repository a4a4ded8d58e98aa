"""Layers' tar streams."""

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from bentoship.errors import BentoshipError
from bentoship.image.layer import MTIME, Entry, folder, symlink, tar_stream, tree


def read(entries: Iterable[Entry]) -> list[tarfile.TarInfo]:
    """The members of a layer, as Python's own reader sees them."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(entries)))) as archive:
        return archive.getmembers()


def test_entries_are_sorted_and_parents_added() -> None:
    """A folder stands before what is in it, in whatever order entries come."""
    entries = [Entry("b/c/d", content=b"1"), Entry("a-b", content=b"2"), symlink("a/link", "../a-b")]
    names = [member.name for member in read(entries)]
    assert names == ["a", "a/link", "a-b", "b", "b/c", "b/c/d"]
    assert b"".join(tar_stream(entries)) == b"".join(tar_stream(reversed(entries)))


def test_times_owners_and_modes_are_fixed(tmp_path: Path) -> None:
    """Nothing of this machine is left but the owner's executable bit."""
    (tmp_path / "plain").write_text("x")
    (tmp_path / "plain").chmod(0o600)
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o710)
    os.utime(tmp_path / "run", (1, 1))
    plain, run = read(tree(tmp_path, ""))
    assert (plain.mode, run.mode) == (0o644, 0o755)
    assert {(one.mtime, one.uid, one.gid, one.uname) for one in (plain, run)} == {(MTIME, 0, 0, "")}


def test_a_tree_is_placed_and_owned(tmp_path: Path) -> None:
    """A folder of this machine lies where it is put, links as links."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("x")
    (tmp_path / "link").symlink_to("sub/file")
    members = {member.name: member for member in read(tree(tmp_path, "opt/it", uid=7, gid=8))}
    assert set(members) == {"opt", "opt/it", "opt/it/link", "opt/it/sub", "opt/it/sub/file"}
    assert members["opt/it/link"].linkname == "sub/file"
    assert (members["opt/it"].uid, members["opt/it"].gid, members["opt"].uid) == (7, 8, 0)


def test_long_and_non_ascii_names_survive() -> None:
    """Names longer than a tar header's field, and letters beyond ASCII."""
    name = "é" * 60 + "/" + "x" * 180
    assert name in [member.name for member in read([Entry(name, content=b"1")])]


def test_a_name_that_is_no_text_survives() -> None:
    """File names are bytes."""
    name = os.fsdecode(b"\xff\xfe")
    assert [os.fsencode(member.name) for member in read([Entry(name, content=b"1")])] == [b"\xff\xfe"]


def test_a_path_twice_is_refused() -> None:
    """Which of two entries wins must not be left to a reader."""
    with pytest.raises(ValueError, match="twice"):
        list(tar_stream([folder("a"), Entry("a")]))


@pytest.mark.parametrize("name", [".wh.a", "opt/.wh..wh..opq", "opt/.wh.folder/a"])
def test_a_name_that_would_delete_is_refused(name: str) -> None:
    """An engine takes it for a whiteout; one that has the letters elsewhere is an ordinary name."""
    with pytest.raises(BentoshipError, match=f"{name}: a name that begins with .wh. deletes"):
        list(tar_stream([Entry(name)]))
    assert [member.name for member in read([Entry("a.wh.b"), Entry(".why")])] == [".why", "a.wh.b"]


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    """A file that is cut while it is read gives an error, not a broken layer."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    stream = tar_stream([Entry("file", content=file)])
    next(stream)
    next(stream)
    os.truncate(file, 1_500_000)
    with pytest.raises(OSError, match="shorter"):
        list(stream)


def test_special_files_are_left_out(tmp_path: Path) -> None:
    """Sockets and pipes of this machine mean nothing in an image."""
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert list(tree(tmp_path, "")) == []
