"""What takes passwords of package indexes, and where these stay."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.content import image_files
from bentoship.bento.questions import with_wheels
from bentoship.bento.values import BuildContext
from bentoship.packages.building import Builder
from bentoship.packages.install import installing
from bentoship.packages.requirements import portable_lines, subject
from bentoship.packages.target import Target
from tests.support.bento import edit, make_project
from tests.support.repositories import commit, publish
from tests.support.servers import private_index
from tests.support.slow import cases
from tests.support.wheels import make_folder, make_source, source_files

PASSWORD = "planted-correct-horse"


def watched_project(folder: Path, requirements: str) -> tuple[BuildContext, Path]:
    """A project whose service writes down what it sees, and the file that it writes."""
    project, seen = make_project(folder / "project"), folder / "seen.json"
    service = project.folder / "service.py"
    looking = f"""\
import json, os, sys
with open("/proc/self/environ" if os.path.exists("/proc/self/environ") else os.devnull) as own:
    json.dump([dict(os.environ), own.read(), sys.argv, sys.stdin.read()], open({str(seen)!r}, "w"))
print("no question")
"""
    service.write_text(f"{looking}{service.read_text('utf-8')}", "utf-8")
    edit(project.folder / "bentofile.yaml", "lock_packages: false", "lock_packages: true")
    (project.folder / "requirements.txt").write_text(requirements, "utf-8")
    return project, seen


def serve_sources(place: Path, log: Path) -> None:
    """Put toolx where a server has it, as an archive and as a repository; builds write down their variables."""
    files = source_files("toolx", log)
    make_source(place, "toolx", files=files)
    repository = make_folder(place.parent / "repository", files)
    commit(repository)
    publish(repository, place / "toolx.git")


@pytest.mark.parametrize(
    ("requirements", "settings"),
    cases(
        {
            "an index in the environment": ("toolx\n", {"UV_INDEX": "http://ann:{password}@{index}"}),
            "a named index in the environment": (
                "toolx\n",
                {
                    "UV_INDEX": "acme=http://{index}",
                    "UV_INDEX_ACME_USERNAME": "ann",
                    "UV_INDEX_ACME_PASSWORD": "{password}",
                },
            ),
            "an index in the requirements": ("--extra-index-url http://ann:{password}@{index}\ntoolx\n", {}),
            "a variable in the requirements": (
                "--extra-index-url http://ann:${{TOKEN}}@{index}\ntoolx\n",
                {"TOKEN": "{password}"},
            ),
            "an archive's address": ("toolx @ http://ann:{password}@{index}/toolx-1.0.tar.gz\n", {}),
            "a repository": ("toolx @ git+http://ann:{password}@{index}/toolx.git@main\n", {}),
            "a variable in a repository": ("git+http://ann:${{TOKEN}}@{index}/toolx.git\n", {"TOKEN": "{password}"}),
            "an index of a package": (
                "toolx\n",
                {
                    "pyproject.toml": '[tool.uv]\nsources = {{ toolx = {{ index = "own" }} }}\n'
                    'index = [{{ name = "own", url = "http://ann:{password}@{index}", explicit = true }}]\n'
                },
            ),
            "a wheel's address": ("toolx @ http://ann:{password}@{index}/toolx/toolx-1.0-py3-none-any.whl\n", {}),
        },
        "an index in the requirements",
        "a repository",
    ),
)
def test_a_password_of_an_index_stays_with_the_publisher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requirements: str, settings: dict[str, str]
) -> None:
    """The service never sees it, the Bento and the records have none of it, and packages are installed all the same."""
    with private_index(tmp_path / "index", PASSWORD) as index:
        values = {"password": PASSWORD, "index": index}
        project, seen = watched_project(tmp_path, requirements.format(**values))
        for name, value in settings.items():
            if name == "pyproject.toml":
                (project.folder / name).write_text(value.format(**values), "utf-8")
                edit(project.folder / "bentofile.yaml", "- service.py", "- service.py\n  - pyproject.toml")
            else:
                monkeypatch.setenv(name, value.format(**values))
        serve_sources(tmp_path / "index" / "simple", tmp_path / "log")
        built = bento.build(project)
        lock = (built.path / "env" / "python" / "requirements.txt").read_text("utf-8")
        (line,) = (line for line in portable_lines(lock) if subject(line) == "toolx")
        with installing(built.path, [line], Target("linux/amd64", "3.11", 36), tmp_path / "into") as installation:
            installation.finish()
    assert list((tmp_path / "into").rglob("toolx/__init__.py"))
    assert PASSWORD not in seen.read_text("utf-8")
    assert (tmp_path / "log").is_file() == any(word in requirements for word in (".tar.gz", ".git"))
    assert not (tmp_path / "log").is_file() or not re.search("BENTOSHIP_URL|TOKEN", (tmp_path / "log").read_text())
    written = [file for place in (project.store, project.records) for file in place.rglob("*") if file.is_file()]
    assert [str(file) for file in written if PASSWORD.encode() in file.read_bytes()] == []
    packed = image_files(built.path)["bento.yaml"]
    assert isinstance(packed, bytes)
    assert b"BENTOSHIP_URL" not in packed


def test_the_service_gets_what_is_named_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the bentofile lists, with the values there, and Hugging Face's; proxies without passwords."""
    for name in ("HF_TOKEN", "NAMED", "OTHER", "UV_INDEX_ACME_PASSWORD"):
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann:{PASSWORD}@proxy.invalid:3128")
    project, seen = watched_project(tmp_path, "")
    edit(project.folder / "bentofile.yaml", "lock_packages: true", "lock_packages: false")
    edit(
        project.folder / "bentofile.yaml", "python:\n", "envs:\n- name: NAMED\n- name: OTHER\n  value: given\npython:\n"
    )
    bento.build(project)
    found, _, _, asked = json.loads(seen.read_text("utf-8"))
    assert (found["HF_TOKEN"], found["NAMED"]) == ("value of HF_TOKEN", "value of NAMED")
    assert found["HTTPS_PROXY"] == "http://proxy.invalid:3128"
    assert found["OTHER"] == "given"
    assert "UV_INDEX_ACME_PASSWORD" not in found
    assert asked == ""


def test_what_is_no_question_gets_no_answer(tmp_path: Path) -> None:
    """Python may print something while it starts."""
    from bentoship.bento.questions import answer

    for line in ("hello\n", "[]\n", '"flattened"\n', '["call_uv"]\n', "{}\n", "7\n"):
        assert answer(line, tmp_path, {}) == ""


def test_wrong_requirements_are_reported_by_their_place_in_the_project(tmp_path: Path) -> None:
    """As if the process that imports the service had read them itself."""
    from bentoship.bento.questions import answer

    (tmp_path / "requirements.txt").write_text("six\n==1\n", "utf-8")
    said = json.loads(answer(json.dumps(["flattened", str(tmp_path / "requirements.txt")]), tmp_path, {}))
    assert said["wrong"].startswith("requirements.txt, line 2: ")


def test_folders_that_requirements_name_decide_what_comes(tmp_path: Path) -> None:
    """They are read as what wheels are built from is, so that a new wheel in one is noticed."""
    builder = Builder(tmp_path, "3.11", ("--find-links wheels", "--index-url https://h/simple"), tmp_path)
    assert with_wheels("toolx\n", builder, tmp_path) == ("toolx\n", [tmp_path / "wheels" / "*"])
