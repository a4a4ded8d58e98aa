"""Locks in the standard form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.packages.indexes import indexes_in
from bentoship.packages.pylock import PUBLIC, requirements_in, sources_in
from bentoship.packages.requirements import RequirementsError, is_pylock
from bentoship.packages.requirements_file import flattened

PYLOCK = """\
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "plain"
version = "1.0"
index = "PUBLIC"
sdist = { url = "https://files.invalid/plain-1.0.tar.gz", hashes = { sha256 = "1f" } }
wheels = [{ url = "https://files.invalid/plain-1.0-py3-none-any.whl", hashes = { sha256 = "0f", md5 = "2f" } }]

[[packages]]
name = "Torch_X"
version = "1.0+cpu"
marker = "sys_platform == 'linux'"
index = "https://cpu.invalid/simple/"

[[packages]]
name = "torch-x"
version = "1.0"
marker = "sys_platform != 'linux'"
index = "PUBLIC"

[[packages]]
name = "cloned"
vcs = { type = "git", url = "https://git.invalid/a.git", commit-id = "abc", subdirectory = "b" }

[[packages]]
name = "beside"
directory = { path = "libs/beside", editable = true }

[[packages]]
name = "packed"
archive = { url = "https://files.invalid/packed.tar.gz", hashes = { sha256 = "3f" } }
"""


def written(folder: Path, text: str = PYLOCK, name: str = "pylock.toml") -> Path:
    """A lock in a folder."""
    (folder / name).write_text(text.replace("PUBLIC", PUBLIC.pattern.replace("\\", "")), "utf-8")
    return folder / name


def test_a_lock_is_read_as_requirements(tmp_path: Path) -> None:
    """Each package by its version and hashes, or by where its source is; with the marker that it has."""
    lines = [
        "plain==1.0 --hash=sha256:0f --hash=sha256:1f",
        "Torch_X==1.0+cpu ; sys_platform == 'linux'",
        "torch-x==1.0 ; sys_platform != 'linux'",
        "cloned @ git+https://git.invalid/a.git@abc#subdirectory=b",
        f"beside @ {(tmp_path / 'libs' / 'beside').as_uri()}",
        "packed @ https://files.invalid/packed.tar.gz --hash=sha256:3f",
    ]
    assert requirements_in(written(tmp_path)) == lines
    assert flattened(tmp_path / "pylock.toml") == "".join(f"{line}\n" for line in lines)


def test_indexes_of_a_lock_are_those_of_its_packages(tmp_path: Path) -> None:
    """That of all packages is none of a single one. They win over those of the project."""
    sources, addresses = sources_in(written(tmp_path))
    ((name, address),) = addresses.items()
    assert address == "https://cpu.invalid/simple"
    assert sources == {"torch-x": [{"index": name, "marker": "sys_platform == 'linux'"}]}
    pyproject = (
        '[tool.uv]\nsources = { torch-x = { index = "own" } }\nindex = [{ name = "own", url = "https://own" }]\n'
    )
    (tmp_path / "pyproject.toml").write_text(pyproject, "utf-8")
    found = indexes_in(tmp_path / "pyproject.toml", [tmp_path / "pylock.toml", tmp_path / "requirements.txt"])
    assert f'{{ index = "{name}", marker' in found
    assert '{ index = "own" }' not in found


@pytest.mark.parametrize("name", ["pylock.toml", "pylock.gpu.toml"])
def test_a_lock_is_known_by_its_name(name: str) -> None:
    """As the standard says."""
    assert is_pylock(Path(name))
    assert not is_pylock(Path(f"my{name}"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("packages", "it is not TOML"),
        ('lock-version = "1.0"\n', "it has no packages"),
        ('[[packages]]\nname = "a"\n', "a package has another form: 'version' is missing"),
        ('[[packages]]\nname = "a"\nversion = "1"\nmarker = "\'cpu\' in extras"\n', "a is for an extra or a group"),
    ],
)
def test_a_lock_that_cannot_be_read_is_named(tmp_path: Path, text: str, why: str) -> None:
    """With what is wrong; its indexes are not asked for."""
    with pytest.raises(RequirementsError, match=f"pylock.toml: {why}"):
        flattened(written(tmp_path, text))
    assert indexes_in(tmp_path / "pyproject.toml", [tmp_path / "pylock.toml"]) == ""
