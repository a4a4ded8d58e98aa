"""Folders of this machine with packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bentoship.packages.folders import listing, named_in, refreshing, states_of
from tests.support.wheels import make_source, make_wheel


def test_options_name_folders(tmp_path: Path) -> None:
    """By paths and addresses, from where the requirements are; an index with those of its packages."""
    (tmp_path / "an index" / "tool").mkdir(parents=True)
    address = (tmp_path / "an index").as_uri()
    lines = ["--find-links wheels", "-f=/wheels", f"--index-url {address}", "--extra-index-url https://h/simple", "six"]
    index = [tmp_path / "an index", tmp_path / "an index" / "tool"]
    assert named_in(lines, tmp_path) == [tmp_path / "wheels", Path("/wheels"), *index]
    assert named_in(["--find-links https://h/wheels", "-r wheels"], tmp_path) == []


def test_a_listing_says_what_is_there(tmp_path: Path) -> None:
    """It needs no folder to be there."""
    keys = [listing([]), listing([tmp_path / "none"]), listing([tmp_path])]
    wheel = make_wheel(tmp_path, "tool")
    keys.append(listing([tmp_path]))
    os.utime(wheel, (1, 1))
    keys.append(listing([tmp_path]))
    assert keys[0] == ""
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("my-tool==1.0", ["my_tool-1.0-py3-none-any.whl", "my_tool-1.0.tar.gz"]),
        ("my-tool==2.0 ; os_name == 'posix' --hash=sha256:0", ["my_tool-2.0-py3-none-any.whl"]),
        ("tool==1.0", []),
        ("my-tool @ https://h/my_tool-1.0-py3-none-any.whl", []),
    ],
)
def test_the_files_of_a_line(tmp_path: Path, line: str, files: list[str]) -> None:
    """Those of its package and version, whatever they are."""
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path, "my_tool", version)
    make_source(tmp_path, "my_tool")
    found = states_of(line, [tmp_path, tmp_path / "none"])
    assert [name for file in files for name in found if file in name] == found
    assert len(found) == len(files)


def test_each_package_of_a_folder_is_read_again(tmp_path: Path) -> None:
    """Named once, whatever else is there."""
    make_wheel(tmp_path, "my_tool")
    make_source(tmp_path, "my_tool")
    (tmp_path / "README.md").touch()
    assert refreshing([tmp_path]) == ["--refresh-package", "my-tool"]
