"""BentoML's insides that the publisher relies on: each test fails when BentoML changes one of them.

Every program here is a process of its own, since the hooks change Python and BentoML for all that comes after.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentoship.bento.configuration import read_configuration
from bentoship.bento.content import retitle
from bentoship.bento.packing import NEVER_PACKED, select
from bentoship.bento.values import BuildContext
from bentoship.packages.requirements import requirements_of
from bentoship.system.process import OWN_PYTHON
from tests.support.adapter import BUILD, FOLLOW, run_python
from tests.support.bento import BENTOML, BENTOML_VERSION, HAS_STAGES, append, edit, lay, make_project, save_model
from tests.support.repositories import commit
from tests.support.wheels import make_folder, source_files


@dataclass(frozen=True)
class Built:
    """A Bento that the adapter has built, with all that the publisher reads of one."""

    project: Path
    home: Path
    scratch: Path
    path: Path
    description: dict[str, Any]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A Bento with a model, variables and labels, out of a project of whose files some are not packed."""
    folder = tmp_path_factory.mktemp("built")
    context = make_project(folder / "project", model=True)
    save_model(context.bentoml_home, "one")
    edit(context.folder / "bentofile.yaml", "include:\n  - service.py\n  - data/\n", "")
    append(
        context.folder / "bentofile.yaml",
        "envs: [{name: MODE, value: fast}, {name: TOKEN, stage: build}]\nlabels: {team: sky}",
    )
    (context.folder / ".bentoignore").write_text("other.txt\n", "utf-8")
    (context.folder / "data" / "link.txt").symlink_to("words.txt")
    (context.folder / ".env").write_text("secret", "utf-8")
    found = read_configuration(context).options
    options = {**found, "exclude": [*found["exclude"], *NEVER_PACKED]}
    scratch = folder / "scratch"
    scratch.mkdir()
    path, description = run_python(BUILD, context.bentoml_home, json.dumps(options), context.folder, scratch)
    return Built(context.folder, context.bentoml_home, scratch, Path(path), description)


@pytest.mark.parametrize("hook", [False, True])
def test_bentoml_reads_yaml_by_safe_load(tmp_path: Path, hook: bool) -> None:
    """Its bentofiles are parsed in Python; with the hook, in C."""
    project = make_project(tmp_path / "project")
    code = f"""\
{"adapter.parse_yaml_in_c()" if hook else ""}
from bentoml._internal.bento.build_config import BentoBuildConfig
files = set()
sys.setprofile(lambda frame, event, value: files.add(frame.f_code.co_filename))
BentoBuildConfig.from_file(sys.argv[1])
sys.setprofile(None)
result = any(Path(file).parts[-2:] == ("yaml", "scanner.py") for file in files)
"""
    assert run_python(code, project.bentoml_home, (project.folder / "bentofile.yaml")) is not hook


@pytest.mark.parametrize(("hook", "requirements"), [(False, "-r more.txt\n"), (True, "attrs>=25\n")])
def test_bentoml_reads_requirements_by_its_image(tmp_path: Path, hook: bool, requirements: str) -> None:
    """It copies a line that includes another file as it is; with the hook, the file's own lines are there instead."""
    project = make_project(tmp_path / "project")
    code = f"""\
{FOLLOW if hook else ""}
from _bentoml_sdk.images import populate_image_from_build_config
from bentoml._internal.bento.build_config import BentoBuildConfig
os.chdir(sys.argv[1])
image = populate_image_from_build_config(None, BentoBuildConfig.from_file("bentofile.yaml"), ".")
result = image.run("true").python_requirements, image.post_commands
"""
    result = run_python(code, project.bentoml_home, project.folder)
    assert result == [f"{requirements}{BENTOML}\n", ["true"]]


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("locks", ["true", "false"])
def test_bentoml_locks_what_its_image_requires(tmp_path: Path, hook: bool, locks: str) -> None:
    """Its lock has no hashes; with the hook it has those that were asked for, and constraints are a file beside it."""
    project = make_project(tmp_path / "my project")
    (tmp_path / "scratch").mkdir()
    (project.folder / "limits.txt").write_text("attrs<26\n")
    text = f"-c limits.txt\nattrs --hash=sha256:{'0' * 64}\n"
    (project.folder / "requirements.txt").write_text(text if hook else text.partition("\n")[2])
    edit(project.folder / "bentofile.yaml", "lock_packages: false", f"lock_packages: {locks}")
    options = json.dumps(read_configuration(project).options)
    code = BUILD if hook else BUILD.replace(FOLLOW, "")
    path, _ = run_python(code, project.bentoml_home, options, project.folder, tmp_path / "scratch")
    folder = Path(path, "env", "python")
    lock = (folder / "requirements.txt").read_text()
    assert ("--hash" in lock) is (hook or locks == "false")
    assert (folder / "constraints.txt").is_file() is hook
    if locks == "true" and hook:
        assert re.search(r"(?m)^attrs==25\S+ --hash=sha256:0{64}$", lock)


@pytest.mark.parametrize(
    ("hook", "locks", "expected"),
    [
        (False, "false", ["./data/small"]),
        (True, "false", ["./wheels/small-1.0-py3-none-any.whl"]),
        (True, "true", ["./wheels/deep-1.0-py3-none-any.whl", "./wheels/small-1.0-py3-none-any.whl"]),
    ],
)
def test_bentoml_leaves_sources_for_later(tmp_path: Path, hook: bool, locks: str, expected: list[str]) -> None:
    """It would have them built with the image; with the hook, the Bento has wheels, also of what others ask for."""
    project = make_project(tmp_path / "project")
    (tmp_path / "scratch").mkdir()
    make_folder(tmp_path / "deep", source_files("deep", tmp_path / "log"))
    commit(tmp_path / "deep")
    requires = f"deep @ git+{(tmp_path / 'deep').as_uri()}"
    make_folder(project.folder / "data" / "small", source_files("small", tmp_path / "log", requires=requires))
    (project.folder / "requirements.txt").write_text(f"{BENTOML}\n./data/small\n", "utf-8")
    edit(project.folder / "bentofile.yaml", "lock_packages: false", f"lock_packages: {locks}")
    options = json.dumps(read_configuration(project).options)
    code = BUILD if hook else BUILD.replace(FOLLOW, "")
    path, _ = run_python(code, project.bentoml_home, options, project.folder, tmp_path / "scratch")
    lock = Path(path, "env", "python", "requirements.txt").read_text("utf-8")
    assert sorted(line for line in lock.splitlines() if "small" in line or "deep" in line) == expected


@pytest.mark.parametrize("hook", [False, True])
def test_bentoml_calls_uv_as_it_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: bool) -> None:
    """With all of the user's settings; with the hook, with what counts of them."""
    (tmp_path / "uv.toml").write_text("[pip]\ngenerate-hashes = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "lock_packages: false", "lock_packages: true")
    (tmp_path / "scratch").mkdir()
    options = json.dumps(read_configuration(project).options)
    called = (
        "from bentoship.bento.questions import call_uv\nadapter.call_uv_our_way(lambda *args: call_uv(*args, {}))\n"
    )
    code = f"{called}{BUILD}" if hook else BUILD
    path, _ = run_python(code, project.bentoml_home, options, project.folder, tmp_path / "scratch")
    assert ("--hash" in Path(path, "env", "python", "requirements.txt").read_text()) is not hook


@pytest.mark.parametrize("hook", [False, True])
def test_bentoml_asks_its_path_spec_what_to_pack(tmp_path: Path, hook: bool) -> None:
    """Of a file beside the service and of one in a folder; with the hook, those that are named are left out.

    With the hook, a .bentoignore that BentoML cannot read does no harm.
    """
    project = make_project(tmp_path / "project")
    (project.folder / ".bentoignore").write_text("service.py\n" if hook else "", "utf-16" if hook else "utf-8")
    (tmp_path / "scratch").mkdir()
    (project.folder / "data" / "cache").mkdir()
    (project.folder / "data" / "cache" / "wheel").touch()
    call = "adapter.leave_out({'service.py', 'data/words.txt', 'data/cache/'})" if hook else ""
    options = json.dumps(read_configuration(project).options)
    path, _ = run_python(f"{call}\n{BUILD}", project.bentoml_home, options, project.folder, tmp_path / "scratch")
    files = {file.relative_to(path).as_posix() for file in Path(path, "src").rglob("*") if file.is_file()}
    rest = {"src/bentofile.yaml", "src/data/other.txt"}
    assert files == (rest if hook else {*rest, "src/service.py", "src/data/words.txt", "src/data/cache/wheel"})
    text = Path(path, "src", "bentofile.yaml").read_text("utf-8")
    assert yaml.safe_load(text)["exclude"] == ["data/secret.txt"]


@pytest.mark.parametrize(("hook", "named"), [(False, ""), (True, ""), (True, "3.11")])
def test_the_packed_bentofile_names_no_python_of_this_machine(tmp_path: Path, hook: bool, named: str) -> None:
    """BentoML fills in that of its process, whatever the service's image says; with the hook, the user's alone."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "service.py", "service\n", "service(image=bentoml.images.Image(python_version='3.9'))\n")
    (tmp_path / "scratch").mkdir()
    found = read_configuration(project).options
    options = json.dumps({**found, "docker": {"python_version": named or None}})
    code = BUILD if hook else f"adapter._pack_no_default_python = lambda: None\n{BUILD}"
    path, description = run_python(code, project.bentoml_home, options, project.folder, tmp_path / "scratch")
    packed = yaml.safe_load(Path(path, "src", "bentofile.yaml").read_text("utf-8"))["docker"]["python_version"]
    assert packed == (named or (None if hook else OWN_PYTHON))
    assert description["python_version"] == (named or "3.9")


def test_bentoml_itself_builds_in_the_users_store(tmp_path: Path) -> None:
    """Where it stumbles over a Bento that it cannot read."""
    project = make_project(tmp_path / "project")
    (project.store / "echo" / "abc").mkdir(parents=True)
    (project.store / "echo" / "latest").write_text("abc", "utf-8")
    code = """\
follow_includes(Path(sys.argv[-1], "wheels"))
os.chdir(sys.argv[1])
try:
    bentoml.bentos.build_bentofile()
except bentoml.exceptions.BentoMLException as error:
    result = str(error)
"""
    assert "does not contain a 'bento.yaml'" in run_python(code, project.bentoml_home, project.folder)


def test_bentoml_takes_a_store_for_bentos(built: Built) -> None:
    """It puts a Bento at NAME/VERSION there, notes that it is the latest, and leaves the user's store alone."""
    assert built.path == built.scratch / "bentos" / "echo" / "building"
    assert built.path.with_name("latest").read_text("utf-8") == "building"
    assert list(built.home.glob("bentos/*")) == []


@pytest.mark.parametrize(("hook", "place"), [(False, "home/tmp"), (True, "scratch")])
def test_bentoml_takes_a_folder_for_what_it_puts_together(tmp_path: Path, hook: bool, place: str) -> None:
    """It leaves there what it could not build, by a name that messages of uv are cleared of."""
    project = make_project(tmp_path / "project")
    (project.folder / "requirements.txt").write_text("a @ file:///no/such.whl\n", "utf-8")
    edit(project.folder / "bentofile.yaml", "  lock_packages: false\n", "")
    (tmp_path / "scratch").mkdir()
    own = "adapter.build(json.loads(sys.argv[3]), BuildContext(*map(Path, (sys.argv[1], '', ''))), Path(sys.argv[2]))"
    code = f"""\
os.chdir(sys.argv[1])
try:
    {own if hook else "bentoml.bentos.build_bentofile()"}
except bentoml.exceptions.BentoMLException as error:
    result = str(error)
"""
    options = json.dumps(read_configuration(project).options)
    result = run_python(code, tmp_path / "home", project.folder, tmp_path / "scratch", options)
    assert "lock" in result
    assert [path.parent for path in tmp_path.glob("**/bentoml_bento_echo*")] == [tmp_path / place]


def test_bentoml_packs_the_files_that_are_expected(built: Built) -> None:
    """Those that decide whether a Bento is up to date, and the bentofile, below src/; links stay links since 1.4.39."""
    files = {path.relative_to(built.path / "src").as_posix() for path in (built.path / "src").rglob("*")}
    expected = select(
        built.project, read_configuration(BuildContext(built.project, built.home, built.home)).options
    ).packed
    assert files == {"bentofile.yaml", "data", *expected}
    assert {"data/words.txt", "service.py"} < files
    assert not files & {".env", "data/other.txt", "data/secret.txt"}
    link = built.path / "src" / "data" / "link.txt"
    assert link.is_symlink() == (BENTOML_VERSION >= (1, 4, 39))
    assert link.read_text("utf-8") == (built.project / "data" / "words.txt").read_text("utf-8")


def test_what_bentoml_never_packs_is_known(tmp_path: Path) -> None:
    """Its own patterns are among ours, which say what decides whether a Bento is up to date."""
    code = """\
from bentoml._internal.bento.build_config import BentoPathSpec
result = [pattern.pattern for pattern in BentoPathSpec([], [], sys.argv[1]).extra.patterns]
"""
    patterns = {pattern.rstrip("/") for pattern in run_python(code, tmp_path / "home", tmp_path)}
    assert ".venv" in patterns
    assert patterns <= {pattern.rstrip("/") for pattern in NEVER_PACKED}


def test_bentoml_titles_a_readme_with_name_and_version(built: Built) -> None:
    """In its first line, where another version can be put."""
    readme = (built.path / "README.md").read_bytes()
    assert readme.startswith(b"# Echo:building\n")
    assert retitle(readme, "building", "two") == readme.replace(b"building", b"two", 1)


def test_bentoml_writes_what_is_read_of_a_bento(built: Built) -> None:
    """Its version and time each in a line of bento.yaml, and its requirements and their lock in env/python."""
    lines = (built.path / "bento.yaml").read_text("utf-8").splitlines()
    assert "version: building" in lines
    assert [line.partition(" '20")[0] for line in lines if line.startswith("creation_time")] == ["creation_time:"]
    for name in ("requirements.in", "requirements.txt"):
        assert BENTOML in (built.path / "env" / "python" / name).read_text("utf-8")


def test_bentoml_tells_what_a_bento_is(built: Built) -> None:
    """Its name, models, variables and labels."""
    assert {name: built.description[name] for name in ("name", "version", "python_version", "envs", "labels")} == {
        "name": "echo",
        "version": "building",
        "python_version": "3.11",
        "envs": [
            {"name": "MODE", "value": "fast", "stage": "all"},
            {"name": "TOKEN", "value": "", "stage": "build" if HAS_STAGES else "all"},
        ],
        "labels": {"team": "sky"},
    }
    model = built.home / "models" / "echo_model" / "one"
    nothing: dict[str, Any] = {"metadata": {}, "labels": {}, "options": {}}
    assert built.description["models"] == [{"name": "echo_model", "version": "one", "path": str(model), **nothing}]
    assert (model / "model.yaml").is_file()
    assert model.with_name("latest").read_text("utf-8") == "one"


def test_defaults_that_bentoml_fills_in_are_known(built: Built) -> None:
    """A base image and a first command, which nobody has asked for and which need no Dockerfile."""
    image = yaml.safe_load((built.path / "bento.yaml").read_text("utf-8"))["image"]
    assert image["base_image"] == "python:3.11-slim"
    assert len(image["commands"]) == 1
    assert built.description["base_image"] == ""
    assert built.description["needs_dockerfile"] == (["the variable TOKEN of stage build"] if HAS_STAGES else [])


def test_bentoml_tells_which_models_are_of_other_registries(built: Built, tmp_path: Path) -> None:
    """Those need a Dockerfile, which downloads them."""
    info = yaml.safe_load((built.path / "bento.yaml").read_text("utf-8"))
    info["models"] = [{**info["services"][0]["models"][0], "tag": "other:two", "registry": "huggingface"}]
    (tmp_path / "bento.yaml").write_text(yaml.safe_dump(info), "utf-8")
    description = run_python("result = adapter.describe(Path(sys.argv[1]), {})", built.home, tmp_path)
    assert "the model other:two of huggingface" in description["needs_dockerfile"]
    assert [model["name"] for model in description["models"]] == ["echo_model"]


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        ({"conda": {"channels": ["a"]}}, ["conda"]),
        ({"python": {"wheels": ["small.whl"]}}, []),
        ({"docker": {"dockerfile_template": "Dockerfile.j2", "cuda_version": "12"}, "conda": {"channels": ["a"]}}, 3),
    ],
)
def test_bentoml_has_a_first_format(tmp_path: Path, options: dict[str, Any], reasons: list[str] | int) -> None:
    """It is for what no image in the second one says, which needs a Dockerfile and is named."""
    project = make_project(tmp_path / "project")
    lay(project.folder, "Dockerfile.j2", "small.whl")
    named = {"service": "service:Echo", "include": ["service.py"], **options}
    (tmp_path / "scratch").mkdir()
    args = (json.dumps(named), project.folder, tmp_path / "scratch")
    _, description = run_python(BUILD, project.bentoml_home, *args)
    found = description["needs_dockerfile"]
    assert (len(found) if isinstance(reasons, int) else found) == reasons


LEGACY = """\
import bentoml
from bentoml.io import JSON

svc = bentoml.legacy.Service("old_echo")

@svc.api(input=JSON(), output=JSON())
def echo(said: dict) -> dict:
    return said
"""


@pytest.mark.parametrize("locks", [False, True])
def test_a_service_of_before_1_2_is_described_in_full(tmp_path: Path, locks: bool) -> None:
    """Its Python, its variables, and what it requires, which has other names beside its lock."""
    project = make_project(tmp_path / "project")
    (project.folder / "service.py").write_text(LEGACY, "utf-8")
    python = {"packages": [BENTOML, "attrs>=25"], "lock_packages": locks}
    docker = {"python_version": "3.10", "env": {"MODE": "fast"}}
    options = {"service": "service:svc", "include": ["service.py"], "python": python, "docker": docker}
    (tmp_path / "scratch").mkdir()
    path, description = run_python(
        BUILD, project.bentoml_home, json.dumps(options), project.folder, tmp_path / "scratch"
    )
    assert (description["name"], description["python_version"]) == ("old_echo", "3.10")
    assert description["needs_dockerfile"] == []
    assert description["envs"] == [{"name": "MODE", "value": "fast", "stage": "all"}]
    asked, written = requirements_of(Path(path))
    assert ("attrs>=25" in asked, "attrs==" in written) == (locks, locks)


def test_packages_are_locked_for_what_bentoml_takes_by_default(tmp_path: Path) -> None:
    """Then its own lock of a Bento is the one that is asked for."""
    code = "from bentoml._internal.configuration import DEFAULT_LOCK_PLATFORM as result"
    expected = run_python(code, tmp_path)
    assert run_python("result = adapter.lock_platform('linux/amd64')", tmp_path) == expected
