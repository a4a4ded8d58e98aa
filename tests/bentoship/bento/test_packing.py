"""Which files a Bento packs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.content import image_files
from bentoship.bento.packing import select
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from tests.support.bento import append, edit, lay, make_project


@pytest.mark.parametrize(
    ("options", "ignore", "packed"),
    [
        ({}, "", {"a.py", "sub/b.py", "sub/c.txt"}),
        ({"include": ["*.py"]}, "", {"a.py", "sub/b.py"}),
        ({"include": ["sub/"]}, "", {"sub/b.py", "sub/c.txt"}),
        ({"include": ["*.py"], "exclude": ["sub/"]}, "", {"a.py"}),
        ({"include": ["*.py", "*.txt"]}, "*.txt\n", {"a.py", "sub/b.py"}),
        ({"include": ["/a.py"]}, "", {"a.py"}),
    ],
)
def test_the_files_are_those_that_bentoml_packs(
    tmp_path: Path, options: dict[str, list[str]], ignore: str, packed: set[str]
) -> None:
    """include, exclude and .bentoignore mean what they mean to BentoML; secrets and caches never count."""
    lay(tmp_path, "a.py", "sub/b.py", "sub/c.txt", ".env", ".git/HEAD", ".venv/x.py", "sub/__pycache__/b.py")
    if ignore:
        (tmp_path / "sub" / ".bentoignore").write_text(ignore, "utf-8")
        options = {**options, "exclude": [".bentoignore"]}
    assert set(select(tmp_path, options).packed) == packed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_ignore_files_have_the_encodings_of_requirements(tmp_path: Path, encoding: str) -> None:
    """The first line counts after a mark, too; BentoML, which would miss it, must leave out the same files."""
    lay(tmp_path, "a.py", "key.txt", "other.txt", "über.txt")
    (tmp_path / ".bentoignore").write_text("key.txt\r\nüber.txt\r\n", encoding)
    selection = select(tmp_path, {"include": ["*.py", "*.txt"]})
    assert selection.packed == ("a.py", "other.txt")
    assert selection.withheld == {"key.txt", "über.txt"}


def test_an_ignore_file_in_an_unknown_encoding_is_an_error(tmp_path: Path) -> None:
    """By its name, since what it leaves out would be packed."""
    lay(tmp_path, "sub/a.py")
    (tmp_path / "sub" / ".bentoignore").write_bytes(b"\xfcber.txt\n")
    with pytest.raises(BentoError, match=r"sub/\.bentoignore cannot be read: .*utf-8"):
        select(tmp_path, {})


@pytest.mark.parametrize("name", [".env", ".env.example", ".env.local", ".envrc", "sub/.env-prod", ".envs/django"])
def test_no_env_file_is_packed(tmp_path: Path, name: str) -> None:
    """Not even one that is included by its name."""
    lay(tmp_path, "a.py", name)
    assert select(tmp_path, {"include": ["*.py", name, ".env*"]}).packed == ("a.py",)


INVOKE = "import os\nfrom invoke import task\n"


def packs_tasks(project: Path, tasks: str, helper: str = "", service: str = "service:Echo") -> bool:
    """Whether a project's tasks.py is packed, beside a service and a module that this imports."""
    for name, text in {"tasks.py": tasks, "service.py": "import lib.helper\n", "lib/helper.py": helper}.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, "utf-8")
    selection = select(project, {"service": service})
    assert {"service.py", "lib/helper.py"} <= set(selection.packed)
    assert ("tasks.py" in selection.packed) is not ("tasks.py" in selection.withheld)
    return "tasks.py" in selection.packed


@pytest.mark.parametrize(
    "tasks",
    [INVOKE, "import os, invoke.tasks\n", "import bentoship.tasks\n", "def f():\n    from bentoship import publish\n"],
)
def test_a_tasks_file_for_the_publisher_is_not_packed(tmp_path: Path, tasks: str) -> None:
    """It imports invoke or bentoship, wherever in it."""
    assert not packs_tasks(tmp_path, tasks)
    others = "from lib import tasks\nfrom . import tasks\nimport multitasks\ntext = 'all tasks: none'\n"
    assert not packs_tasks(tmp_path, tasks, others)


@pytest.mark.parametrize("tasks", ["from celery import shared_task\n", "text = 'invoke'\n", "import invoke, (\n", "\0"])
def test_another_tasks_file_is_packed(tmp_path: Path, tasks: str) -> None:
    """Such as Celery's, or one that cannot be read here: then nothing tells that it is ours."""
    assert packs_tasks(tmp_path, tasks)


@pytest.mark.parametrize(
    "use",
    [
        "import tasks\n",
        "import os, tasks as jobs\n",
        "from tasks import add\n",
        "def predict():\n    from tasks import add\n",
        "import_module('tasks')\n",
        "Celery(include=['tasks'])\n",
        "send_task('tasks.add')\n",
    ],
)
def test_a_tasks_file_that_the_service_imports_is_packed(tmp_path: Path, use: str) -> None:
    """At once or when a request comes, by itself or by a module of its own."""
    assert packs_tasks(tmp_path, INVOKE, use)


@pytest.mark.parametrize("service", ["tasks:Echo", "tasks.py:Echo", "./tasks.py:Echo", "tasks"])
def test_a_tasks_file_with_the_service_is_packed(tmp_path: Path, service: str) -> None:
    """Whatever it imports beside."""
    assert packs_tasks(tmp_path, INVOKE, service=service)
    assert not packs_tasks(tmp_path, INVOKE, service="other.tasks:Echo")


def test_only_packed_files_count_as_the_service(tmp_path: Path) -> None:
    """A test of the tasks imports them, too, and stays where it is."""
    lay(tmp_path, "test_tasks.py")
    (tmp_path / "test_tasks.py").write_text("import tasks\n", "utf-8")
    (tmp_path / ".bentoignore").write_text("test_*.py\n", "utf-8")
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    assert not packs_tasks(tmp_path, INVOKE)
    (tmp_path / ".bentoignore").unlink()
    assert packs_tasks(tmp_path, INVOKE)


def test_tasks_below_the_project_are_the_services(tmp_path: Path) -> None:
    """invoke looks for them at the top."""
    lay(tmp_path, "lib/tasks.py")
    (tmp_path / "lib" / "tasks.py").write_text(INVOKE, "utf-8")
    assert select(tmp_path, {}).packed == ("lib/tasks.py",)


def test_links_within_the_project_are_followed(tmp_path: Path) -> None:
    """To files and to folders, once where they lead around in a circle; what they lead to need not be included."""
    lay(tmp_path, "shared/a.txt", "shared/deep/b.txt")
    (tmp_path / "data").symlink_to("shared")
    (tmp_path / "one.txt").symlink_to("shared/a.txt")
    (tmp_path / "shared" / "around").symlink_to("..")
    selection = select(tmp_path, {"include": ["data/*.txt", "one.txt"]})
    assert selection.packed == ("data/a.txt", "one.txt")
    assert selection.linked == {"data/a.txt", "one.txt"}


LINKS = {
    "out of the project": ("a.txt", "../outside/a.txt", r"a\.txt is a link that leads out of the project"),
    "by an absolute path": ("a.txt", "/etc/hostname", r"a\.txt is a link that leads out of the project"),
    "through a folder": ("a.txt", "folder/link", r"a\.txt is a link that leads out of the project"),
    "itself as a file": ("a.txt", "a.txt", r"a\.txt is a link that leads to no file"),
    "nowhere": ("a.txt", "gone", r"a\.txt is a link that leads to no file"),
    "a secret": ("a.txt", ".env", r"a\.txt is a link to \.env, which is never packed"),
    "a key": ("a.txt", ".ssh/key", r"a\.txt is a link to \.ssh/key, which is never packed"),
    "a folder outside": ("data", "../outside", "data is a link to .*outside, out of the project"),
    "itself": ("data", ".", "data is a link to .*, out of the project or around to itself"),
}


@pytest.mark.parametrize(("name", "target", "why"), LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("include", [None, ["a.txt", "data/"], ["data/b.txt", "a.txt"]])
def test_other_links_are_refused(tmp_path: Path, name: str, target: str, why: str, include: list[str] | None) -> None:
    """By their names, if they are included; excluded, they do not matter."""
    project = lay(tmp_path / "project", "b.py", ".env", ".ssh/key", "folder/b.txt")
    lay(tmp_path, "outside/a.txt")
    (project / "folder" / "link").symlink_to("../../outside/a.txt")
    (project / name).symlink_to(target)
    options = {"include": include, "exclude": ["folder/"]}
    (wrong,) = select(project, options).wrong
    assert re.search(why, wrong)
    assert select(project, {**options, "exclude": [name, "folder/"]}).wrong == ()
    assert select(project, {"include": ["b.py"]}).wrong == ()


def test_a_pattern_that_bentoml_reads_otherwise_is_refused(tmp_path: Path) -> None:
    """With ./ in front it matches nothing; it does no harm where another one matches the same."""
    lay(tmp_path, "a.py", "data/b.txt")
    for pattern, name in {"./a.py": "a.py", "././data/": "data/b.txt"}.items():
        (wrong,) = select(tmp_path, {"include": [pattern]}).wrong
        assert wrong.startswith(f"{name} is not packed, since `{pattern}` in include matches nothing")
    assert select(tmp_path, {"include": ["./a.py", "*.py"]}).wrong == ()


@pytest.mark.parametrize(
    ("pattern", "note"),
    [
        (".env", ".env is left out although it is in include: what may hold credentials is never packed"),
        ("deploy/.env", "deploy/.env is left out although it is in include: what may hold credentials is never packed"),
        (".aws/", ".aws/ is left out although it is in include: what may hold credentials is never packed"),
        ("c.py", "c.py is left out although it is in include: it is excluded, or never packed"),
        ("gone.bin", "gone.bin is in include, but does not exist"),
    ],
)
def test_what_is_left_out_although_it_is_named_is_reported(tmp_path: Path, pattern: str, note: str) -> None:
    """A pattern that matches it among others is no wish for it."""
    lay(tmp_path, "a.py", "c.py", ".env", "deploy/.env", ".aws/credentials")
    assert select(tmp_path, {"include": ["a.py", pattern], "exclude": ["c.py"]}).notes == (note,)
    assert select(tmp_path, {"exclude": ["c.py"]}).notes == ()


def test_a_cache_of_uvs_is_not_packed(tmp_path: Path) -> None:
    """Whatever it is called; other caches may be there on purpose."""
    lay(tmp_path, "a.py", ".uv-cache/CACHEDIR.TAG", ".uv-cache/archive-v0/x/six.py", "hub/CACHEDIR.TAG", "hub/m/model")
    selection = select(tmp_path, {})
    assert selection.packed == ("a.py", "hub/CACHEDIR.TAG", "hub/m/model")
    assert selection.withheld == {".uv-cache/"}


def test_what_the_publisher_keeps_in_a_project_is_not_packed(tmp_path: Path) -> None:
    """Its cache and the Bento store, by their paths, through links as well; a folder that contains the project is."""
    project = tmp_path / "project"
    for name in ("cache/bentoship/bentos/a", "cache/b", "home/bentos/c", "lib/cache/d", "models/e"):
        lay(project, name)
    (tmp_path / "linked").symlink_to(project)
    inside = BuildContext(tmp_path / "linked", project / "cache" / "bentoship" / "bentos", project / "home")
    assert select(project, {}, inside.kept).packed == ("cache/b", "lib/cache/d", "models/e")
    around = BuildContext(project, tmp_path / "bentoship" / "bentos", tmp_path)
    assert around.kept == frozenset()
    same = BuildContext(project, tmp_path / "bentoship" / "bentos", project)
    assert same.kept == {"/bentos", "/models", "/bentoship"}


def test_secrets_and_caches_are_never_packed(tmp_path: Path) -> None:
    """Whatever the bentofile includes, and it includes everything unless it says otherwise."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "include:\n  - service.py\n  - data/\n", "")
    planted = (".env", ".env.local", ".netrc", "id_rsa", ".git/config", ".bentoship/image/blob", ".dvc/cache/x")
    for name in (
        *planted,
        "node_modules/x.js",
        "sub/.env",
        ".aws/credentials",
        "sub/__pycache__/x.pyc",
        "sub/kept.txt",
    ):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("planted", "utf-8")
    first = bento.build(project)
    assert {n for n in image_files(first.path) if n.startswith("src/")} == {
        "src/bentofile.yaml", "src/service.py", "src/data/words.txt", "src/data/other.txt", "src/sub/kept.txt",
        "src/requirements.txt", "src/more.txt",
    }  # fmt: skip
    append(project.folder / ".bentoship" / "image" / "blob", "more")
    assert bento.up_to_date(project)


def test_what_belongs_to_the_publisher_is_never_packed(tmp_path: Path) -> None:
    """Whether it is there or not, and whatever is in it, the Bento is the same, and up to date."""
    project = make_project(tmp_path / "project")
    edit(project.folder / "bentofile.yaml", "include:\n  - service.py\n  - data/\n", "")
    for text in ("from invoke import task", "import bentoship.tasks"):
        for name in ("tasks.py", ".env", ".env.example", ".envrc", "data/.env.test", ".bentoship/image/blob"):
            (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
            append(project.folder / name, text)
        built = bento.build(project)
        assert built.fresh is (text == "from invoke import task")
    assert not [path for path in built.path.rglob("*") if path.name.startswith((".env", "tasks", ".bentoship"))]
    bare = make_project(tmp_path / "bare" / "project")
    edit(bare.folder / "bentofile.yaml", "include:\n  - service.py\n  - data/\n", "")
    assert bento.build(bare).version == built.version


def test_a_projects_readme_is_its_own(tmp_path: Path) -> None:
    """Without a description it is the Bento's, as it is; a change of it is a change of the Bento."""
    project = make_project(tmp_path / "project")
    for text in (b"# Echo: an app\n\n    tasks:building\n", b"bentoship\r\n"):
        (project.folder / "README.md").write_bytes(text)
        built = bento.build(project)
        assert built.fresh
        packed = image_files(built.path)["README.md"]
        assert (packed, (built.path / "README.md").read_bytes()) == (text, text)
        assert not (built.path / "src" / "README.md").exists()


def test_a_name_that_is_no_text_is_packed(tmp_path: Path) -> None:
    """File names are bytes; they need not be UTF-8."""
    project = make_project(tmp_path / "project")
    Path(os.fsdecode(os.fsencode(project.folder / "data") + b"/\xff.txt")).write_text("x", "utf-8")
    assert os.fsdecode(b"src/data/\xff.txt") in image_files(bento.build(project).path)
