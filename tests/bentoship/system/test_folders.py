"""Folders that are made once, and whole, and in which one may clear up only while nobody else uses them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentoship.system.folders import SharedFolder, make_once

_USER = """
use = SharedFolder(Path(sys.argv[1]))
print("cleared" if Path(sys.argv[1], "cleared").exists() else "begun", flush=True)
sys.stdin.read()
"""


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


def start(folder: Path) -> subprocess.Popen[str]:
    """Begin to use the folder in another process, until its stdin is closed."""
    imports = f"import sys\nsys.path[:0] = {sys.path!r}\nfrom pathlib import Path\n"
    script = f"{imports}from bentoship.system.folders import SharedFolder\n{_USER}"
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def another_user(folder: Path) -> Iterator[None]:
    """Another process uses the folder while the block lasts."""
    with start(folder) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        yield
        process.communicate("")


def test_who_uses_it_alone_is_told_so(tmp_path: Path) -> None:
    """Also the second time, and in a folder that is yet to be made."""
    use = SharedFolder(tmp_path / "folder")
    for _ in range(2):
        with use.alone() as is_alone:
            assert is_alone


def test_nobody_is_alone_beside_another_process(tmp_path: Path) -> None:
    """Once that has ended, one is."""
    use = SharedFolder(tmp_path)
    with another_user(tmp_path), use.alone() as is_alone:
        assert not is_alone
    with use.alone() as is_alone:
        assert is_alone


def test_the_use_goes_on_after_an_attempt_to_be_alone(tmp_path: Path) -> None:
    """Whether that was granted or not: others still see it."""
    first = SharedFolder(tmp_path)
    with first.alone() as is_alone:
        assert is_alone
    second = SharedFolder(tmp_path)
    for use in (first, second, first):
        with use.alone() as is_alone:
            assert not is_alone


def test_who_begins_meanwhile_waits(tmp_path: Path) -> None:
    """Nothing is cleared up under the hands of one who has just begun."""
    with SharedFolder(tmp_path).alone() as is_alone:
        assert is_alone
        process = start(tmp_path)
        time.sleep(0.5)
        (tmp_path / "cleared").touch()
    assert process.communicate("")[0] == "cleared\n"
