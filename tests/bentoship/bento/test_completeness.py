"""What a Bento has to hold for its service to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento import BuildContext
from bentoship.bento.completeness import is_optional
from bentoship.errors import BentoError
from tests.support.bento import edit, lay, make_project, needs_src_layout


def with_module(
    folder: Path, *include: str, module: str = "helper.py", statement: str = "import helper"
) -> BuildContext:
    """A project whose service imports a module of its own."""
    project = make_project(folder)
    lay(folder, module)
    (folder / module).write_text("SIZE = 3\n", "utf-8")
    edit(folder / "service.py", "import bentoml\n", f"import bentoml\n{statement}\n")
    edit(
        project.folder / "bentofile.yaml",
        "  - service.py\n",
        "".join(f"  - {pattern}\n" for pattern in ("service.py", *include)),
    )
    return project


@pytest.mark.parametrize("exclude", [False, True])
def test_a_module_that_is_imported_has_to_be_packed(tmp_path: Path, exclude: bool) -> None:
    """Without it the image would not start, whether it is not included or excluded."""
    project = with_module(tmp_path / "project", *(["helper.py"] if exclude else []))
    if exclude:
        edit(project.folder / "bentofile.yaml", "exclude:\n", "exclude:\n  - helper.py\n")
    with pytest.raises(BentoError, match=r"helper\.py: imported with the service, but not packed") as caught:
        bento.build(project)
    assert "include" in caught.value.hint
    assert bento.up_to_date(project) is None


def test_a_module_from_outside_is_refused(tmp_path: Path) -> None:
    """The image has neither the folder nor a package with it."""
    lay(tmp_path, "shared/elsewhere.py")
    (tmp_path / "shared" / "elsewhere.py").write_text("", "utf-8")
    statement = "import sys\nsys.path.append('../shared')\nimport elsewhere"
    project = with_module(tmp_path / "project", "helper.py", statement=statement)
    with pytest.raises(BentoError, match=r"shared/elsewhere\.py: imported from outside of the project"):
        bento.build(project)


def test_an_excluded_module_may_be_missing_where_that_is_expected(tmp_path: Path) -> None:
    """The service catches the ImportError; one that is not excluded may have been forgotten."""
    statement = "try:\n    import helper\nexcept ImportError:\n    helper = None"
    project = with_module(tmp_path / "project", statement=statement)
    with pytest.raises(BentoError, match=r"helper\.py: imported with the service, but not packed"):
        bento.build(project)
    edit(project.folder / "bentofile.yaml", "exclude:\n", "exclude:\n  - helper.py\n")
    assert not (bento.build(project).path / "src" / "helper.py").exists()


@pytest.mark.parametrize(
    ("source", "optional"),
    [
        ("try:\n    import a.helper\nexcept (OSError, ImportError):\n    pass\n", True),
        ("try:\n    from . import helper\nexcept:\n    pass\n", True),
        ("try:\n    pass\nexcept ImportError:\n    from a.helper import x\n", False),
        ("try:\n    import helper\nexcept OSError:\n    pass\n", False),
        ("def late():\n    from .helper import x\n", False),
        ("import helpers\n", True),
    ],
)
def test_which_imports_are_optional(tmp_path: Path, source: str, optional: bool) -> None:
    """Those whose failure is caught, in every source."""
    (tmp_path / "a.py").write_text(source, "utf-8")
    (tmp_path / "b.py").write_text("try:\n    import helper\nexcept ImportError:\n    pass\n", "utf-8")
    assert is_optional("a.helper", tmp_path, ["a.py", "b.py", "c.txt"]) == optional


def test_links_are_packed_as_what_they_lead_to(tmp_path: Path) -> None:
    """A module and a folder of the project, which need not be included under their own names."""
    project = with_module(tmp_path / "project", "helper.py", "texts/", module="lib/help.py")
    (project.folder / "helper.py").symlink_to("lib/help.py")
    (project.folder / "texts").symlink_to("data")
    packed = bento.build(project)
    source = packed.path / "src"
    assert not (source / "lib").exists()
    assert not any(path.is_symlink() for path in source.rglob("*"))
    assert (source / "helper.py").read_text("utf-8") == "SIZE = 3\n"
    assert (source / "texts" / "words.txt").read_text("utf-8") == "one two\n"
    (project.folder / "lib" / "help.py").write_text("SIZE = 4\n", "utf-8")
    assert (bento.build(project).path / "src" / "helper.py").read_text("utf-8") == "SIZE = 4\n"


@pytest.mark.slow  # the next one has it declared
@needs_src_layout
def test_a_src_layout_has_to_be_declared(tmp_path: Path) -> None:
    """The image finds modules of src/ only then; a module that no layout would find is not meant."""
    project = with_module(tmp_path / "project", "src/", module="src/helper.py")
    with pytest.raises(BentoError, match="No module named 'helper'") as caught:
        bento.build(project)
    assert "Set python.is_src_layout to true in bentofile.yaml" in caught.value.hint
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  is_src_layout: true\n")
    assert (bento.build(project).path / "src" / "helper.py").is_file()
    edit(project.folder / "service.py", "import helper", "import absent")
    with pytest.raises(BentoError, match="No module named 'absent'") as caught:
        bento.build(project)
    assert "is_src_layout" not in caught.value.hint


@needs_src_layout
def test_another_bentoship_does_not_build(tmp_path: Path) -> None:
    """The one that publishes does, whatever else has its name where the service is imported."""
    project = with_module(tmp_path / "project", "src/", module="src/helper.py")
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  is_src_layout: true\n")
    (project.folder / "src" / "bentoship.py").write_text("raise RuntimeError\n", "utf-8")
    assert (bento.build(project).path / "src" / "bentoship.py").is_file()


def test_a_service_may_add_a_folder_of_its_own_to_the_path(tmp_path: Path) -> None:
    """It does so in the image, too."""
    statement = "import sys\nsys.path.append(__import__('os').path.dirname(__file__) + '/lib')\nimport helper"
    project = with_module(tmp_path / "project", "lib/", module="lib/helper.py", statement=statement)
    assert (bento.build(project).path / "src" / "lib" / "helper.py").is_file()


@needs_src_layout
def test_two_files_for_one_place_are_refused(tmp_path: Path) -> None:
    """As src/ is packed without its name, one would be lost."""
    project = with_module(tmp_path / "project", "helper.py", "src/", module="helper.py")
    lay(project.folder, "src/helper.py")
    edit(project.folder / "bentofile.yaml", "python:\n", "python:\n  is_src_layout: true\n")
    with pytest.raises(BentoError, match=r"helper\.py and src/helper\.py have the same place in the Bento"):
        bento.build(project)
