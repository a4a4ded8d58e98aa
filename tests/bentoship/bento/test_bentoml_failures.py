"""What BentoML raises, which tells the kind of a failure: each test fails when BentoML changes one of them."""

from __future__ import annotations

import json

import pytest

from tests.support.adapter import run_python

FAILURES = {
    "an unknown key": (
        "BentoBuildConfig.load({'service': 'a:b', 'includs': []})",
        ("unknown key", "unknown key: includs"),
    ),
    "an unknown key of docker": (
        "BentoBuildConfig.load({'docker': {'distr': 'debian'}})",
        ("unknown key", "unknown key in its section docker: distr"),
    ),
    "an unknown key of python": (
        "BentoBuildConfig.load({'python': {'pakages': []}})",
        ("unknown key", "unknown key in its section python: pakages"),
    ),
    "an unknown key in the words of Python 3.13": (
        "raise TypeError(\"PythonOptions.__init__() got an unexpected keyword argument 'pakages'. Did you mean 'a'?\")",
        ("unknown key", "unknown key in its section python: pakages"),
    ),
    "an unknown key of a section, in the words of Python 3.9": (
        "raise TypeError(\"__init__() got an unexpected keyword argument 'pakages'\")",
        ("unknown key", "unknown key: pakages"),
    ),
    "a model that a service declares": (
        "bentoml.models.BentoModel('a:b').to_info()",
        ("missing model", "Model a:b could not be found locally"),
    ),
    "a model that a service loads": (
        "bentoml.models.BentoModel('a:b').resolve()",
        ("missing model", "Model a:b could not be found locally"),
    ),
    "a model that is asked for": ("bentoml.models.get('a:b')", ("missing model", "Model 'a:b' is not found in")),
    "the latest model": ("bentoml.models.get('a')", ("missing model", "no Models with name 'a' exist in")),
    "a Bento": ("bentoml.bentos.get('a:b')", ("other", "Bento 'a:b' is not found in")),
    "a model that is there": (
        "for _ in range(2):\n with bentoml.models.create('c:d'): pass",
        ("other", "Item 'c:d' already exists"),
    ),
    "a lock": (
        "Image(python_requirements='a @ file:///no/such.whl')._freeze_python_requirements(Path(sys.argv[1]))",
        ("lock", "Failed to lock PyPI packages"),
    ),
    "a lock in the first format": (
        "PythonOptions(packages=['a @ file:///no/such.whl']).with_defaults().write_to_bento(Path(sys.argv[1]), '.')",
        ("lock", "Failed to lock PyPI packages"),
    ),
    "a wheel that is not there": (
        "PythonOptions(wheels=['dist/*.whl']).with_defaults().write_to_bento(Path(sys.argv[1]), '.')",
        ("wheel", "file dist/*.whl not found"),
    ),
    "a wheel that is a folder": (
        "Path('dist').mkdir()\nPythonOptions(wheels=['dist']).with_defaults().write_to_bento(Path(sys.argv[1]), '.')",
        ("wheel", "dist: Is a directory"),
    ),
    "a module that is not there": (
        "import_service('absent:Echo', working_dir=sys.argv[1])",
        ("service", "ModuleNotFoundError: No module named 'absent'"),
    ),
    "a service that is not there": (
        "import_service('json:Echo', working_dir=sys.argv[1])",
        ("service", "AttributeError: module 'json' has no attribute 'Echo'"),
    ),
}


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the adapter makes of each of them, all in one process."""
    folder = tmp_path_factory.mktemp("failures")
    (folder / "src").mkdir()
    code = """\
from _bentoml_sdk.images import Image
from bentoml._internal.bento.build_config import BentoBuildConfig, PythonOptions
from bentoml._internal.service.loader import import_service
os.chdir(sys.argv[1])
result = {}
for name, statement in json.loads(sys.argv[2]).items():
    try:
        exec(statement)
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[-1]
        result[name] = asdict(adapter.failure_of(error))
"""
    statements = json.dumps({name: statement for name, (statement, _) in FAILURES.items()})
    return dict(run_python(code, folder / "home", folder, statements))


@pytest.mark.parametrize("name", FAILURES)
def test_bentoml_raises_what_tells_the_kind_of_failure(failures: dict[str, dict[str, str]], name: str) -> None:
    """By the type of the error, or of what has raised it."""
    kind, message = FAILURES[name][1]
    assert failures[name]["kind"] == kind
    assert failures[name]["message"].startswith(message)
