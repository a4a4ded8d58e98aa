"""Folders that are made once, and whole."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from bentoship.system.folders import make_once


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


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
