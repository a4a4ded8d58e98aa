"""Bentos that are built already, which are packed as they are."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship import bento
from bentoship.errors import BentoError
from tests.support.bento import make_project, save_model
from tests.support.slow import cases

_EXPORT = "import sys, bentoml\nbentoml.bentos.export_bento(sys.argv[1], sys.argv[2])\n"


def test_a_bento_is_taken_from_the_store_or_from_a_file(tmp_path: Path) -> None:
    """With its own version and its models; nothing in the project's folder counts, and what is damaged is noticed."""
    project = make_project(tmp_path / "project", model=True)
    save_model(project.bentoml_home, "one")
    built = bento.build(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = replace(project, folder=elsewhere, bento=built.tag)
    taken = bento.build(named)
    assert (taken.tag, taken.path, taken.fresh) == (built.tag, built.path, True)
    assert [model.tag for model in taken.models] == ["echo_model:one"]
    assert bento.build(named).fresh is False
    assert bento.build(replace(named, bento=built.name)).tag == built.tag

    file = elsewhere / "echo.bento"
    env = {**os.environ, "BENTOML_HOME": str(project.bentoml_home), "BENTOML_DO_NOT_TRACK": "true"}
    subprocess.run([sys.executable, "-c", _EXPORT, built.tag, str(file)], env=env, check=True, capture_output=True)
    shutil.rmtree(project.bentoml_home)
    exported = bento.build(replace(named, bento="echo.bento"))
    assert exported.tag == built.tag
    assert [model.path.is_dir() for model in exported.models] == [True]

    # By the same tag, but of another content.
    (taken.path / "src" / "service.py").write_text("# changed\n", "utf-8")
    with pytest.raises(BentoError, match=rf"echo\.bento: it holds another {built.tag} than the Bento store has"):
        bento.preview(replace(named, bento="echo.bento", records=tmp_path / "others"), tmp_path / "store")


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "text": lambda _: b"no archive",
    "empty": lambda _: b"",
    "cut short": lambda whole: whole[: len(whole) // 2],
    "changed": lambda whole: whole[:100] + bytes(9) + whole[109:],
    "of something else": lambda _: lzma.compress(bytes(10240)),
    "of a broken bento.yaml": lambda _: archive({"./bento.yaml": b"- a"}),
    "of a Bento without a tag": lambda _: archive({"./bento.yaml": b"service: a:A"}),
}


def archive(files: dict[str, bytes]) -> bytes:
    """A tar, compressed as BentoML compresses."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as opened:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            opened.addfile(member, io.BytesIO(body))
    return content.getvalue()


@pytest.mark.parametrize("damage", cases(DAMAGED, "cut short"))
def test_a_damaged_file_is_reported(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """By its name, whatever BentoML makes of it."""
    project = make_project(tmp_path / "project")
    whole = archive({"./bento.yaml": os.urandom(9999), "./README.md": b"# echo"})
    (project.folder / "echo.bento").write_bytes(damage(whole))
    with pytest.raises(BentoError, match=r"Read echo\.bento: it is no exported Bento, or it is damaged \(\w+: "):
        bento.build(replace(project, bento="echo.bento"))


def test_another_bento_of_the_same_tag_has_another_content(tmp_path: Path) -> None:
    """A version that a person has chosen says nothing of what is packed."""
    project = make_project(tmp_path / "project")
    built = bento.build(project)
    named = replace(project, bento=built.tag)
    first = bento.build(named)
    (built.path / "src" / "service.py").write_text("# changed\n", "utf-8")
    second = bento.build(named)
    assert second.fresh
    assert second.content != first.content

    (built.path / "src" / "hosts").symlink_to("/etc/hosts")
    with pytest.raises(BentoError, match=f"Pack the Bento {built.tag}: src/hosts is a link that leads out of"):
        bento.build(named)


def test_a_bento_that_is_nowhere_is_reported(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(BentoError, match="absent:one"):
        bento.build(replace(make_project(tmp_path / "project"), bento="absent:one"))
