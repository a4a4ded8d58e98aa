"""A Bento from the one before, where only what its import does not run has changed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento import Bento, BuildContext
from tests.support.bento import BENTOML, append, edit, make_project, needs_src_layout
from tests.support.slow import cases

HELPER = """\
SIZE = 3

def size():
    return SIZE
"""


def exact_project(folder: Path) -> BuildContext:
    """A project whose lock can be no other, with a module of its own."""
    project = make_project(folder)
    (folder / "requirements.txt").write_text(f"{BENTOML}\n", "utf-8")
    (folder / "helper.py").write_text(HELPER, "utf-8")
    lines = "import bentoml\ntry:\n    import helper\nexcept ImportError:\n    import more as helper\n"
    edit(folder / "service.py", "import bentoml\n", lines)
    edit(folder / "bentofile.yaml", "  - service.py\n", "  - service.py\n  - helper.py\n  - more.py\n")
    return project


def contents(packed: Bento) -> dict[str, bytes]:
    """The files of a Bento, without what tells when it was built."""
    files = [path for path in packed.path.rglob("*") if path.is_file()]
    return {
        path.relative_to(packed.path).as_posix(): re.sub(rb"(?m)^creation_time: .*", b"", path.read_bytes())
        for path in files
    }


def test_where_its_description_stays_the_service_is_not_imported(tmp_path: Path) -> None:
    """The Bento is the one that building all of it would have given, and the store's latest."""
    projects = [exact_project(tmp_path / name / "project") for name in ("one", "two")]
    bento.build(projects[0])
    for project in projects:
        edit(project.folder / "service.py", "return text", "return text + helper.size() * '!'")
        edit(project.folder / "helper.py", "return SIZE", "return SIZE + 1")
    begun: list[str] = []
    revised = bento.build(projects[0], begin=lambda: begun.append("one"))
    whole = bento.build(projects[1], begin=lambda: begun.append("two"))
    assert begun == ["two"]
    assert revised.fresh
    assert replace(revised, path=whole.path) == whole
    assert contents(revised) == contents(whole)
    assert (revised.path.parent / "latest").read_text("utf-8") == revised.version
    assert bento.up_to_date(projects[0]) == replace(revised, fresh=False)
    edit(projects[0].folder / "helper.py", "SIZE + 1", "SIZE + 2")
    preview = bento.preview(projects[0], tmp_path / "preview")
    assert preview.path.parent.parent == tmp_path / "preview"
    assert bento.build(projects[0], begin=lambda: begun.append("again")).version == preview.version
    assert begun == ["two"]


@needs_src_layout
def test_a_module_of_a_src_layout_is_found_in_the_bento(tmp_path: Path) -> None:
    """BentoML then packs what is below src/ beside the service."""
    project = exact_project(tmp_path / "project")
    (project.folder / "src").mkdir()
    (project.folder / "helper.py").rename(project.folder / "src" / "helper.py")
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  is_src_layout: true\n")
    edit(project.folder / "bentofile.yaml", "  - helper.py\n", "  - src/\n")
    bento.build(project)
    edit(project.folder / "src" / "helper.py", "return SIZE", "return SIZE + 1")
    begun: list[str] = []
    revised = bento.build(project, begin=lambda: begun.append("yes"))
    assert begun == []
    assert "SIZE + 1" in (revised.path / "src" / "helper.py").read_text("utf-8")


def test_a_function_that_begins_to_import_tasks_takes_them_along(tmp_path: Path) -> None:
    """A tasks.py for invoke is packed as long as any function imports it, and is an input as long."""
    project = exact_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "  - helper.py\n", "  - tasks.py\n  - helper.py\n")
    (project.folder / "tasks.py").write_text("import invoke\n", "utf-8")
    before = bento.build(project)
    assert not (before.path / "src" / "tasks.py").exists()
    edit(project.folder / "helper.py", "return SIZE", "import tasks; return SIZE")
    for line in ("x = 1", "x = 2"):
        append(project.folder / "tasks.py", line)
        built = bento.build(project)
        assert built.fresh
        assert (built.path / "src" / "tasks.py").read_bytes() == (project.folder / "tasks.py").read_bytes()
    edit(project.folder / "helper.py", "import tasks; return SIZE", "return SIZE")
    assert bento.build(project).version == before.version
    append(project.folder / "tasks.py", "x = 3")
    assert bento.up_to_date(project)


DECIDING: dict[str, Callable[[Path], object]] = {
    "what its import runs": lambda p: edit(p / "helper.py", "SIZE = 3", "SIZE = 4"),
    "a signature": lambda p: edit(p / "service.py", "text: str", "text: bytes"),
    "a new module": lambda p: append(p / "more.py", "x = 1"),
    "a module that is gone": lambda p: (p / "helper.py").rename(p / "more.py"),
    "data": lambda p: append(p / "data" / "words.txt", "four"),
    "bentofile.yaml": lambda p: append(p / "bentofile.yaml", "labels:\n  team: stars"),
    "a requirement": lambda p: append(p / "requirements.txt", "idna==3.20"),
    "a mode": lambda p: (p / "service.py").chmod(0o755),
}


@pytest.mark.parametrize("change", cases(DECIDING, "what its import runs", "a requirement"))
def test_what_may_decide_is_imported(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """Whatever it is that has changed beside the bodies of functions that the import does not run."""
    project = exact_project(tmp_path / "project")
    bento.build(project)
    change(project.folder)
    begun: list[str] = []
    bento.build(project, begin=lambda: begun.append("yes"))
    assert begun == ["yes"]


def test_a_bento_by_another_bentoml_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version may describe the same service in another way."""
    project = exact_project(tmp_path / "project")
    bento.build(project)
    (tmp_path / "other" / "bentoml").mkdir(parents=True)
    (tmp_path / "other" / "bentoml" / "__init__.py").touch()
    (tmp_path / "other" / "bentoml-1.4.99.dist-info").mkdir()
    monkeypatch.delitem(sys.modules, "bentoml", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "other")
    edit(project.folder / "helper.py", "return SIZE", "return SIZE + 1")
    begun: list[str] = []
    bento.build(project, begin=lambda: begun.append("yes"))
    assert begun == ["yes"]


def test_a_bento_by_other_variables_is_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import may describe the same service in another way."""
    project = replace(exact_project(tmp_path / "project"), variables=("TEAM",))
    edit(project.folder / "service.py", "import bentoml\n", "import bentoml, os\n")
    edit(project.folder / "service.py", "@bentoml.service\n", "@bentoml.service(labels={'team': os.environ['TEAM']})\n")
    monkeypatch.setenv("TEAM", "stars")
    bento.build(project)
    monkeypatch.setenv("TEAM", "moons")
    edit(project.folder / "service.py", "return text", "return text + '!'")
    assert bento.build(project).labels == (("team", "moons"),)


def test_a_changed_bento_in_the_store_is_no_start(tmp_path: Path) -> None:
    """A file that is not as it was built is rebuilt, with all the others."""
    project = exact_project(tmp_path / "project")
    before = bento.build(project)
    append(before.path / "src" / "helper.py", "# changed")
    edit(project.folder / "helper.py", "return SIZE", "return SIZE + 1")
    begun: list[str] = []
    after = bento.build(project, begin=lambda: begun.append("yes"))
    assert begun == ["yes"]
    assert (after.path / "src" / "helper.py").read_bytes() == (project.folder / "helper.py").read_bytes()
