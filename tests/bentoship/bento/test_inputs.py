"""What a Bento is made of."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from bentoship.bento import versions
from bentoship.bento.configuration import python_option, python_wish, read_configuration, wanted_base
from bentoship.bento.inputs import input_key, read_inputs
from bentoship.bento.states import state_of, states_of
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import SUPPORTED_BENTOML, check_bentoml
from bentoship.errors import BentoError
from tests.support.bento import lay
from tests.support.site import ROOT

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("service: s:S\n", ("", HERE)),
        ("service: s:S\ndocker:\n  python_version: '3.10'\n", ("", "3.10")),
        ("service: s:S\ndocker:\n  base_image: a/b:c\n", ("a/b:c", HERE)),
        ("service: s:S\ndocker: nonsense\n", ("", HERE)),
    ],
)
def test_what_base_a_bentofile_wants(tmp_path: Path, text: str, base: tuple[str, str]) -> None:
    """Its image and its Python; the Python that runs where it does not say."""
    (tmp_path / "bentofile.yaml").write_text(text, "utf-8")
    assert wanted_base(read_configuration(BuildContext(tmp_path, tmp_path, tmp_path))) == base


@pytest.mark.parametrize(
    ("name", "text", "option", "wish"),
    [
        ("bentofile.yaml", "service: s:S\n", "docker.python_version in bentofile.yaml", "python_version of its Image"),
        (
            "bentofile.yaml",
            "service: s:S\ndocker: {python_version: '3.9'}\n",
            "docker.python_version in bentofile.yaml",
            "",
        ),
        (
            "pyproject.toml",
            "[tool.bentoml.build]\nservice = 's:S'\ndocker.python_version = '3.9'\n",
            "docker.python_version in [tool.bentoml.build] of pyproject.toml",
            "",
        ),
        ("service.py", "", "python_version of its Image", ""),
    ],
)
def test_where_a_python_is_asked_for(tmp_path: Path, name: str, text: str, option: str, wish: str) -> None:
    """In the words of the project's own configuration; one that no file names is the Image's, or the builder's."""
    (tmp_path / name).write_text(text, "utf-8")
    configuration = read_configuration(BuildContext(tmp_path, tmp_path, tmp_path))
    assert python_option(configuration, HERE) == option
    assert python_option(configuration, "3.9") == (wish or option)
    assert python_wish(configuration, "3.9") == f"the Bento wants Python 3.9 ({wish or option})"
    if wish:
        assert python_wish(configuration, HERE) == f"the Bento is built with Python {HERE}"


@pytest.mark.parametrize("text", ["x" * 300, "x/" * 500, "a\\0b", "\\ud800", "~nobody/x", "/dev/zero"])
def test_a_text_that_is_no_file_name_is_a_text(tmp_path: Path, text: str) -> None:
    """A description need not be short enough for one."""
    (tmp_path / "bentofile.yaml").write_text(f'service: a:A\ndescription: "{text}"\n', "utf-8")
    key(tmp_path)


def key(folder: Path, platform: str = "linux/amd64") -> str:
    """The key of a project."""
    context = BuildContext(folder, folder, folder)
    return input_key(read_inputs(context, read_configuration(context)), platform)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a bentofile that names files."""
    lay(tmp_path, "a.py", "setup.sh", "about.md", "notes.txt", "requirements.txt")
    bentofile = "service: a:A\ninclude: ['*.py']\ndescription: 'file: about.md'\ndocker: {setup_script: setup.sh}\n"
    (tmp_path / "bentofile.yaml").write_text(bentofile + "python: {requirements_txt: requirements.txt}\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["a.py", "setup.sh", "about.md", "requirements.txt", "bentofile.yaml", ".bentoignore"])
def test_a_named_file_counts(project: Path, name: str) -> None:
    """A file that the bentofile names counts as much as one that it includes."""
    before = key(project)
    with (project / name).open("a", encoding="utf-8") as stream:
        stream.write("\n# more\n")
    assert key(project) != before


def test_other_files_and_places_do_not(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nor does where the project lies, or what is not packed."""
    before = key(project)
    (project / "notes.txt").write_text("other", "utf-8")
    (project / "README.md").write_text("there is a description", "utf-8")
    assert key(project) == before
    moved = project.rename(tmp_path_factory.mktemp("moved") / "project")
    assert key(moved) == before


def test_the_publishers_files_do_not(project: Path) -> None:
    """Whether a tasks.py or another .env is there, and what is in it, builds nothing."""
    (project / "bentofile.yaml").write_text("service: a:A\ninclude: ['*.py', '.env*']\n", "utf-8")
    before = key(project)
    for text in ("from invoke import task\n", "import bentoship.tasks\n"):
        for name in ("tasks.py", ".envrc", ".env.example", ".bentoship/state"):
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_text(text, "utf-8")
        assert key(project) == before
    (project / "a.py").write_text("def late():\n    import tasks\n", "utf-8")
    imported = key(project)
    (project / "tasks.py").write_text("import invoke\n", "utf-8")
    assert key(project) != imported


def test_a_link_counts_with_what_it_leads_to(project: Path) -> None:
    """What is at its end is what gets packed."""
    (project / "link.py").symlink_to("notes.txt")
    before = key(project)
    (project / "notes.txt").write_text("other", "utf-8")
    assert key(project) != before


def test_platforms_have_locks_of_their_own(project: Path) -> None:
    """A Bento that is locked for one platform is not up to date for another."""
    assert key(project) != key(project, "linux/arm64")


def test_the_supported_bentoml_is_what_the_package_requires() -> None:
    """The range in pyproject.toml and the one in the message are the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    first, beyond = (".".join(map(str, version)) for version in SUPPORTED_BENTOML)
    assert f"bentoml>={first},<{beyond}" in project["dependencies"]


@pytest.mark.parametrize(
    ("version", "supported"),
    [
        ("1.3.22", False),
        ("1.4.19", False),
        ("1.4.20", True),
        ("1.4.40.post1", True),
        ("1.5.0a1", False),
        ("2.0", False),
    ],
)
def test_which_bentoml_is_supported(monkeypatch: pytest.MonkeyPatch, version: str, supported: bool) -> None:
    """Those of the range; another one is named in the error."""
    monkeypatch.setattr(versions, "bentoml_version", lambda: version)
    if supported:
        check_bentoml()
    else:
        with pytest.raises(BentoError, match=f"BentoML {version} is installed"):
            check_bentoml()


def test_what_the_import_gets_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of libraries and of the language; no token, and no place of this machine."""
    keys = [key(project)]
    values = {"HF_ENDPOINT": "https://hub", "BENTOML_DEBUG": "1", "LC_TIME": "de", "TZ": "Asia/Tokyo"}
    for name, value in {**values, "HF_TOKEN": "s3cr3t", "HF_HOME": "/data/hf", "TERM": "dumb", "OTHER": "x"}.items():
        monkeypatch.setenv(name, value)
        keys.append(key(project))
    assert len(set(keys[:5])) == 5
    assert len(set(keys[4:])) == 1


def test_each_python_has_bentos_of_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image gets the Python that runs, where nothing names another."""
    before = key(project)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert key(project) != before


def test_what_cannot_be_packed_is_refused(project: Path) -> None:
    """All of it at once, before the service is imported."""
    (project / "link.py").symlink_to("nowhere.py")
    (project / "other.py").symlink_to("/etc/hostname")
    with pytest.raises(BentoError, match=r"link\.py is a link .*; other\.py is a link") as caught:
        key(project)
    assert "copy" in caught.value.hint


COPIED = {
    "a README": ("README.md", ""),
    "a description": ("notes/about.md", "description: 'file: ./notes/about.md'\n"),
    "a setup script": ("setup.sh", "docker: {setup_script: setup.sh}\n"),
    "a template": ("Dockerfile.j2", "docker: {dockerfile_template: Dockerfile.j2}\n"),
    "an environment of conda": ("env.yml", "conda: {environment_yml: env.yml}\n"),
}


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("../outside.md", "a link that leads out of the project"),
        (".env", "a link to .env, which is never packed"),
        ("notes.txt", ""),
    ],
)
@pytest.mark.parametrize(("name", "option"), COPIED.values(), ids=COPIED)
def test_a_link_that_bentoml_packs_by_itself_is_one(
    project: Path, name: str, option: str, target: str, why: str
) -> None:
    """Whatever include says: the README, and files that options name are packed as well."""
    lay(project, ".env", "../outside.md")
    (project / "bentofile.yaml").write_text(f"service: a:A\ninclude: ['*.py']\n{option}", "utf-8")
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).unlink(missing_ok=True)
    (project / name).symlink_to(project / target)
    if not why:
        key(project)
        return
    with pytest.raises(BentoError, match=re.escape(f"{name} is {why}")):
        key(project)


def test_a_file_that_is_named_outside_of_the_project_is_no_link(project: Path) -> None:
    """Its path says where it is; nor is one in a project that lies behind a link."""
    lay(project, "../outside.md", "README.md")
    (project / "bentofile.yaml").write_text("service: a:A\ndescription: 'file: ../outside.md'\n", "utf-8")
    key(project)
    (project.parent / "linked").symlink_to(project)
    key(project.parent / "linked")


def test_the_state_of_a_project(tmp_path: Path) -> None:
    """All files of it but those of caches."""
    states = [state_of(tmp_path, "**")]
    for name in ("a/b", ".venv/c"):
        lay(tmp_path, name)
        states.append(state_of(tmp_path, "**"))
    assert states[0] != states[1] == states[2]


def test_the_state_of_a_folders_files(tmp_path: Path) -> None:
    """Another size, time or name of one counts; for the folder itself, names alone."""
    states = []
    for content in ("one", "other"):
        lay(tmp_path, "wheels/a").joinpath("wheels", "a").write_text(content)
        states.append((state_of(tmp_path, "wheels/"), state_of(tmp_path, "wheels/*")))
    assert states[0][0] == states[1][0]
    assert states[0][1] != states[1][1]
    assert list(states_of(tmp_path, [tmp_path / "wheels" / "*"])) == ["wheels/*"]


def test_what_the_environment_says_of_packages_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of uv that decide which packages come, and variables in requirements; tokens do not."""
    (project / "requirements.txt").write_text("six==${SIX}\n--index-url https://u:${TOKEN}@h/simple\n")
    keys = [key(project)]
    for name, value in {
        "UV_NO_BUILD": "1",
        "UV_PRERELEASE": "allow",
        "SIX": "1.17.0",
        "UV_LINK_MODE": "copy",
        "TOKEN": "s3cr3t",
    }.items():
        monkeypatch.setenv(name, value)
        keys.append(key(project))
    assert len(set(keys[:4])) == 4
    assert len(set(keys[3:])) == 1


def test_the_indexes_of_packages_count(project: Path) -> None:
    """Whether the Bento packs them or not; their passwords do not, nor does what else the file says of other things."""
    text = '[tool.uv]\nsources = {{ a = {{ index = "own" }} }}\nindex = [{{ name = "own", url = "{}" }}]\n{}'
    keys = [key(project)]
    for url, more in (
        ("https://one.invalid", ""),
        ("https://ann:secret@one.invalid", ""),
        ("https://one.invalid", "[tool.x]\n"),
        ("https://two.invalid", ""),
    ):
        (project / "pyproject.toml").write_text(text.format(url, more), "utf-8")
        keys.append(key(project))
    assert keys[0] != keys[1] == keys[2] == keys[3] != keys[4] != keys[0]
