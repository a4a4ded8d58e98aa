"""Modules that are not there, when all that is wanted is what a service says of its image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bentoship.bento.stand_ins import Missing
from tests.support.slow import cases

USES = {
    "a submodule": "import absent.parts.inner as x",
    "names of it": "from absent import a, b\nfrom absent.parts import c",
    "all of it": "from absent import *",
    "a base class": "import absent\nclass Net(absent.nn.Module):\n    size = 3\n    def forward(self): ...\nx = Net(3)",
    "an abstract class": "import abc, absent\nclass Net(absent.Base, abc.ABC): ...",
    "an annotation": "import absent\nfrom typing import Optional\nx: list[absent.A] | None\ny = Optional[absent.A]\n"
    "def f(a: absent.A | None) -> absent.B[int, 3]: ...",
    "pydantic's": "import absent, pydantic\nclass M(pydantic.BaseModel):\n    a: absent.A\n    b: list[absent.B] = []\n"
    "M.model_json_schema()",
    "a call": "import absent\nx = absent.load('a', b=absent.C)[0].to(absent.device('cpu' if absent.ok() else ''))",
    "a context": "import absent\nwith absent.no_grad() as y: y.z = 1; y['a'] = 2",
    "arithmetic": "import absent\nx = -(absent.A * 2 + 1) / (3 - absent.B) @ absent.C\n"
    "y = range(absent.N), absent.N > 3, int(absent.N)",
    "a loop": "import absent\nx = [y for y in absent.names()], len(absent.names()), 'a' in absent.names()",
    "its version": "import absent\nassert [*map(int, absent.__version__.split('.'))] < [1, 0]",
    "a path": "import absent, os\nx = os.path.join(absent.folder, 'a')",
}


@pytest.fixture
def missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Missing]:
    """What finds modules for the files in a folder, whose project has `own`."""
    finder = Missing(lambda file: file.startswith(str(tmp_path)), lambda name: name == "own")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    yield finder
    for name in [name for name in sys.modules if name.partition(".")[0] == "absent"]:
        del sys.modules[name]


def imported(folder: Path, code: str) -> Any:
    """A module of the user's."""
    module = ModuleType("users")
    exec(compile(code, folder / "users.py", "exec", dont_inherit=True), module.__dict__)
    return module


@pytest.mark.parametrize("code", cases(USES, "a base class", "a call", "pydantic's"))
def test_a_stand_in_takes_any_use_on_import(tmp_path: Path, missing: Missing, code: str) -> None:
    """As services make it of the packages that they need."""
    missing.stand_in()
    imported(tmp_path, code)
    assert missing.names[0] == "absent"


def test_what_is_decorated_stays(tmp_path: Path, missing: Missing) -> None:
    """With arguments or without: the service's own methods are what they were."""
    missing.stand_in()
    code = "import absent\n@absent.compile\ndef f(): return 3\n@absent.compile(mode='x')\ndef g(): return 4\n"
    module = imported(tmp_path, code)
    assert (module.f(), module.g()) == (3, 4)


@pytest.mark.parametrize("code", ["import own", "from importlib import import_module; import_module('own.part')"])
def test_the_projects_own_modules_get_none(tmp_path: Path, missing: Missing, code: str) -> None:
    """One that is not there is the user's mistake."""
    missing.stand_in()
    with pytest.raises(ModuleNotFoundError, match="own"):
        imported(tmp_path, code)


def test_what_others_look_for_stays_missing(missing: Missing) -> None:
    """Packages have optional parts, for which a stand-in would be wrong."""
    missing.stand_in()
    with pytest.raises(ModuleNotFoundError):
        import absent  # type: ignore[import-not-found]  # noqa: F401
    assert missing.names == []


def test_a_folder_of_data_is_no_package(tmp_path: Path, missing: Missing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes one for a package that is not installed; what is installed stays as it is."""
    (tmp_path / "absent").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    missing.stand_in()
    module = imported(tmp_path, "import absent, wave, sys\nx = absent.load()")
    assert module.x
    assert module.wave.open
    assert missing.names == ["absent"]


def test_what_is_missing_is_noted_where_nothing_stands_in(tmp_path: Path, missing: Missing) -> None:
    """Also where the user's file catches the error."""
    imported(tmp_path, "try:\n    import absent.part\nexcept ImportError: pass")
    assert missing.names == ["absent"]
