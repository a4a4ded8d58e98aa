"""What is removed from this machine, and when."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentoship.commands.cleanup import clean
from bentoship.commands.terminal import Terminal
from bentoship.errors import BentoshipError
from bentoship.project import Project, Run
from bentoship.settings import load
from bentoship.system.files import SharedFolder

FILES = ("layers/blobs/sha256/blob", "bases/debian/etc", "history/published/one.json", "registry/data/one")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run in a project with an image, and with something in each of its caches."""
    settings = load(tmp_path, {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    for file in (*(settings.cache / name for name in FILES), tmp_path / ".bentoship" / "image" / "index.json"):
        file.parent.mkdir(parents=True)
        file.write_text("kept", "utf-8")
    with closing(Run(Project(tmp_path, settings), Terminal())) as run:
        yield run


def test_what_can_be_made_again_goes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Not what was published into the local registry, nor what is known of earlier pushes; others may go on at once."""
    use = SharedFolder(run.layers.folder)
    del use
    clean(run)
    cache = run.project.settings.cache
    assert [(cache / name).exists() for name in FILES] == [False, False, True, True]
    assert not run.project.layout.exists()
    assert "removed 12 B" in capsys.readouterr().err
    assert {path.name for path in run.layers.folder.iterdir()} == {".gate", ".users"}


def test_what_is_removed_is_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Each place with its bytes; what has a second name elsewhere frees nothing, and a link is left alone."""
    cache = run.project.settings.cache
    (cache / "linked").symlink_to(run.project.folder)
    (cache / "bases" / "second").hardlink_to(cache / "history" / "published" / "one.json")
    (cache / "file").write_text("12345", "utf-8")
    clean(run)
    lines = capsys.readouterr().err.splitlines()
    for size, place in ((4, run.layers.folder / "blobs"), (4, cache / "bases"), (5, cache / "file")):
        assert f"clean           removed {size} B in {place}" in lines
    assert f"clean           skipped {cache / 'linked'}: it is a symbolic link" in lines
    assert lines[-1].startswith("clean           removed 17 B;")
    assert (run.project.folder / "cache").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_what_cannot_be_removed_is_skipped(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """By name and with why, as an error; all else goes, and counts."""
    place = run.project.settings.cache / "bases"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    try:
        with pytest.raises(BentoshipError, match=f"skipped {place}: Device or resource busy"):
            clean(run)
    finally:
        subprocess.run(["umount", place], check=True)
    assert (place / "debian" / "etc").exists()
    assert "removed 8 B;" in capsys.readouterr().err


def test_nothing_goes_under_the_hands_of_another_run(run: Run) -> None:
    """It is told, and everything stays."""
    use = SharedFolder(run.layers.folder)
    with pytest.raises(BentoshipError, match="another run is using it"):
        clean(run)
    assert all((run.project.settings.cache / name).exists() for name in FILES)
    assert run.project.layout.exists()
    del use
