"""The files below a folder."""

from __future__ import annotations

from pathlib import Path

from bentoship.bento.walking import walk
from tests.support.bento import lay


def test_links_are_followed_within_the_folder(tmp_path: Path) -> None:
    """Each link is known as one; a circle ends, and what leads out is only named."""
    folder = lay(tmp_path / "project", "a/one.txt", "b/two.txt", "never/three.txt")
    lay(tmp_path, "outside/four.txt")
    for name, target in {
        "a/to-b": "../b",
        "b/to-a": "../a",
        "out": "../outside",
        "self": ".",
        "file": "a/one.txt",
    }.items():
        (folder / name).symlink_to(target)
    found = walk(folder, {"never"})
    assert found.names == ["a/one.txt", "a/to-b/two.txt", "b/to-a/one.txt", "b/two.txt", "file"]
    assert found.linked == {"a/to-b/two.txt", "b/to-a/one.txt", "file"}
    assert found.unfollowed == ["a/to-b/to-a", "b/to-a/to-b", "out", "self"]
