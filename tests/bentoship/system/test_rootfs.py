"""A system's files in a folder: paths within it, and tars unpacked into it."""

from __future__ import annotations

import io
import multiprocessing
import os
import tarfile
from pathlib import Path

import pytest

from bentoship.image.layer import Entry, folder, symlink, tar_stream
from bentoship.system.rootfs import extract, make_once, resolve


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


def test_failed_folder_is_not_there(tmp_path: Path) -> None:
    """What could not be made to its end is made anew the next time."""

    def fail(part: Path) -> None:
        (part / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        make_once(tmp_path / "x", fail)
    make_once(tmp_path / "x", lambda part: (part / "whole").touch())
    assert names(tmp_path / "x") == ["whole"]


def test_killed_run_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    """What a killed run left is removed, and its lock is free."""
    (tmp_path / ".partial-dead").mkdir()
    make_once(tmp_path / "x", lambda part: None)
    assert names(tmp_path) == ["lock", "x", "x.state"]


def _make(root: Path) -> None:
    make_once(root / "x", lambda part: (root / f"made-{part.name}").touch())


def test_folder_is_made_once(tmp_path: Path) -> None:
    """Of several processes that want it one makes it."""
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_make, [tmp_path] * 6)
    assert len(list(tmp_path.glob("made-*"))) == 1


@pytest.mark.parametrize("damage", ["emptied", "removed", "added", "replaced", "mode", "record"])
def test_a_folder_that_was_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    """What was changed in a cache since it was made is not believed."""
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "etc").mkdir()
        (folder / "etc" / "passwd").write_text("root", "utf-8")

    folder = tmp_path / "cache" / "base"
    folder.parent.mkdir()
    make_once(folder, fill)
    make_once(folder, fill)
    assert len(made) == 1
    file = folder / "etc" / "passwd"
    if damage == "emptied":
        file.write_text("", "utf-8")
    elif damage == "removed":
        file.unlink()
    elif damage == "added":
        (folder / "etc" / "more").touch()
    elif damage == "replaced":
        file.write_text("toor", "utf-8")
        os.utime(file, (1, 1))
    elif damage == "mode":
        file.chmod(0o755)
    else:
        (tmp_path / "cache" / "base.state").write_bytes(b"\xff")
    make_once(folder, fill)
    assert len(made) == 2
    assert file.read_text("utf-8") == "root"
    assert [path.name for path in (folder / "etc").iterdir()] == ["passwd"]
