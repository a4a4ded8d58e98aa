"""Setting a project up to publish with invoke: the files that it lacks, and nothing that it has."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pathspec import PathSpec

from bentoship.commands.terminal import copyable, say
from bentoship.system.text import enumerated

_PACKAGE = Path(__file__).parents[1]

_IGNORED = (".bentoship/", ".env", "catalog.html")

_TASKS = ("tasks.py", "tasks/__init__.py")
"""Where invoke finds tasks."""

_AS_COLLECTION = """
import sys
import bentoship.tasks
from invoke import Collection

ns = Collection.from_module(sys.modules[__name__])
ns.add_collection(bentoship.tasks, name="ship")
"""


def init(folder: Path, *, github: bool, yes: bool) -> None:
    """Write the files with which a project publishes; what exists is never overwritten.

    Asks first on a terminal. Without one nothing is asked.

    Args:
        folder: the project's.
        github: whether to write a workflow of GitHub Actions, too.
        yes: whether to ask nothing.

    Raises: OSError when a file cannot be written.
    """
    sources = {"tasks.py": _PACKAGE / "tasks.py", ".env.example": _PACKAGE / "templates" / "env.example"}
    if github:
        sources[".github/workflows/publish.yaml"] = _PACKAGE / "templates" / "publish.yaml"
    contents = {name: source.read_text("utf-8") for name, source in sources.items()}
    own = next((name for name in _TASKS if os.path.lexists(folder / name)), "")
    has_ours = "bentoship" in _text(folder / own) if own else True
    new = {name: content for name, content in contents.items() if not os.path.lexists(folder / name)}
    if own:
        new.pop("tasks.py", None)
    ignored = _not_ignored(folder)
    for name in contents:
        if name not in new and name != "tasks.py":
            say("init", f"{name} already exists, skipped")
    if not new and not ignored:
        say("init", "nothing to do")
    elif yes or _agreed(folder, new, ignored):
        _write(folder, new, ignored)
    else:
        say("init", "nothing was changed")
        return
    if not has_ours:
        say("init", f"{own} already exists and is kept. To have these tasks beside its own, add to its end:")
        copyable(_AS_COLLECTION)
        say("init", "then `invoke ship.publish` publishes")
    elif not any((folder / name).exists() for name in ("bentofile.yaml", "pyproject.toml", "service.py")):
        say("init", "next: write a service.py (docs.bentoml.com), then run `invoke publish`")
    else:
        say("init", "next: run `invoke publish`; .env.example explains what can be set in .env")


def _not_ignored(folder: Path) -> list[str]:
    """Return the lines that a project's .gitignore lacks."""
    spec = PathSpec.from_lines("gitignore", _text(folder / ".gitignore").splitlines())
    return [line for line in _IGNORED if not spec.match_file(line)]


def _text(file: Path) -> str:
    """Return what a file holds; nothing where there is none."""
    return file.read_text("utf-8", "replace") if file.exists() else ""


def _agreed(folder: Path, new: Mapping[str, str], ignored: list[str]) -> bool:
    """Ask whether to make the changes, and return the answer; without a terminal, return that they are agreed to."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    say("init", f"in {folder}:")
    for name in new:
        say("", f"create {name}")
    if ignored:
        say("", f"add {enumerated(ignored)} to .gitignore")
    say("init", "continue? [Y/n]")
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() in ("", "y", "yes")


def _write(folder: Path, new: Mapping[str, str], ignored: list[str]) -> None:
    for name, content in new.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("x", encoding="utf-8") as stream:  # it may have been created meanwhile
            stream.write(content)
        say("init", f"created {name}")
    if ignored:
        file = folder / ".gitignore"
        before = file.read_bytes() if file.exists() else b""
        newline = "\r\n" if b"\r\n" in before else "\n"
        beginning = "" if before.endswith(b"\n") or not before else newline
        with file.open("ab") as stream:  # what it has may be in any encoding
            stream.write((beginning + "".join(line + newline for line in ignored)).encode())
        say("init", f"added {enumerated(ignored)} to .gitignore")
