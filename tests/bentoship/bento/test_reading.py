"""What the import of a service reads, and files that change while a Bento is built."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento import BuildContext
from bentoship.errors import BentoError
from tests.support.adapter import run_python
from tests.support.bento import append, edit, make_project
from tests.support.slow import cases

READS = {
    "a file": ("open('extra/notes.txt').read()", lambda p: append(p / "extra" / "notes.txt", "more")),
    "a file by the operating system": (
        "os.read(os.open('extra/notes.txt', os.O_RDONLY), 9)",
        lambda p: append(p / "extra" / "notes.txt", "more"),
    ),
    "a file that it updates": (
        "open('extra/notes.txt', 'r+').read()",
        lambda p: append(p / "extra" / "notes.txt", "2"),
    ),
    "a file that it writes then": (
        "open('extra/notes.txt').read() and open('extra/notes.txt', 'w').write('1')",
        lambda p: append(p / "extra" / "notes.txt", "more"),
    ),
    "a file that is missing": ("Path('absent').exists() and 0 or opened()", lambda p: append(p / "absent", "there")),
    "a file that is a link": ("open('link').read()", lambda p: append(p / "extra" / "notes.txt", "more")),
    "a database": (
        "__import__('sqlite3').connect('extra/notes.txt')",
        lambda p: append(p / "extra" / "notes.txt", "more"),
    ),
    "a constraint": (
        "bentoml.images.Image().requirements_file('extra/reqs.txt')",
        lambda p: append(p / "extra" / "limits.txt", "idna<4"),
    ),
    "a file beside the project": ("open('../shared.txt').read()", lambda p: append(p.parent / "shared.txt", "more")),
    "a file elsewhere": (
        "open(Path(__file__).parents[1] / 'other' / 'new.txt') if os.listdir('../other') else opened()",
        lambda p: append(p.parent / "other" / "new.txt", "more"),
    ),
    "a folder": ("sorted(Path('extra').glob('*.txt'))", lambda p: append(p / "extra" / "new.txt", "new")),
    "a tree": ("list(os.walk('extra'))", lambda p: append(p / "extra" / "new.txt", "new")),
    "a commit": ("open('.git/HEAD').read()", lambda p: append(p / ".git" / "HEAD", "other")),
}
"""What a service does when it is imported, and a change of what it has read; none of it is packed."""

ABSENT = """
def opened():
    try:
        open("absent").read()
    except FileNotFoundError:
        pass
"""


def reader(folder: Path, expression: str) -> BuildContext:
    """A project whose service evaluates an expression when it is imported."""
    project = make_project(folder)
    for name in ("extra/notes.txt", ".git/HEAD"):
        (folder / name).parent.mkdir()
        append(folder / name, "first")
    append(folder.parent / "shared.txt", "first")
    (folder.parent / "other").mkdir(exist_ok=True)
    (folder / "link").symlink_to("extra/notes.txt")
    append(folder / "extra" / "reqs.txt", "-c limits.txt")
    append(folder / "extra" / "limits.txt", "idna<5")
    lines = f"import os\nfrom pathlib import Path\nimport bentoml\n{ABSENT}\nREAD = {expression}\n"
    edit(folder / "service.py", "import bentoml\n", lines)
    return project


@pytest.mark.parametrize(("expression", "change"), cases(READS, "a file", "a constraint", "a folder"))
def test_what_the_import_reads_counts(tmp_path: Path, expression: str, change: Callable[[Path], object]) -> None:
    """When it changes, the service is imported again, though the Bento does not pack it."""
    project = reader(tmp_path / "project", expression)
    bento.build(project)
    append(project.folder / "unread.txt", "more")
    assert bento.up_to_date(project)
    change(project.folder)
    assert bento.up_to_date(project) is None
    assert bento.build(project).fresh
    assert bento.up_to_date(project)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("import subprocess; subprocess.run(['true'])", True),
        ("import os; os.system('true')", True),
        ("import os; os.waitpid(os.fork() or os._exit(0), 0)", True),
        ("import tool; tool.run()", True),
        ("import tool", False),
        ("import subprocess", False),
    ],
)
def test_once_the_users_code_starts_a_program_all_files_count(tmp_path: Path, line: str, counts: bool) -> None:
    """By themselves or by a package, unless it does so when it is imported, to look for its libraries."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "own.py").write_text(line, "utf-8")
    tool = "import subprocess\ndef run():\n    subprocess.run(['true'])\nrun()\n"
    (tmp_path / "tool.py").write_text(tool, "utf-8")
    script = """\
import json, sys
from pathlib import Path
from bentoship.bento.reading import Reading
sys.path[:0] = ["project", "."]
reading = Reading(Path("project").absolute(), lambda file: "/project/" in file, [])
import own
print(json.dumps(reading.states(but=[])))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ("**" in json.loads(done.stdout)) is counts


@pytest.mark.slow
def test_what_a_program_of_the_service_reads_counts(tmp_path: Path) -> None:
    """As may do any file of the project, so that the Bento is built again."""
    project = reader(tmp_path / "project", "__import__('subprocess').run(['cat', 'extra/notes.txt'])")
    bento.build(project)
    assert bento.up_to_date(project)
    append(project.folder / "extra" / "notes.txt", "more")
    assert bento.up_to_date(project) is None


def test_checkouts_have_files_beside_them_of_their_own(tmp_path: Path) -> None:
    """One cache for both does not give the second the first one's Bento."""
    projects = [reader(tmp_path / name / "project", "open('../shared.txt').read()") for name in ("one", "two")]
    append(tmp_path / "two" / "shared.txt", "second")
    one, two = (
        replace(project, records=tmp_path / "records", bentoml_home=tmp_path / "bentoml-home") for project in projects
    )
    bento.build(one)
    assert bento.up_to_date(one)
    assert bento.up_to_date(two) is None


def test_a_cache_may_be_a_link(tmp_path: Path) -> None:
    """What BentoML reads in it is not the user's."""
    project = reader(tmp_path / "project", "0")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    linked = replace(project, records=tmp_path / "link" / "records")
    bento.build(linked)
    assert bento.up_to_date(linked)


def test_what_the_import_writes_does_not_count(tmp_path: Path) -> None:
    """Its own log, which is packed as it is after the import, is no reason to build again."""
    project = reader(tmp_path / "project", "open('data/log.txt', 'a').write('imported')")
    packed = bento.build(project)
    assert (packed.path / "src" / "data" / "log.txt").read_text("utf-8") == "imported"
    assert bento.up_to_date(project)


CHANGES_ONCE = """os.path.exists('once') or (
    open('once', 'w').close(), subprocess.run({command!r}, shell=True, check=True)
)"""


@pytest.mark.parametrize(
    "command",
    ["echo four >>data/words.txt", "cp -p data/words.txt w && echo >>data/words.txt && cat w >data/words.txt"],
)
def test_a_file_that_changes_meanwhile_is_packed_as_it_is_in_the_end(tmp_path: Path, command: str) -> None:
    """The Bento is built again, also if the file has its former content again."""
    project = reader(tmp_path / "project", f"__import__('subprocess') and {CHANGES_ONCE.format(command=command)}")
    edit(project.folder / "service.py", "import os\n", "import os, subprocess\nopen('imports', 'a').write('1')\n")
    packed = bento.build(project)
    assert (project.folder / "imports").read_text("utf-8") == "11"
    words = (project.folder / "data" / "words.txt").read_bytes()
    assert (packed.path / "src" / "data" / "words.txt").read_bytes() == words
    assert bento.up_to_date(project)


def test_a_file_that_never_rests_is_named(tmp_path: Path) -> None:
    """Nothing is recorded that mixes two states."""
    project = reader(tmp_path / "project", "os.system('date +%N >>data/words.txt')")
    with pytest.raises(BentoError, match=r"data/words\.txt changed each time while it was built"):
        bento.build(project)
    assert bento.up_to_date(project) is None


@pytest.mark.parametrize("hook", [False, True])
def test_byte_code_of_the_users_files_is_not_written(tmp_path: Path, hook: bool) -> None:
    """Python writes it beside every module that it imports; with the hook, beside those of others alone."""
    for name in ("own", "foreign"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_module.py").touch()
    code = f"""\
from bentoship.bento.reading import leave_no_byte_code
{"leave_no_byte_code(lambda path: path.startswith(sys.argv[1]))" if hook else ""}
sys.path += sys.argv[1:]
import own_module, foreign_module
result = None
"""
    run_python(code, tmp_path / "home", tmp_path / "own", tmp_path / "foreign")
    assert (tmp_path / "foreign" / "__pycache__").is_dir()
    assert (tmp_path / "own" / "__pycache__").is_dir() is not hook
