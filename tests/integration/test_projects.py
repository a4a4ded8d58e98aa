"""Small projects of many kinds, published unchanged: each answers in a container, or is refused for what it needs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bentoship.bases.debian import DebianSource, is_offered
from bentoship.bases.interpreter import host_platform
from bentoship.debian.sources import known_pythons, os_release
from bentoship.image.reference import ImageReference
from bentoship.layers.cache import LayerCache
from bentoship.packages.building import interpreter_of
from bentoship.stores.registry import RegistryStore
from tests.support.cache import needs_apt
from tests.support.pythons import put_python_image
from tests.support.registry import running
from tests.support.repositories import commit, publish, serving
from tests.support.servers import private_index
from tests.support.site import ROOT, Site
from tests.support.slow import cases
from tests.support.wheels import make_folder, make_source, make_wheel, source_files

pytestmark = needs_apt

SERVICE = """\
import bentoml
{before}

@bentoml.service({options})
class Small:
    @bentoml.api
    def ask(self) -> str:
        return str({answer})
"""

LEGACY = """\
import bentoml
from bentoml.io import JSON, Text

svc = bentoml.legacy.Service("small")

@svc.api(input=JSON(), output=Text())
def ask(said: dict) -> str:
    return "old"
"""

PYPROJECT = """\
[project]
name = "small"
version = "1.0"
dependencies = ["attrs"]

[tool.bentoml.build]
service = "service:Small"
include = ["service.py"]
"""

PASSWORD = "planted-8c41d2"

INDEXES = f"""
[tool.uv.sources]
toolx = {{ index = "own" }}

[[tool.uv.index]]
name = "own"
url = "http://ann:{PASSWORD}@INDEX"
explicit = true
"""


@dataclass(frozen=True)
class Project:
    """A project. PLACE, HOST and INDEX in its files stand for what `Packages` says.

    Args:
        files: by their names.
        answer: what the service answers in its container.
        settings: variables that the user has set.
        said: what publish says.
    """

    files: Mapping[str, str]
    answer: str
    settings: Mapping[str, str] = field(default_factory=dict)
    said: str = "docker run --rm -p 3000:3000 localhost:"


def bentofile(more: str = "", include: str = "[service.py]", name: str = "service:Small") -> str:
    """Return the text of a bentofile.yaml."""
    return f'service: "{name}"\ninclude: {include}\n{more}'


def service(answer: str = "'new'", before: str = "", options: str = "") -> str:
    """Return a service. Args: answer, before, options: the code of its answer, before it, and in its decorator."""
    return SERVICE.format(answer=answer, before=before, options=options)


def requiring(*lines: str, include: str = "[service.py, pyproject.toml]", **more: str) -> Project:
    """Return a project whose service imports a package without a wheel. Args: lines: its requirements.txt."""
    files = {
        "service.py": service("f'sources {small.X}'", "with bentoml.importing():\n    import small"),
        "bentofile.yaml": bentofile("python: {requirements_txt: requirements.txt}\n", include),
        "requirements.txt": "\n".join([*lines, ""]),
    }
    return Project({**files, **more}, "sources 1")


SMALL = source_files("small", Path("/dev/null"))
"""The sources of a package that builds itself."""

IMAGE = "bentoml.images.Image(python_version='3.11')"

VARIABLE = "import os\nKEY = os.environ['WORD_FOR_SMALL']"

ANSWERING = {
    "no file at all": Project({"service.py": service(options=f"image={IMAGE}.python_packages('attrs')")}, "new"),
    "pyproject.toml": Project({"service.py": service(), "pyproject.toml": PYPROJECT}, "new"),
    "every module": Project(
        {
            "service.py": service(
                "sorted(p.name for p in pathlib.Path(__file__).parent.glob('*.py'))", "import pathlib"
            ),
            "other.py": "",
            "tasks.py": (ROOT / "tasks.py").read_text("utf-8"),
            "bentofile.yaml": bentofile(include='["*.py"]'),
        },
        "['other.py', 'service.py']",
    ),
    "names of the app's own in .env": Project(
        {
            "service.py": service(),
            "bentofile.yaml": bentofile(),
            ".env": "PROJECT_ID=shop\nAPI_ENDPOINT=https://api.example.com\nIMAGE_TAG=7\nPLATFORM=web\n",
        },
        "new",
    ),
    "a variable at import": Project(
        {
            "service.py": service("KEY", VARIABLE),
            "bentofile.yaml": bentofile("envs: [{name: WORD_FOR_SMALL}]\n"),
        },
        "said",
        {"WORD_FOR_SMALL": "said"},
        "docker run --rm -p 3000:3000 -e WORD_FOR_SMALL localhost:",
    ),
    "another BentoML": Project(
        {
            "service.py": service("bentoml.__version__"),
            "bentofile.yaml": bentofile("python: {requirements_txt: requirements.txt}\n"),
            "requirements.txt": "bentoml==1.4.25\n",
        },
        "1.4.25",
    ),
    "a source distribution": requiring("--find-links PLACE/listed", "small==1.0"),
    "a folder": requiring(
        "./pkg", include="[service.py, pkg/]", **{f"pkg/{name}": text for name, text in SMALL.items()}
    ),
    "an editable folder": requiring("-e .", include="[service.py, pyproject.toml, own.py, small/]", **SMALL),
    "a Git repository": requiring("small @ git+http://HOST/small.git"),
    "a legacy service": Project({"service.py": LEGACY, "bentofile.yaml": bentofile(name="service:svc")}, "old"),
    "a .env in include": Project(
        {
            "service.py": service(
                "f'found {list(pathlib.Path(__file__).parent.glob(chr(46) + \"env\"))}'", "import pathlib"
            ),
            "bentofile.yaml": bentofile(include="[service.py, .env]"),
            ".env": f"WORD_FOR_SMALL={PASSWORD}\n",
        },
        "found []",
    ),
    "a Python in the Image": Project(
        {
            "service.py": service(
                "'Python %d.%d' % sys.version_info[:2]",
                "import sys",
                "image=bentoml.images.Image(python_version='3.13').python_packages('attrs')",
            ),
            "bentofile.yaml": bentofile(),
        },
        "Python 3.13",
    ),
    "an index with a password": Project(
        {
            "service.py": service("toolx.__name__", "with bentoml.importing():\n    import toolx"),
            "bentofile.yaml": bentofile(
                f"python: {{packages: [toolx], extra_index_url: ['http://ann:{PASSWORD}@INDEX']}}\n"
            ),
        },
        "toolx",
    ),
    "an index of a package": Project(
        {
            "service.py": service("toolx.__name__", "with bentoml.importing():\n    import toolx"),
            "pyproject.toml": PYPROJECT.replace("attrs", "toolx").replace(
                '"service.py"', '"service.py", "pyproject.toml"'
            )
            + INDEXES,
        },
        "toolx",
    ),
}

REFUSED = {
    "packages of the system": (
        {"service.py": service(options=f"image={IMAGE}.system_packages('libgl1', 'ffmpeg')")},
        ['system_packages("libgl1", "ffmpeg") of its Image', "BACKEND=docker"],
    ),
    "an old service with CUDA": (
        {"service.py": LEGACY, "bentofile.yaml": bentofile("docker: {cuda_version: 12}\n", name="service:svc")},
        ["docker.cuda_version (12)", "docker.base_image", "BACKEND=docker"],
    ),
    "a service in src": (
        {"src/serve.py": service(), "bentofile.yaml": bentofile(include="[serve.py]", name="serve:Small")},
        ["python.is_src_layout"],
    ),
    "a .env that it needs": (
        {
            "service.py": service(before="import pathlib\npathlib.Path(__file__).with_name('.env').read_text()"),
            "bentofile.yaml": bentofile(include="[service.py, .env]"),
            ".env": f"WORD_FOR_SMALL={PASSWORD}\n",
        },
        ["the service needs .env when it is imported (service.py, line 3)", "envs of bentofile.yaml"],
    ),
    "a Python that no base has": (
        {
            "service.py": service(options="image=bentoml.images.Image(python_version='3.14')"),
            "bentofile.yaml": bentofile(),
            ".env": "BASE_IMAGE=debian\n",
        },
        ["Python 3.14", "Set python_version of its Image to "],
    ),
    "a library that the system lacks": (
        {
            "service.py": service(before="with bentoml.importing():\n    import broken"),
            "bentofile.yaml": bentofile("python: {packages: ['--find-links PLACE/listed', broken]}\n"),
        },
        ["libnone.so.1"],
    ),
}
"""What needs Docker or a change, and the words for it."""


@dataclass(frozen=True)
class Packages:
    """Where the projects' packages are. Args: folder: of all; host: of the server that has it; index: its address."""

    folder: Path
    host: str
    index: str


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    """A source distribution, a Git repository, a wheel that wants a library, and an index that wants a password."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "listed").mkdir()
    metadata = {"PKG-INFO": "Metadata-Version: 2.2\nName: small\nVersion: 1.0\n"}
    make_source(folder / "listed", "small", files={**SMALL, **metadata})
    missing = "raise ImportError('libnone.so.1: cannot open shared object file: No such file or directory')\n"
    make_wheel(folder / "listed", "broken", files={"broken.py": missing})
    make_folder(folder / "repository", SMALL)
    commit(folder / "repository")
    publish(folder / "repository", folder / "served" / "small.git")
    with serving(folder / "served") as host, private_index(folder / "index", PASSWORD) as index:
        yield Packages(folder, host, index)


def written(files: Mapping[str, str], folder: Path, cache: Path, packages: Packages, **settings: str) -> Site:
    """Write a project, and return it with its user."""
    names = {"PLACE": str(packages.folder), "HOST": packages.host, "INDEX": packages.index}
    filled = {name: re.sub("PLACE|HOST|INDEX", lambda found: names[found[0]], text) for name, text in files.items()}
    make_folder(folder / "project", filled)
    (folder / "home").mkdir()
    return Site(folder / "project", folder / "home", cache, settings)


def run(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a project's folder, which has no tasks of its own."""
    command = [sys.executable, "-m", "bentoship", *words]
    where = {**site.env, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        command, cwd=site.folder, env=where, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("project", cases(ANSWERING, "no file at all"))
def test_a_project_is_published_and_answers(project: Project, tmp_path: Path, cache: Path, packages: Packages) -> None:
    """As it is; its files stay so, and nothing of the image or the output is a password."""
    request = {"path": "/ask", "method": "POST", "json": {}, "answer": project.answer}
    (tmp_path / "verify.yaml").write_text(json.dumps(request), "utf-8")
    settings = {"VERIFY_REQUEST": str(tmp_path / "verify.yaml"), **project.settings}
    site = written(project.files, tmp_path, cache, packages, **settings)
    before = states(site)
    done = run(site, "publish", "--verify")
    assert done.returncode == 0, done.stderr
    assert "POST /ask: 200" in done.stderr
    assert project.said in done.stderr
    assert states(site) == before
    assert PASSWORD not in done.stdout + done.stderr
    for file in (site.folder / ".bentoship").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


@pytest.mark.slow
def test_an_older_python_imports_a_service_and_serves_it(tmp_path: Path, cache: Path, packages: Packages) -> None:
    """That of an earlier Debian; a package that is not installed here has a wheel built by it."""
    if os_release().get("ID") != "debian" or not interpreter_of("3.9", tmp_path):
        pytest.skip("needs Debian, and Python 3.9 to import the service")
    image = "bentoml.images.Image(python_version='3.9').python_packages('--find-links PLACE/listed', 'small==1.0')"
    code = service("(small.X, *sys.version_info[:2])", "import sys\nimport small", f"image={image}")
    project = Project({"service.py": f"{code}\nassert sys.version_info[:2] == (3, 9)\n"}, "(1, 3, 9)")
    test_a_project_is_published_and_answers(project, tmp_path, cache, packages)


@pytest.mark.slow
def test_a_python_that_no_debian_has_is_taken_from_an_image(tmp_path: Path, cache: Path, packages: Packages) -> None:
    """BASE_IMAGE names it, as python:3.12-slim is one; the service is served by it."""
    pythons = {one: interpreter_of(one, tmp_path) for one in ("3.12", "3.10", "3.14") if not is_offered(one)}
    version = next((one for one, python in pythons.items() if python), "")
    if not version:
        pytest.skip(f"needs Python {' or '.join(pythons)} on this machine")
    own = cache / "bentoship"
    layers = LayerCache(own / "layers")
    system = DebianSource(own, known_pythons(os_release())[-1], layers).make(host_platform())
    with running(tmp_path / "registry") as registry:
        image = ImageReference(registry.host, "python", version)
        store = RegistryStore(image, push=True)
        store.tag(put_python_image(store, system, layers, pythons[version]), version)
        wish = f"bentoml.images.Image(python_version='{version}').python_packages('attrs')"
        code = service("'Python %d.%d' % sys.version_info[:2]", "import sys", f"image={wish}")
        project = Project({"service.py": code}, f"Python {version}", {"BASE_IMAGE": str(image)}, f"on the base {image}")
        test_a_project_is_published_and_answers(project, tmp_path, cache, packages)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["old", "new"])
def test_the_wheels_that_a_project_lists_are_in_its_image(
    kind: str, tmp_path: Path, cache: Path, packages: Packages
) -> None:
    """With what they require; for a service of before 1.2 and one of today. Another content makes another image."""
    code = service("toolx.WORD") if kind == "new" else LEGACY.replace('"old"', "toolx.WORD")
    listed = "python: {packages: [attrs], wheels: [./dist/toolx-2.0-py3-none-any.whl]}\n"
    name = "service:Small" if kind == "new" else "service:svc"
    files = {
        "service.py": f"import toolx\n{code}",
        "bentofile.yaml": bentofile(listed, name=name),
    }
    site = written(files, tmp_path, cache, packages, VERIFY_REQUEST=str(tmp_path / "verify.yaml"))
    for word in ("one", "two"):
        request = {"path": "/ask", "method": "POST", "json": {}, "answer": word}
        (tmp_path / "verify.yaml").write_text(json.dumps(request), "utf-8")
        module = {"toolx/__init__.py": f"import iniconfig\nWORD = '{word}'\n"}
        make_wheel(site.folder / "dist", "toolx", "2.0", files=module, requires="iniconfig", digests=True)
        done = run(site, "publish", "--verify")
        assert done.returncode == 0, done.stderr
        assert "POST /ask: 200" in done.stderr


@pytest.mark.parametrize(("files", "words"), cases(REFUSED, "a service in src"))
def test_a_project_is_refused_for_what_it_needs(
    files: Mapping[str, str], words: list[str], tmp_path: Path, cache: Path, packages: Packages
) -> None:
    """In the words of its own configuration, without a traceback; verification shows what only an image lacks."""
    done = run(written(files, tmp_path, cache, packages), "publish", "--verify")
    assert done.returncode == 1, done.stderr
    # A line of its own: podman says in such words why it is not used.
    error = re.split(r"(?m)^(?=Error: )", done.stderr, maxsplit=1)[1]
    assert all(word in error for word in words), error
    assert len(error.strip().splitlines()) <= 3


def states(site: Site) -> dict[str, bytes]:
    """Return the files of a project that are the user's own."""
    files = [path.relative_to(site.folder) for path in site.folder.rglob("*") if path.is_file()]
    return {str(path): (site.folder / path).read_bytes() for path in files if path.parts[0] != ".bentoship"}
