"""Models in BentoML's store: imported whole or not at all, and compared with what they were."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.bento.failures import EXPORT
from bentoship.bento.models import Models
from bentoship.errors import BentoError
from bentoship.system import records
from tests.support.archives import sparse_tar
from tests.support.bento import edit, lay, make_project, save_model
from tests.support.shapes import SHAPES

TAG = "echo_model:one"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that BentoML has exported."""
    home = tmp_path_factory.mktemp("home")
    save_model(home, "one")
    file = tmp_path_factory.mktemp("model") / "m.bentomodel"
    bentoml(home, f"bentoml.models.export_model('{TAG}', {str(file)!r})")
    return file


def bentoml(home: Path, code: str) -> str:
    """Run a line of code with BentoML, and return what it prints."""
    env = {**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    command = [sys.executable, "-c", f"import bentoml\n{code}"]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def models(folder: Path) -> Models:
    """A store and records in a folder."""
    return Models(folder / "home", folder / "records")


def stored(folder: Path) -> Path:
    """Where the model is in that store."""
    return folder / "home" / "models" / "echo_model" / "one"


@pytest.mark.slow
def test_a_rehearsal_has_the_models_and_stores_none(archive: Path, tmp_path: Path) -> None:
    """Neither an exported one, nor one that the store has already, is written there."""
    project = make_project(tmp_path / "project", model=True)
    home = project.bentoml_home
    save_model(home, "zero")
    before = sorted(home.rglob("*"))
    (project.folder / "model").mkdir()
    shutil.copy(archive, project.folder / "model")
    for model in (TAG, "echo_model:zero"):
        edit(project.folder / "service.py", "echo_model:latest", model)
        rehearsed = bento.rehearse(project, tmp_path / model.replace(":", "-"))
        assert [one.tag for one in rehearsed.models] == [model]
        edit(project.folder / "service.py", model, "echo_model:latest")
    assert sorted(home.rglob("*")) == before
    bento.build(project)
    stored_now = sorted(home.rglob("*"))
    assert bento.rehearse(project, tmp_path / "last").models
    assert sorted(home.rglob("*")) == stored_now


def test_an_archive_is_imported_once_as_bentoml_does(archive: Path, tmp_path: Path) -> None:
    """BentoML finds it, the same as if it had imported it, and as the latest."""
    assert models(tmp_path).import_all([archive]) == [TAG]
    assert models(tmp_path).import_all([archive]) == []
    bentoml(tmp_path / "other", f"bentoml.models.import_model({str(archive)!r})")
    others = tmp_path / "other" / "models" / "echo_model"
    files = {path.name: (path.read_bytes(), path.stat().st_mode & 0o700) for path in (others / "one").iterdir()}
    assert {path.name: (path.read_bytes(), path.stat().st_mode & 0o700) for path in stored(tmp_path).iterdir()} == files
    assert (stored(tmp_path).parent / "latest").read_text("utf-8") == (others / "latest").read_text("utf-8") == "one"
    assert bentoml(tmp_path / "home", "print(bentoml.models.get('echo_model').tag)") == f"{TAG}\n"
    # A model that BentoML has imported is not imported again.
    assert Models(tmp_path / "other", tmp_path / "others").import_all([archive]) == []


def test_two_caches_with_one_store_import_a_model_once(archive: Path, tmp_path: Path) -> None:
    """Such as those of two clones of a project that publish at once: the others find it."""
    clones = [tmp_path / name for name in "abcd"]
    for clone in clones:
        lay(clone, "notes.txt")
        shutil.copy(archive, clone)

    def imported(clone: Path) -> list[str]:
        return Models(tmp_path / "home", clone / "records").import_all([clone / archive.name])

    with ThreadPoolExecutor(len(clones)) as pool:
        assert sorted(pool.map(imported, clones)) == [[], [], [], [TAG]]
    assert sorted(path.name for path in stored(tmp_path).iterdir()) == ["model.yaml", "weights.bin"]
    assert [path.name for path in (tmp_path / "home" / "bentoship").iterdir()] == ["import.lock"]


def test_what_a_killed_import_left_is_removed(archive: Path, tmp_path: Path) -> None:
    """By the next import, whatever process has the id of the killed one by then."""
    left = tmp_path / "home" / "bentoship" / "import-left"
    lay(left, "new/weights.bin")
    models(tmp_path).import_all([archive])
    assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes root to be mounted")
def test_a_full_disk_is_named(archive: Path, tmp_path: Path) -> None:
    """Nothing of the model is left, and with more room it is imported."""
    home = tmp_path / "home"
    home.mkdir()
    packed(tmp_path / "big.bentomodel", model_yaml="{name: big, version: a}", weights_bin="0" * 200_000)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", home], check=True)
    try:
        with pytest.raises(OSError, match="No space left") as full:
            models(tmp_path).import_all([tmp_path / "big.bentomodel"])
        assert str(full.value.filename).startswith(str(home))
        assert not (home / "models").exists()
        subprocess.run(["mount", "-o", "remount,size=1m", home], check=True)
        assert models(tmp_path).import_all([tmp_path / "big.bentomodel"]) == ["big:a"]
    finally:
        subprocess.run(["umount", home], check=True)


def empty(folder: Path) -> None:
    """Remove all files of a folder."""
    shutil.rmtree(folder)
    folder.mkdir()


def replace_by_file(folder: Path) -> None:
    """Put a file in place of a folder."""
    shutil.rmtree(folder)
    folder.touch()


def overwrite(file: Path) -> None:
    """Give a file other content of the same size."""
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a file is missing": lambda path: (path / "weights.bin").unlink(),
    "a file is shorter": lambda path: (path / "weights.bin").write_bytes(b"we"),
    "a file has other content": lambda path: overwrite(path / "weights.bin"),
    "it was imported half": lambda path: (path / "model.yaml").unlink(),
    "its description is cut off": lambda path: (path / "model.yaml").write_bytes(b"name: echo"),
    "its folder is empty": empty,
    "it is a file": replace_by_file,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_model_is_imported_again(archive: Path, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """Whatever is not as in the archive; the latest stays what it was."""
    models(tmp_path).import_all([archive])
    whole = {path.name: path.read_bytes() for path in stored(tmp_path).iterdir()}
    damage(stored(tmp_path))
    assert models(tmp_path).import_all([archive]) == [TAG]
    assert {path.name: path.read_bytes() for path in stored(tmp_path).iterdir()} == whole
    assert (stored(tmp_path).parent / "latest").read_text("utf-8") == "one"


def test_another_model_by_the_same_tag_stays(archive: Path, tmp_path: Path) -> None:
    """It may exist nowhere else."""
    save_model(tmp_path / "home", "one", "others")
    with pytest.raises(ValueError, match=rf"m\.bentomodel is not imported: the Bento store has another {TAG}"):
        models(tmp_path).import_all([archive])
    assert (stored(tmp_path) / "weights.bin").read_text("utf-8") == "others"


def test_a_newer_model_stays_the_latest(archive: Path, tmp_path: Path) -> None:
    """As BentoML has it."""
    save_model(tmp_path / "home", "two")
    models(tmp_path).import_all([archive])
    assert (stored(tmp_path).parent / "latest").read_text("utf-8") == "two"


def packed(file: Path, **contents: str) -> None:
    """Make an archive."""
    folder = file.with_suffix("")
    for name, text in contents.items():
        lay(folder, name.replace("_", "."))
        (folder / name.replace("_", ".")).write_text(text, "utf-8")
    with tarfile.open(file, "w:xz") as members:
        members.add(folder, ".")


def outside(file: Path) -> None:
    """Make an archive with a file that would be put outside of the model."""
    with tarfile.open(file, "w") as members:
        members.addfile(tarfile.TarInfo("../outside"))


def named(file: Path, *names: str) -> None:
    """Make an archive with files of these names."""
    with tarfile.open(file, "w") as members:
        for name in names:
            members.addfile(tarfile.TarInfo(name))


def linked(file: Path) -> None:
    """Make an archive with links that lead to each other."""
    with tarfile.open(file, "w") as members:
        for name, target in {"a": "b", "b": "a"}.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            members.addfile(member)


WRONG: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "no archive": (lambda file, _: file.write_bytes(b"notes"), "file could not be opened"),
    "nothing": (lambda file, _: file.touch(), ""),
    "cut off": (lambda file, whole: file.write_bytes(whole.read_bytes()[:-100]), ""),
    "a byte is another": (lambda file, whole: file.write_bytes(flipped(whole.read_bytes())), ""),
    "of something else": (lambda file, _: packed(file, a_txt="text"), r"it has no model\.yaml"),
    "no description": (lambda file, _: packed(file, model_yaml="text"), r"its model\.yaml names no model"),
    "no name": (lambda file, _: packed(file, model_yaml="{name: ../x, version: a}"), r"its model\.yaml names no model"),
    "no YAML": (lambda file, _: packed(file, model_yaml="{"), ""),
    "a bomb of aliases": (
        lambda file, _: packed(file, model_yaml="a: &a [" + "b, " * 50_000 + "]\nc: [*a, *a]"),
        "values",
    ),
    "nested deeply": (lambda file, _: packed(file, model_yaml="- " * 400_000), r"model\.yaml: it is nested more"),
    "a large description": (lambda file, _: packed(file, model_yaml="#" * (2 << 20)), r"larger than 1\.0 MB"),
    "links in a circle": (lambda file, _: linked(file), "what a leads to is not in it"),
    "zeros without an end": (lambda file, _: file.write_bytes(sparse_tar("a")), "more than 100 times its size"),
    "a long name": (lambda file, _: named(file, "a" * 5000), "File name too long"),
    "a file in a file": (lambda file, _: named(file, "a", "a/b"), "Not a directory|File exists"),
    "outside": (lambda file, _: outside(file), "it has a file outside of the model"),
    "a pointer": (
        lambda file, _: file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        r"it is a pointer of Git LFS\): fetch it with `git lfs pull`",
    ),
}


def flipped(content: bytes) -> bytes:
    """Return bytes with one of them changed, in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(("make", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_archive_is_named_and_keeps_no_other_back(
    archive: Path, tmp_path: Path, make: Callable[[Path, Path], object], why: str
) -> None:
    """Two of them, each with its name; the one after them is imported."""
    for name in ("a.bentomodel", "b.bentomodel"):
        make(tmp_path / name, archive)
    archives = [tmp_path / "a.bentomodel", tmp_path / "b.bentomodel", archive]
    with pytest.raises(
        ValueError, match=rf"a\.bentomodel is no exported model \(.*{why}.*; b\.bentomodel is no exported model"
    ):
        models(tmp_path).import_all(archives)
    assert sorted(path.name for path in stored(tmp_path).iterdir()) == ["model.yaml", "weights.bin"]
    assert sorted(path.name for path in (tmp_path / "home" / "models").iterdir()) == ["echo_model"]


def test_a_file_of_a_model_without_an_archive_may_not_get_lost(tmp_path: Path) -> None:
    """Nor become another; a model that is saved again is another one."""
    save_model(tmp_path / "home", "one")
    models(tmp_path).check(TAG, stored(tmp_path))
    models(tmp_path).check(TAG, stored(tmp_path))
    (stored(tmp_path) / "weights.bin").write_text("we", "utf-8")
    with pytest.raises(
        ValueError, match=rf"weights\.bin of the model {TAG} in the Bento store is 2 bytes long; it had 7"
    ):
        models(tmp_path).check(TAG, stored(tmp_path))
    (stored(tmp_path) / "weights.bin").unlink()
    with pytest.raises(ValueError, match=rf"weights\.bin of the model {TAG} in the Bento store is missing"):
        models(tmp_path).check(TAG, stored(tmp_path))
    shutil.rmtree(stored(tmp_path))
    save_model(tmp_path / "home", "one", "others")
    models(tmp_path).check(TAG, stored(tmp_path))


def test_a_record_of_another_shape_counts_for_nothing(archive: Path, tmp_path: Path) -> None:
    """The archive is compared again, and what another model was is noted again."""
    models(tmp_path).import_all([archive])
    own = stored(tmp_path).parent / "own"
    shutil.copytree(stored(tmp_path), own)
    models(tmp_path).check("echo_model:own", own)
    files = list((tmp_path / "records").iterdir())
    assert len(files) == 3
    before = {file: records.read(file) for file in files}
    for value in (*SHAPES, {"saved": 1}, {"digests": 1}, {"sizes": None}):
        for file in files:
            records.keep(file, value)
        assert models(tmp_path).import_all([archive]) == []
        models(tmp_path).check("echo_model:own", own)
        assert {file: records.read(file) for file in files} == before


def test_a_bento_is_up_to_date_only_with_its_whole_models(archive: Path, tmp_path: Path) -> None:
    """What happened to a file in the store is mended from the archive before it is packed."""
    project = make_project(tmp_path / "project", model=True)
    (project.folder / "model").mkdir()
    shutil.copy(archive, project.folder / "model")
    first = bento.build(project)
    assert first.imported_models == (TAG,)
    assert set(first.models[0].digests) == {"model.yaml", "weights.bin"}
    weights = first.models[0].path / "weights.bin"
    overwrite(weights)
    assert bento.up_to_date(project) is None
    again = bento.build(project)
    assert again.version == first.version
    assert weights.read_text("utf-8") == "weights"
    assert bento.up_to_date(project)


def test_a_newer_model_gives_another_bento(tmp_path: Path) -> None:
    """`latest` is asked for again each time, and which model is packed is known."""
    project = make_project(tmp_path / "project", model=True)
    save_model(project.bentoml_home, "one")
    before = bento.build(project)
    assert [model.tag for model in before.models] == ["echo_model:one"]
    assert bento.up_to_date(project) == before.__class__(**{**vars(before), "fresh": False})
    save_model(project.bentoml_home, "two")
    after = bento.build(project)
    assert [model.tag for model in after.models] == ["echo_model:two"]
    assert after.version != before.version


def test_a_missing_model_is_reported(tmp_path: Path) -> None:
    """Which one, and how to bring it."""
    project = make_project(tmp_path / "project", model=True)
    with pytest.raises(BentoError, match=r"echo_model(.|\n)*model/"):
        bento.build(project)


def test_models_of_a_parent_come_with_the_project(tmp_path: Path) -> None:
    """Those of the nearest model/ that has any, up to the Git root."""
    project = make_project(tmp_path / "root" / "echo")
    (tmp_path / "root" / ".git").mkdir()
    lay(
        tmp_path, "model/above.bentomodel", "root/model/b.bentomodel", "root/model/a.bentomodel", "root/echo/model/x.py"
    )
    assert [path.name for path in project.exported_models] == ["a.bentomodel", "b.bentomodel"]
    lay(project.folder, "model/own.bentomodel")
    assert project.exported_models == [project.folder / "model" / "own.bentomodel"]


def test_the_command_that_is_suggested_exports_a_model(tmp_path: Path) -> None:
    """Into the project's folder, where it is found."""
    project = make_project(tmp_path / "project")
    save_model(tmp_path / "home", "one")
    (project.folder / "model").mkdir()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "BENTOML_HOME": str(tmp_path / "home"), "BENTOML_DO_NOT_TRACK": "true", "PATH": programs}
    command = EXPORT.replace("NAME:VERSION", TAG)
    subprocess.run(["sh", "-c", command], cwd=project.folder, env=env, check=True, capture_output=True)
    (exported,) = project.exported_models
    assert (exported.parent, exported.suffix) == (project.folder / "model", ".bentomodel")


def test_an_archive_that_is_no_exported_model_is_named(tmp_path: Path) -> None:
    """One that is damaged, and one without the file that tells which model it is; nothing after it is left out."""
    project = make_project(tmp_path / "project")
    archive = project.folder / "model" / "broken.bentomodel"
    archive.parent.mkdir()
    archive.write_bytes(b"no archive")
    with pytest.raises(BentoError, match=r"broken\.bentomodel is no exported model \(file could not be opened"):
        bento.build(project)
    with tarfile.open(archive, "w:gz") as members:
        members.add(project.folder / "more.txt", "more.txt")
    with pytest.raises(BentoError, match=r"broken\.bentomodel is no exported model \(it has no model\.yaml\)"):
        bento.build(project)
