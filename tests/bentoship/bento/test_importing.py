"""Services whose packages are not installed where bentoship runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.child_process import MissingPackageError, specify_in_child
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import check_bentoml
from bentoship.errors import BentoError, BentoshipError
from bentoship.packages.building import interpreter_of
from tests.support.bento import BENTOML, BENTOML_VERSION, append, edit, lay
from tests.support.slow import cases
from tests.support.wheels import make_wheel

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"

SERVICE = """\
import json, os, sys
import bentoml
import toolx

json.dump([sys.prefix, bentoml.__version__, dict(os.environ)], open({seen!r}, "w"))

@bentoml.service(image=bentoml.images.Image({image}).python_packages("--find-links {wheels}", {packages}))
class Shout:
    @bentoml.api
    def shout(self, text: str) -> str:
        return toolx.shout(text)
"""


@dataclass(frozen=True)
class Project:
    """A project. Args: context: what its Bento is built from; seen: what its service has seen when it was imported."""

    context: BuildContext
    seen: Path

    @property
    def service(self) -> Path:
        """Its source."""
        return self.context.folder / "service.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheels, and with the environments of all tests: BentoML's own packages take seconds to import."""
    place = tmp_path_factory.mktemp("importing")
    make_wheel(place / "wheels", "toolx", files={"toolx.py": "def shout(text): return text.upper()\n"})
    return place


@pytest.fixture
def project(tmp_path: Path, place: Path) -> Project:
    """A project that has no configuration but its service's image."""
    return made(tmp_path, place)


def made(folder: Path, place: Path, packages: str = '"toolx"', image: str = "") -> Project:
    """A project. Args: packages, image: what is in the code for it."""
    (folder / "project").mkdir()
    seen = folder / "seen.json"
    code = SERVICE.format(seen=str(seen), wheels=place / "wheels", packages=packages, image=image)
    (folder / "project" / "service.py").write_text(code, "utf-8")
    return Project(BuildContext(folder / "project", place / "records", folder / "bentoml-home"), seen)


def test_a_service_is_imported_with_the_packages_that_it_asks_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment, which a change of the service finds again; nothing of it gets elsewhere."""
    monkeypatch.setenv("REGISTRY_PASSWORD", "planted-secret")
    before = sorted(project.context.folder.rglob("*"))
    first = bento.build(project.context)
    assert first.environment.startswith(f"an environment of Python {OWN} with the ")
    prefix, version, seen = json.loads(project.seen.read_text("utf-8"))
    assert Path(prefix).parent == project.context.environments
    assert (seen["VIRTUAL_ENV"], f"bentoml=={version}") == (prefix, BENTOML)
    assert "planted-secret" not in seen.values()
    assert "toolx==1.0" in (first.path / "env" / "python" / "requirements.txt").read_text("utf-8")
    assert find_spec("toolx") is None
    assert sorted(project.context.folder.rglob("*")) == before
    assert bento.build(project.context).environment == ""  # it is up to date
    edit(project.service, "import toolx", "import toolx\nX = 1")
    again = bento.build(project.context)
    assert (again.environment, again.fresh) == (first.environment, True)
    assert json.loads(project.seen.read_text("utf-8"))[0] == prefix


BESIDE = {
    "a folder of data": ("toolx/data.txt", "from toolx import shout"),
    "a folder of data, and a name of the package": ("toolx/data.txt", "import toolx; toolx.shout('a')"),
    "the sources of a package": ("toolx/pyproject.toml", "from toolx import shout"),
    "names that are caught": ("data.txt", "with bentoml.importing():\n    from toolx import shout\nshout('a')"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("file", "code"), BESIDE.values(), ids=BESIDE)
def test_what_lies_beside_the_service_is_no_package(project: Project, file: str, code: str) -> None:
    """Whatever else the missing package shows itself by."""
    lay(project.context.folder, file)
    edit(project.service, "import toolx", code)
    assert bento.build(project.context).environment


@pytest.mark.slow
def test_a_library_of_the_system_is_named(project: Project) -> None:
    """An environment has none."""
    edit(
        project.service, "import toolx", "raise ImportError('libX.so.1: cannot open shared object file: No such file')"
    )
    with pytest.raises(BentoError) as caught:
        bento.build(project.context)
    assert "Install libX.so.1 on this machine" in caught.value.hint


@pytest.mark.slow
def test_a_package_that_bentoml_needs_is_one_of_the_service(project: Project, place: Path) -> None:
    """A hub's, which it imports for a model that the service declares; the model is named by what it needs."""
    hub = "class HfApi:\n    sha = 'a' * 40\n    model_info = lambda self, *a, **b: self\n"
    hub += "    def __init__(self, **options): pass\n"
    make_wheel(place / "wheels", "huggingface_hub", files={"huggingface_hub/__init__.py": hub})
    edit(project.service, '"toolx"', '"toolx", "huggingface_hub==1.0"')
    edit(project.service, "import toolx\n", "")
    edit(project.service, "class Shout:\n", 'class Shout:\n    model = bentoml.models.HuggingFaceModel("org/Tiny")\n')
    built = bento.build(project.context)
    assert built.environment
    assert built.needs_dockerfile == ('HuggingFaceModel("org/tiny")',)


@pytest.mark.slow  # doctor does it, too
def test_a_rehearsal_takes_the_way_of_a_build(project: Project, tmp_path: Path) -> None:
    """It imports the service in the same environment, also if its Bento is up to date, and stores nothing."""
    rehearsed = bento.rehearse(project.context, tmp_path / "first")
    assert rehearsed.environment.startswith(f"an environment of Python {OWN} with the ")
    assert not project.context.bentoml_home.exists()
    place = json.loads(project.seen.read_text("utf-8"))[0]
    built = bento.build(project.context)
    assert (built.version, built.environment) == (rehearsed.version, rehearsed.environment)
    assert json.loads(project.seen.read_text("utf-8"))[0] == place
    project.seen.unlink()
    store = sorted(project.context.bentoml_home.rglob("*"))
    assert bento.rehearse(project.context, tmp_path / "second").environment == built.environment
    assert json.loads(project.seen.read_text("utf-8"))[0] == place
    assert sorted(project.context.bentoml_home.rglob("*")) == store


@pytest.mark.slow
def test_a_rehearsal_fails_as_a_build_does(project: Project, tmp_path: Path) -> None:
    """In the same words."""
    edit(project.service, "import toolx", "import toolx\nNothing")
    errors = []
    attempts: list[Callable[[], bento.Bento]] = [
        lambda: bento.rehearse(project.context, tmp_path),
        lambda: bento.build(project.context),
    ]
    for attempt in attempts:
        with pytest.raises(
            BentoError, match=r"NameError: name 'Nothing' is not defined \(service.py, line 4\)"
        ) as caught:
            attempt()
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.slow
def test_a_service_that_asks_for_more_gets_another_environment(tmp_path: Path, place: Path) -> None:
    """The one that it had lacks the package: the requirements are in its code."""
    project = made(tmp_path, place)
    bento.build(project.context)
    make_wheel(place / "wheels", "tooly")
    edit(project.service, "import toolx", "import toolx, tooly")
    edit(project.service, '"toolx"', '"toolx", "tooly"')
    changed = bento.build(project.context)
    assert "tooly==1.0" in (changed.path / "env" / "python" / "requirements.txt").read_text("utf-8")
    assert changed.environment


@pytest.mark.parametrize(
    ("line", "parts"),
    cases(
        {
            "a module that no package has": (
                "import absent",
                ["No module named 'absent' (service.py, line 3)", "Add the package with absent to its requirements"],
            ),
            "an error of its own": (
                "import toolx; toolx.no",
                ["AttributeError: ", "(service.py, line 3)", "must import without errors"],
            ),
        },
        "a module that no package has",
    ),
)
def test_an_error_in_an_environment_is_the_services_own(project: Project, line: str, parts: list[str]) -> None:
    """With its place, what to do, and where it was imported."""
    edit(project.service, "import toolx", f"{line}\nimport toolx")
    with pytest.raises(BentoError) as caught:
        bento.build(project.context)
    assert all(part in str(caught.value) for part in [*parts, f"imported in an environment of Python {OWN} with "])


def test_the_packages_of_the_host_may_be_all(project: Project) -> None:
    """BUILD_PYTHON=host; the error says whose they are, and what else there is."""
    with pytest.raises(MissingPackageError, match="No module named 'toolx'") as caught:
        bento.build(replace(project.context, python="host"))
    assert sys.executable in caught.value.hint
    assert "BUILD_PYTHON" in caught.value.hint
    assert not project.seen.exists()


SPECIFIED = {
    "an image": ("", "toolx"),
    "an image before an error": ("\nraise SystemExit(1)\n", "toolx"),
    "an error before the image": ("import os\nKEY = os.environ['ABSENT']\n", "toolx"),
    "errors of several kinds before the image": (
        "from __future__ import annotations\nX = Y\nraise SystemExit\n",
        "toolx",
    ),
    "a module that cannot be compiled": ("def f(:\n", ""),
}


@pytest.mark.parametrize(("tail", "expected"), cases(SPECIFIED, "an image before an error"))
def test_what_the_image_asks_for_is_known_without_packages(
    tmp_path: Path, place: Path, tail: str, expected: str
) -> None:
    """Also where the service cannot be imported with stand-ins: the last image that it made counts."""
    project = made(tmp_path, place, image="python_version='3.12', lock_python_packages=False")
    text = project.service.read_text("utf-8")
    project.service.write_text(text + tail if tail.startswith("\n") else tail + text, "utf-8")
    described = specify_in_child(project.context, tmp_path, adds_bentoml=False)
    asked = Path(described["path"], "env", "python", "requirements.txt").read_text("utf-8")
    assert "bentoml" not in asked
    assert expected in asked
    assert described["python_version"] == ("3.12" if expected else OWN)


@pytest.mark.slow
def test_the_bentoml_that_is_required_builds(tmp_path: Path, place: Path) -> None:
    """Another version than the running one."""
    other = "1.4.30" if BENTOML_VERSION != (1, 4, 30) else "1.4.31"
    project = made(tmp_path, place, packages=f'"toolx", "bentoml=={other}"')
    assert bento.build(project.context).environment
    assert json.loads(project.seen.read_text("utf-8"))[1] == other


def another_python(folder: Path) -> str:
    """The minor version of a Python that uv finds here, other than the running one; skips the test without one."""
    others = (one for one in ("3.11", "3.12", "3.13") if one != OWN and interpreter_of(one, folder))
    return next(others, "") or pytest.skip("no other Python here")


@pytest.mark.slow
def test_the_python_of_the_image_imports(tmp_path: Path, place: Path) -> None:
    """Where this machine has it; the lock is the same as where it has not.

    A body of a function that its import does not run needs no other import, though the running Python compares it.
    """
    python = another_python(tmp_path)
    pinned, image = f'"toolx==1.0", "{BENTOML}"', f"python_version={python!r}, lock_python_packages=False"
    project = made(tmp_path, place, pinned, image)
    built = bento.build(project.context)
    assert built.environment.startswith(f"an environment of Python {python} with the ")
    assert built.python_version == python
    assert "python_version: null" in (built.path / "src" / "bentofile.yaml").read_text("utf-8")
    edit(project.service, "shout(text)", "shout(text + '!')")
    revised = bento.build(project.context)
    assert (revised.fresh, revised.environment) == (True, "")
    assert "+ '!'" in (revised.path / "src" / "service.py").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the code", "in a file"])
def test_what_only_the_images_python_runs_is_imported_by_that(tmp_path: Path, place: Path, where: str) -> None:
    """Where this machine has it, whatever error the running one makes of it."""
    python = another_python(tmp_path)
    project = made(tmp_path, place, '"toolx"', f"python_version={python!r}" if where == "in the code" else "")
    if where == "in a file":
        configuration = f"service: service:Shout\ndocker: {{python_version: '{python}'}}\n"
        (project.context.folder / "bentofile.yaml").write_text(configuration, "utf-8")
    edit(project.service, "import toolx\n", "")
    append(project.service, f"assert sys.version_info[:2] == {tuple(map(int, python.split('.')))}, 'another Python'")
    assert bento.build(project.context).environment.startswith(f"an environment of Python {python} with the ")
    append(project.service, "raise RuntimeError('own fault')")
    with pytest.raises(BentoError, match=rf"own fault.*\n.* imported in an environment of Python {python} with the "):
        bento.build(project.context)


@pytest.mark.slow
def test_an_error_says_which_python_it_may_come_of(tmp_path: Path, place: Path) -> None:
    """Where this machine has none that the image has, the running one imports; its own fault may be the service's."""
    # Of those that BentoML knows, which refuses others before it imports anything.
    missing = next((one for one in ("3.14", "3.13", "3.12") if not interpreter_of(one, tmp_path)), "")
    if not missing:
        pytest.skip("this machine has every Python that BentoML knows")
    project = made(tmp_path, place, '"toolx"')
    configuration = f"service: service:Shout\ndocker: {{python_version: '{missing}'}}\n"
    (project.context.folder / "bentofile.yaml").write_text(configuration, "utf-8")
    project.service.write_text("type New = (\n", "utf-8")
    with pytest.raises(BentoError, match=rf"SyntaxError.*\n.* in Python {OWN}; `uv python install {missing}` gets"):
        bento.build(project.context)


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.9", "3.10"])
def test_an_older_python_than_ours_imports(tmp_path: Path, place: Path, python: str) -> None:
    """By the same program, which knows there what is imported and read, and what a change means."""
    if not interpreter_of(python, tmp_path):
        pytest.skip(f"no Python {python} here")
    project = made(tmp_path, place, image=f"python_version={python!r}")
    edit(project.service, "[sys.prefix,", "[sys.version,")
    edit(project.service, "import toolx", "import helper, toolx\nWORDS = open(helper.FILE).read()")
    lay(project.context.folder, "words.txt", "data.bin")
    (project.context.folder / "helper.py").write_text("FILE = 'words.txt'\ndef used(): return 1\n", "utf-8")
    built = bento.build(project.context)
    assert built.environment.startswith(f"an environment of Python {python} with the ")
    assert json.loads(project.seen.read_text("utf-8"))[0].startswith(f"{python}.")
    assert bento.up_to_date(project.context) == replace(built, fresh=False, environment="")
    assert (built.path / "src" / "helper.py").is_file()
    edit(project.context.folder / "helper.py", "return 1", "return 2")
    again = bento.build(project.context)
    assert (again.environment, again.version == built.version) == (built.environment, False)
    edit(project.service, "import helper", "import sys\nmatch sys.version:\n    case _: pass\nimport helper")
    if python == "3.9":
        with pytest.raises(BentoError, match=r"SyntaxError: invalid syntax \(service.py, line 4\)") as caught:
            bento.build(project.context)
        assert "in an environment of Python 3.9 with " in caught.value.hint
        edit(project.service, "python_version='3.9'", f"python_version={OWN!r}")
        assert bento.build(project.context).environment.startswith(f"an environment of Python {OWN} with the ")
    else:
        assert bento.build(project.context).environment == built.environment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("python_packages(", "python_packages('no-such-package-at-all', ", "no-such-package-at-all"),
        ("toolx.shout(text)", "text\n\nraise ExceptionGroup('a', [])", "NameError: name 'ExceptionGroup'"),
        ("import toolx", "import toolx\ntoolx.no", "AttributeError: module 'toolx' has no attribute 'no' (service.py"),
        ("text: str", "text: str | None", "TypeError: unsupported operand type(s) for |: 'type' and 'NoneType'"),
    ],
)
def test_an_error_in_an_older_python_is_the_services_own(
    tmp_path: Path, place: Path, old: str, new: str, words: str
) -> None:
    """In the words that it has there."""
    if not interpreter_of("3.9", tmp_path):
        pytest.skip("no Python 3.9 here")
    project = made(tmp_path, place, image="python_version='3.9'")
    edit(project.service, old, new)
    with pytest.raises(BentoshipError) as caught:
        bento.build(project.context)
    assert words in str(caught.value)


def test_a_bentoml_that_a_service_may_not_ask_for_is_named() -> None:
    """With the range of those that build."""
    with pytest.raises(BentoError, match=r"ask for BentoML 1\.4\.10, but bentoship builds with >=1\.4\.20,<1\.5 alone"):
        check_bentoml("1.4.10")
