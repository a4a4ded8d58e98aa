"""A system's files in a folder: paths within it, and tars unpacked into it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bentoship.image.layer import Entry, folder, symlink, tar_stream
from bentoship.system.rootfs import extract, resolve


def unpack(root: Path, *entries: Entry, whiteouts: bool = False) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(entries))), mode="r|") as tar:
        extract(tar, root, whiteouts=whiteouts)


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_absolute_link_stays_inside(tmp_path: Path) -> None:
    """A link to /etc means the system's own."""
    (tmp_path / "link").symlink_to("/etc")
    assert resolve(tmp_path, "/link/passwd") == tmp_path / "etc/passwd"


def test_dots_stay_inside(tmp_path: Path) -> None:
    """Above / is /, in paths as in links."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("../../../../etc")
    assert resolve(tmp_path, "/a/up/passwd") == tmp_path / "etc/passwd"
    assert resolve(tmp_path, "../../etc") == tmp_path / "etc"


def test_links_in_circles_are_an_error(tmp_path: Path) -> None:
    """A path that never ends is told, not followed for ever."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="links"):
        resolve(tmp_path, "a")


def test_content_behind_a_link_lies_where_the_system_would_put_it(tmp_path: Path) -> None:
    """A tar cannot write outside of the folder through a link that it made."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    unpack(root, symlink("a", str(outside)))
    member = tarfile.TarInfo("a/evil")
    member.size = 1
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(member, io.BytesIO(b"x"))
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        extract(tar, root)
    assert names(outside) == []
    assert (root / str(outside).lstrip("/") / "evil").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A tar that wants to lie elsewhere is no image's."""
    with pytest.raises(tarfile.TarError, match="outside"):
        unpack(tmp_path / "root", Entry(name, content=b"x"))


def test_hard_link_to_outside_is_not_made(tmp_path: Path) -> None:
    """A hard link's target is looked for in the folder alone."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "root").mkdir()
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "root", Entry("link", tarfile.LNKTYPE, target=str(secret)))


def test_file_replaces_a_link_and_leaves_its_target(tmp_path: Path) -> None:
    """What is written over a link doesn't end in what it pointed at."""
    (tmp_path / "target").write_text("old")
    unpack(tmp_path, symlink("a", "target"))
    unpack(tmp_path, Entry("a", content=b"new"))
    assert (tmp_path / "target").read_text() == "old"
    assert not (tmp_path / "a").is_symlink()


def test_kinds_may_change_between_layers(tmp_path: Path) -> None:
    """A folder may become a file, a link or the other way round."""
    unpack(tmp_path, Entry("a/file"), Entry("b"), symlink("c", "a"))
    unpack(tmp_path, Entry("a", content=b"x"), folder("b"), folder("c"))
    assert (tmp_path / "a").read_bytes() == b"x"
    assert (tmp_path / "b").is_dir()
    assert not (tmp_path / "c").is_symlink()


def test_whiteout_deletes_of_lower_layers_only(tmp_path: Path) -> None:
    """A deleted name may come back in the same layer."""
    unpack(tmp_path, Entry("a/x"), Entry("a/y"), Entry("b/z"))
    unpack(tmp_path, Entry("a/.wh.x"), Entry(".wh.b"), Entry("b/new"), whiteouts=True)
    assert names(tmp_path) == ["a", "a/y", "b", "b/new"]


def test_opaque_folder_hides_what_lay_below(tmp_path: Path) -> None:
    """An opaque folder holds only what its own layer put there."""
    unpack(tmp_path, Entry("a/old"), Entry("a/deep/old"))
    unpack(tmp_path, Entry("a/.wh..wh..opq"), Entry("a/new"), Entry("a/deep/new"), whiteouts=True)
    assert names(tmp_path) == ["a", "a/deep", "a/deep/new", "a/new"]


def test_whiteout_of_a_link_leaves_its_target(tmp_path: Path) -> None:
    """Deleting a link deletes no more."""
    unpack(tmp_path, Entry("a/x"), symlink("b", "a"))
    unpack(tmp_path, Entry(".wh.b"), whiteouts=True)
    assert names(tmp_path) == ["a", "a/x"]


def test_whiteout_is_a_plain_name_elsewhere(tmp_path: Path) -> None:
    """Only layers have whiteouts."""
    unpack(tmp_path, Entry(".wh.b"))
    assert names(tmp_path) == [".wh.b"]


def test_closed_folders_and_devices_do_not_stop_it(tmp_path: Path) -> None:
    """Folders become writable so that later layers find a way in; devices need root and are left out."""
    unpack(
        tmp_path, folder("a", mode=0o000), Entry("a/x"), Entry("null", tarfile.CHRTYPE), Entry("pipe", tarfile.FIFOTYPE)
    )
    assert names(tmp_path) == ["a", "a/x"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh..."])
def test_a_whiteout_of_no_name_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing is deleted beside or above its folder, where other systems are."""
    root = tmp_path / "root"
    for kept in (tmp_path / "other", root / "a"):
        kept.mkdir(parents=True)
        (kept / "file").touch()
    with pytest.raises(tarfile.TarError, match="deletes nothing"):
        unpack(root, Entry(name), whiteouts=True)
    assert (tmp_path / "other" / "file").exists()
    assert (root / "a" / "file").exists()
