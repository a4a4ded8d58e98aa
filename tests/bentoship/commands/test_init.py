"""Setting a project up."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bentoship.commands.init import init
from tests.support.site import ROOT


def files(folder: Path) -> dict[str, str]:
    """What a project has."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def on_a_terminal(folder: Path, answer: str, *options: str) -> str:
    """Run `bentoship init` on a terminal and answer what it asks. Returns: what it printed."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "bentoship", "init", *options]
    with subprocess.Popen(command, cwd=folder, stdin=follower, stdout=follower, stderr=follower) as running:
        os.close(follower)
        os.write(leader, answer.encode())
        printed = b""
        try:
            while piece := os.read(leader, 4096):
                printed += piece
        except OSError:  # the other end is closed
            pass
        assert running.wait(timeout=60) == 0
    os.close(leader)
    return printed.decode()


def test_a_project_gets_what_it_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tasks are this project's own file; the second time there is nothing to do."""
    init(tmp_path, github=False, yes=False)
    made = files(tmp_path)
    assert sorted(made) == [".env.example", ".gitignore", "tasks.py"]
    assert made["tasks.py"] == (ROOT / "tasks.py").read_text("utf-8")
    assert made[".gitignore"] == ".bentoship/\n.env\ncatalog.html\n"
    assert "created tasks.py" in capsys.readouterr().err
    init(tmp_path, github=False, yes=True)
    assert files(tmp_path) == made
    assert "nothing to do" in capsys.readouterr().err


def test_a_workflow_is_written_when_asked_for(tmp_path: Path) -> None:
    """In the folder where GitHub looks for it."""
    init(tmp_path, github=True, yes=True)
    assert "invoke publish" in files(tmp_path)[".github/workflows/publish.yaml"]


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tasks.py that exists is kept, and how to have ours beside it is said; .gitignore gets what it lacks."""
    own = {"tasks.py": "# own\n", ".env.example": "A=1\n", ".gitignore": "*.log\n.env*"}
    for name, content in own.items():
        (tmp_path / name).write_text(content, "utf-8")
    init(tmp_path, github=False, yes=True)
    assert files(tmp_path) == {**own, ".gitignore": "*.log\n.env*\n.bentoship/\ncatalog.html\n"}
    said = capsys.readouterr().err
    assert 'ns.add_collection(bentoship.tasks, name="ship")' in said
    assert ".env.example already exists, skipped" in said
    (tmp_path / "tasks.py").write_text("import bentoship.tasks\n", "utf-8")
    init(tmp_path, github=False, yes=True)
    assert "add_collection" not in capsys.readouterr().err


def test_tasks_in_a_folder_are_a_projects_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """invoke finds tasks/__init__.py as well, in the place of which it would take a tasks.py."""
    (tmp_path / "tasks").mkdir()
    init(tmp_path, github=False, yes=True)
    assert (tmp_path / "tasks.py").is_file()  # other things lie in that folder
    (tmp_path / "tasks.py").unlink()
    (tmp_path / "tasks" / "__init__.py").touch()
    capsys.readouterr()
    init(tmp_path, github=False, yes=True)
    assert not (tmp_path / "tasks.py").exists()
    said = capsys.readouterr().err
    assert "tasks/__init__.py already exists and is kept" in said
    assert '\nns.add_collection(bentoship.tasks, name="ship")\n' in said, "it can be copied"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.log\r\nfoo", b"*.log\r\nfoo\r\n.bentoship/\r\n.env\r\ncatalog.html\r\n"),
        (b"caf\xe9\n", b"caf\xe9\n.bentoship/\n.env\ncatalog.html\n"),
        (b".env*\r\n.bentoship/\r\n*.html\r\n", b".env*\r\n.bentoship/\r\n*.html\r\n"),
    ],
)
def test_gitignore_gets_lines_and_loses_nothing(before: bytes, after: bytes, tmp_path: Path) -> None:
    """Neither the ends of its lines nor characters of another encoding change."""
    (tmp_path / ".gitignore").write_bytes(before)
    init(tmp_path, github=False, yes=True)
    assert (tmp_path / ".gitignore").read_bytes() == after


def test_a_link_to_nowhere_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a tasks.py that a project has, whose target may come later."""
    (tmp_path / "tasks.py").symlink_to("nowhere")
    init(tmp_path, github=False, yes=True)
    assert (tmp_path / "tasks.py").is_symlink()
    assert "tasks.py already exists and is kept" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "changed"), [("\n", True), ("y\n", True), ("n\n", False), ("\x04", False)])
def test_a_person_is_asked(tmp_path: Path, answer: str, changed: bool) -> None:
    """On a terminal, before anything is changed; the end of the input is no yes."""
    printed = on_a_terminal(tmp_path, answer)
    assert "create tasks.py" in printed
    assert bool(files(tmp_path)) is changed


def test_yes_asks_nothing(tmp_path: Path) -> None:
    """On a terminal, too."""
    assert "[Y/n]" not in on_a_terminal(tmp_path, "", "--yes")
    assert "tasks.py" in files(tmp_path)
