"""Modules that a service imports in a function."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.lazy_imports import unpacked_modules
from bentoship.errors import BentoError
from tests.support.bento import append, edit, make_project

FILES = ("helper.py", "pkg/__init__.py", "pkg/part.py", "pkg/deep/__init__.py", "numpy.py", "json.py", "app/near.py")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with modules."""
    for name in (*FILES, "app/__init__.py", "other.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    return tmp_path


def found_in(project: Path, source: str, *packed: str) -> list[str]:
    """The modules that app/service.py lacks, which has this source."""
    (project / "app" / "service.py").write_text(source, "utf-8")
    return sorted(unpacked_modules(project, ["app/service.py"], ["app/service.py", "app/__init__.py", *packed], [""]))


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import helper", ["helper.py"]),
        ("import helper as h, os", ["helper.py"]),
        ("from helper import a", ["helper.py"]),
        ("import pkg.part", ["pkg/__init__.py", "pkg/part.py"]),
        ("from pkg import part, name", ["pkg/__init__.py", "pkg/part.py"]),
        ("from pkg.deep import name", ["pkg/__init__.py", "pkg/deep/__init__.py"]),
        ("from . import near", ["app/near.py"]),
        ("from .near import name", ["app/near.py"]),
        ("from .. import helper", ["helper.py"]),
        ("from importlib import import_module; import_module('helper')", ["helper.py"]),
        ("importlib.import_module('pkg.part')", ["pkg/__init__.py", "pkg/part.py"]),
        ("if self.a: import helper", ["helper.py"]),
        ("if sys.platform != 'win32': import helper", ["helper.py"]),
        ("if sys.platform == 'linux': import helper", ["helper.py"]),
        ("if kind == 'win32': import helper", ["helper.py"]),
        ("import numpy, json, absent, absent.part", []),
        ("from ... import helper", []),
        ("import_module(name); import_module('.near', 'app')", []),
    ],
)
def test_what_a_function_imports_is_found(project: Path, statement: str, missing: list[str]) -> None:
    """Relative or not, with the packages that it is in; what is installed, Python's own or nowhere is not meant."""
    assert found_in(project, f"class A:\n    def api(self):\n        {statement}\n") == missing
    assert found_in(project, f"class A:\n    async def api(self):\n        {statement}\n", *FILES) == []


@pytest.mark.parametrize(
    "source",
    [
        "import helper\n",
        "if sys.platform == 'win32':\n    import helper\n",
        "def f():\n    try:\n        import helper\n    except ImportError:\n        import pkg\n",
        "def f():\n    try:\n        import helper\n    except (ValueError, ModuleNotFoundError):\n        pass\n",
        "def f():\n    with contextlib.suppress(ImportError):\n        import helper\n",
        "def f():\n    if TYPE_CHECKING:\n        import helper\n",
        "def f():\n    if typing.TYPE_CHECKING:\n        import helper\n",
        "if __name__ == '__main__':\n    def f():\n        import helper\n",
        "def f():\n    if sys.platform == 'win32':\n        import helper\n",
        "def f():\n    if platform.system() in ('Windows', 'Darwin'):\n        import helper\n",
        "def f():\n    if os.name == 'nt':\n        import helper\n",
        "def f():\n    if sys.platform.startswith('win'):\n        import helper\n",
        "def f(:\n",
    ],
)
def test_what_may_be_missing_is_no_fault(project: Path, source: str) -> None:
    """Where the source expects it; what is outside of functions has been imported, or is for other systems."""
    assert found_in(project, source) == []


def test_an_error_of_another_kind_guards_nothing(project: Path) -> None:
    """Nor does what runs after the guarded part."""
    source = "def f():\n    try:\n        import helper\n    except ValueError:\n        pass\n"
    assert found_in(project, source) == ["helper.py"]
    source = (
        "def f():\n    try:\n        pass\n    except ImportError:\n        pass\n    else:\n        import helper\n"
    )
    assert found_in(project, source) == ["helper.py"]


def test_what_is_imported_later_imports_others(project: Path) -> None:
    """With all its imports, which have not run yet; a packed file that no one imports is none of the service."""
    (project / "helper.py").write_text("import pkg\n", "utf-8")
    (project / "other.py").write_text("def f():\n    import json\n    import app.near\n", "utf-8")
    assert found_in(project, "def f():\n    import helper\n", "helper.py", "other.py") == ["pkg/__init__.py"]


@pytest.mark.slow
def test_an_unpacked_module_is_named_with_its_line(tmp_path: Path) -> None:
    """Whether the whole Bento is built, or only the body of a function has changed since."""
    context = make_project(tmp_path / "project")
    (context.folder / "helper.py").touch()
    assert bento.build(context)
    edit(context.folder / "service.py", "        return text", "        import helper\n\n        return text")
    with pytest.raises(
        BentoError, match=r"^Build the Bento: helper\.py is imported in service\.py, line 9, but not packed"
    ):
        bento.build(context)
    append(context.folder / "service.py", "\nA = 1")
    with pytest.raises(BentoError, match=r"helper\.py is imported in service\.py"):
        bento.build(context)
