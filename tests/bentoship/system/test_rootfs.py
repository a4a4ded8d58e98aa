"""A system's files in a folder: paths within it, and tars unpacked into it."""

from __future__ import annotations

import io
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st

from bentoship.image.layer import Entry, folder, symlink, tar_stream
from bentoship.system.rootfs import extract, resolve
from tests.support.fuzzing import fuzz


def unpack(root: Path, *entries: Entry, whiteouts: bool = False) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_stream(entries, whiteouts=True))), mode="r|") as tar:
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


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", ".wh.a", ".wh..wh..opq", ".wh..", ""]), min_size=1, max_size=4)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
TARGETS = st.sampled_from(["a", "b/c", "..", "../..", "/", "/a", "../../outside", "."])
LAYER = st.lists(st.tuples(NAMES.map("/".join), KINDS, TARGETS), max_size=8)


@fuzz(st.lists(LAYER, min_size=1, max_size=3))
def test_nothing_that_layers_say_reaches_outside(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[tuple[str, bytes, str]]]
) -> None:
    """Links to elsewhere, whiteouts, names with dots: what lies beside the folder stays as it is."""
    around = tmp_path_factory.getbasetemp() / "fuzzed-root"
    shutil.rmtree(around, ignore_errors=True)
    root = around / "root"
    root.mkdir(parents=True)
    (around / "outside").mkdir()
    (around / "outside" / "a").write_bytes(b"kept")
    for layer in layers:
        with suppress(OSError, tarfile.TarError), tarfile.open(fileobj=io.BytesIO(packed(layer)), mode="r|") as tar:
            extract(tar, root, whiteouts=True)
    assert sorted(path.relative_to(around).as_posix() for path in around.glob("[!r]*")) == ["outside"]
    assert [(path.name, path.read_bytes()) for path in (around / "outside").iterdir()] == [("a", b"kept")]


def packed(layer: list[tuple[str, bytes, str]]) -> bytes:
    """Return the tar of members with these names, kinds and targets of links; a file holds its name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, target in layer:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            member.size = len(name) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(name.encode()))
    return stream.getvalue()


PLAIN = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
STEPS = st.lists(st.tuples(PLAIN, st.sampled_from(["file", "folder", "whiteout", "opaque"])), max_size=8)


@fuzz(st.lists(STEPS, min_size=1, max_size=4))
def test_layers_come_to_what_the_spec_says(
    tmp_path_factory: pytest.TempPathFactory, layers: list[list[tuple[str, str]]]
) -> None:
    """Compared with a model: a mapping of paths, of which whiteouts take what lower layers have put there."""
    root = tmp_path_factory.getbasetemp() / "fuzzed-layers"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    known: dict[str, str] = {}
    for steps in layers:
        written: dict[str, str] = {}
        gone: list[str] = []
        members: list[tuple[str, bytes, str]] = []
        for path, what in steps:
            folders = {path[: end + 1].rstrip("/") for end, letter in enumerate(path) if letter == "/"}
            if any(written.get(one) == "file" for one in folders) or (what != "opaque" and path in written):
                continue  # no tar has a file in a file, or something twice
            if what in ("file", "folder") and any(one.startswith(f"{path}/") for one in written):
                continue  # a folder comes before what is in it
            parent, _, name = path.rpartition("/")
            written |= dict.fromkeys(folders - written.keys(), "folder")
            members += [(one, tarfile.DIRTYPE, "") for one in sorted(folders)]
            if what == "opaque":
                written.setdefault(path, "folder")
                if written[path] == "folder":
                    members += [(path, tarfile.DIRTYPE, ""), (f"{path}/.wh..wh..opq", tarfile.REGTYPE, "")]
                    gone.append(f"{path}/")
            elif what == "whiteout":
                members.append((f"{parent}/.wh.{name}".lstrip("/"), tarfile.REGTYPE, ""))
                gone.append(path)
            else:
                written[path] = what
                members.append((path, tarfile.REGTYPE if what == "file" else tarfile.DIRTYPE, ""))
        with tarfile.open(fileobj=io.BytesIO(packed(members)), mode="r|") as tar:
            extract(tar, root, whiteouts=True)
        covered = [*gone, *(path for path, what in written.items() if what == "file" or known.get(path) == "file")]
        kept = {path: what for path, what in known.items() if not any(_is_within(path, one) for one in covered)}
        known = {**kept, **written}
    found = {path.relative_to(root).as_posix(): "folder" if path.is_dir() else "file" for path in root.rglob("*")}
    assert found == known


def _is_within(path: str, place: str) -> bool:
    """Return whether a path is a place or in it; only the latter where that ends in a slash."""
    return path == place or path.startswith(f"{place.rstrip('/')}/")
