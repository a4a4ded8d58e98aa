"""Requirements of folders, archives and repositories, which get wheels."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.packages.building import Builder
from bentoship.packages.sources import Sources, source_of
from tests.support.repositories import commit, publish, serving
from tests.support.slow import cases
from tests.support.wheels import make_folder, make_source, source_files

PLAIN = "small-1.0-py3-none-any.whl"


def files_of(folder: Path) -> list[str]:
    """Return all files of a folder, without those of Git."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if not name.startswith(".git/")]


class Place:
    """A project, and where wheels are kept for it. Args: folder: for both."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.log = folder / "log"
        self.kept = folder / "kept"
        self.project.mkdir()
        self.sources = Sources(self.project, files_of, folder / "wheels")

    @property
    def builds(self) -> list[str]:
        """What each build saw of the environment."""
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    def built(self, text: str, *options: str) -> str:
        """Requirements with wheels in place of sources."""
        return self.sources.with_wheels(text, Builder(self.kept, "3.11", options, self.project))

    def wheel(self, name: str = PLAIN) -> Path:
        """A wheel that was built."""
        return self.sources.into / name


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A project without anything."""
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("line", "result"),
    cases(
        {
            "folder": ("./pkg", f"./wheels/{PLAIN}"),
            "editable": ("-e ./pkg", f"./wheels/{PLAIN}"),
            "editable with extras": ("-e pkg[more]", f"small[more] @ ./wheels/{PLAIN}"),
            "named folder": ("small @ file://{project}/pkg ; os_name > 'a'", f"./wheels/{PLAIN} ; os_name > 'a'"),
            "archive": ("./small-1.0.tar.gz", f"./wheels/{PLAIN}"),
            "archive elsewhere": ("small[more] @ http://{host}/small-1.0.tar.gz", f"small[more] @ ./wheels/{PLAIN}"),
            "repository": ("small @ git+http://{host}/small.git@main", f"./wheels/{PLAIN}"),
            "tag": ("git+http://{host}/small.git@v1#egg=small", f"./wheels/{PLAIN}"),
            "commit": ("small @ git+http://{host}/small.git@{commit}", f"./wheels/{PLAIN}"),
            "folder in a repository": ("git+http://{host}/small.git#subdirectory=below/it", f"./wheels/{PLAIN}"),
        },
        "editable",
        "archive elsewhere",
        "repository",
    ),
)  # fmt: skip
def test_each_source_gets_a_wheel_once(place: Place, tmp_path: Path, line: str, result: str) -> None:
    """All else of the requirements stays; the second time, nothing is built."""
    files = source_files("small", place.log)
    make_folder(place.project / "pkg", files)
    make_source(place.project, "small", files=files)
    served, repository = tmp_path / "served", tmp_path / "repository"
    shutil.copytree(make_folder(repository, files), repository / "below" / "it")
    made = commit(repository, tag="v1")
    publish(repository, served / "small.git")
    shutil.copy(place.project / "small-1.0.tar.gz", served)
    with serving(served) as host:
        asked = f"attrs>=25\n{line.format(project=place.project, host=host, commit=made)}\n--pre\n"
        assert place.built(asked) == f"attrs>=25\n{result}\n--pre\n"
        assert place.built(asked) == f"attrs>=25\n{result}\n--pre\n"
    assert len(place.builds) == 1
    with zipfile.ZipFile(place.wheel()) as wheel:
        assert wheel.read("small/__init__.py") == b"X = 1\n"


def test_a_wheel_depends_on_its_source_alone(tmp_path: Path) -> None:
    """Not on times, modes, and what the file system lists first; a build leaves nothing among the sources."""
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        place = Place(tmp_path / name)
        place.log = tmp_path / "log"
        files = source_files("small", place.log) | {f"small/part{number}.py": "" for number in range(9)}
        make_folder(place.project, files)
        place.built("-e .")
        assert sorted(files_of(place.project)) == sorted(files)
        contents.append(place.wheel().read_bytes())
    assert contents[0] == contents[1]


def test_another_content_gets_another_wheel(place: Place) -> None:
    """Two projects share nothing but a name, and what a build has left is no content."""
    make_folder(place.project, source_files("small", place.log))
    place.built("-e .")
    make_folder(place.project, {"small.egg-info/PKG-INFO": "", "build/lib/small/old.py": "", "dist/old.whl": ""})
    place.built("-e .")
    assert len(place.builds) == 1
    make_folder(place.project, {"small/__init__.py": "X = 2\n"})
    place.built("-e .")
    with zipfile.ZipFile(place.wheel()) as wheel:
        assert wheel.read("small/__init__.py") == b"X = 2\n"
        assert not any("old" in name or name.endswith(".pth") for name in wheel.namelist())
    assert {place.project, place.project / "small", place.project / "own.py"} <= place.sources.read


@pytest.mark.parametrize("below", ["", "in/it"])
def test_a_version_may_come_from_git(place: Place, below: str) -> None:
    """A build finds the repository with its tags, and no change but real ones; another commit is another content."""
    folder = place.project / below
    before = (
        "import subprocess; said = subprocess.run(['git', 'describe', '--tags', '--dirty'], capture_output=True); "
        "pathlib.Path('small/version').write_bytes(said.stdout)"
    )
    make_folder(folder, {**source_files("small", place.log, before=before), "setup.cfg": "# setuptools_scm"})
    make_folder(place.project, {"dist/elsewhere": "", ".env": ""})
    versions = []
    for tag in ("v1", "v2"):
        make_folder(place.project, {"elsewhere": tag})
        commit(place.project, tag=tag)
        for _ in range(2):
            place.built(f"-e ./{below}")
        with zipfile.ZipFile(place.wheel()) as wheel:
            versions.append(wheel.read("small/version").decode().strip())
    assert versions == ["v1", "v2"]
    assert len(place.builds) == 2


def test_a_build_sees_no_secret(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is other people's code: it gets what compilers need, and no account."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("CC", "cc")
    make_folder(place.project, source_files("small", place.log))
    place.built("-e .")
    (seen,) = place.builds
    assert {"CC", "CFLAGS", "PATH", "SOURCE_DATE_EPOCH"} <= set(seen.split())
    assert not {"GOOGLE_APPLICATION_CREDENTIALS", "REGISTRY_PASSWORD", "SSH_AUTH_SOCK"} & set(seen.split())


@pytest.mark.parametrize(
    ("words", "hint"),
    cases(
        {
            "header": ("x.c:1:10: fatal error: foo/bar.h: No such file or directory", "provides foo/bar.h,"),
            "compiler": ("error: command 'gcc' failed: No such file or directory", "Install gcc,"),
            "program": ("/bin/sh: 1: pg_config: not found", "Install pg_config,"),
            "other": ("ValueError: no version", "Install what its build needs"),
        },
        "compiler",
    ),
)
def test_a_failed_build_is_told_in_its_own_words(place: Place, words: str, hint: str) -> None:
    """With which requirement it is of, what to install, and without what else the build has printed."""
    before = f"print('compiling'); raise SystemExit({words!r})"
    make_folder(place.project, source_files("small", place.log, before=before))
    with pytest.raises(PackagesError) as caught:
        place.built("-e .")
    assert caught.value.doing == "Build -e ., which has no wheel"
    assert caught.value.why == words
    assert hint in caught.value.hint
    assert list((place.kept / "built").glob("*")) == []


@pytest.mark.parametrize(
    ("line", "words"),
    cases(
        {
            "no folder": ("./nowhere", "there is no .*nowhere"),
            "no project": ("./empty", "neither|pyproject.toml"),
            "no repository": ("x @ git+http://user:secret@{host}/nothing.git@main", "nothing.git"),
            "no server": ("x @ git+http://user:secret@127.0.0.1:9/x.git", "127.0.0.1"),
            "no branch": ("x @ git+http://{host}/x.git@nowhere", "nowhere"),
            "no archive": ("x @ http://user:secret@{host}/x.tar.gz", "Not Found|not found"),
            "another archive": ("x @ http://{host}/small.zip#sha256=00", "its SHA-256 is "),
        },
        "no folder",
        "no repository",
        "no archive",
    ),
)
def test_what_is_not_there_is_named(place: Place, tmp_path: Path, line: str, words: str) -> None:
    """In the server's words, and without passwords."""
    make_folder(tmp_path / "served", {"small.zip": "no archive"})
    make_folder(place.project / "empty", {"README": ""})
    make_folder(tmp_path / "repository", {"README": ""})
    commit(tmp_path / "repository")
    publish(tmp_path / "repository", tmp_path / "served" / "x.git")
    with serving(tmp_path / "served") as host, pytest.raises(PackagesError, match=f"(?s){words}") as caught:
        place.built(line.format(host=host))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "numpy", "numpy==2.0", "numpy[x]>=2 ; python_version > '3'", "./small-1.0-py3-none-any.whl",
        "small @ https://host/small-1.0-py3-none-any.whl", "--find-links ./wheels", "--index-url https://host/simple",
        "-c ./limits.txt",
    ],
)  # fmt: skip
def test_what_needs_no_build_is_left_alone(tmp_path: Path, line: str) -> None:
    """Versions, wheels and options."""
    assert source_of(line, tmp_path) is None
