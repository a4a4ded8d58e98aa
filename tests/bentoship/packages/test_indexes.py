"""Indexes of single packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.packages.indexes import indexes_in, indexes_of
from bentoship.packages.install import installing
from bentoship.packages.locks import resolve, with_wheels
from bentoship.packages.requirements import INDEXES
from bentoship.packages.target import Target
from tests.support.repositories import serving
from tests.support.servers import private_index
from tests.support.slow import cases
from tests.support.wheels import make_requirements, make_source, make_wheel, source_files

AMD = Target("linux/amd64", "3.11", 36)
ARM = Target("linux/arm64", "3.11", 36)

PYPROJECT = """\
[project]
name = "app"
[[tool.uv.index]]
name = "own"
url = "{url}"
explicit = true
[[tool.uv.index]]
name = "other"
url = "https://ann:secret@other.invalid/simple"
explicit = true
[tool.uv.sources]
"""
OWN = """\
[tool.uv]
index = [
    {{ name = "own", url = "{url}", explicit = true }},
]

[tool.uv.sources]
{sources}"""


def says(folder: Path, *sources: str, url: str = "https://own.invalid/simple") -> str:
    """What a pyproject.toml with some sources says of indexes."""
    text = PYPROJECT.format(url=url) + "".join(f"{source}\n" for source in sources)
    (folder / "pyproject.toml").write_text(text, "utf-8")
    return indexes_in(folder / "pyproject.toml")


def test_the_indexes_of_packages_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Each with its marker, by the canonical name of its package, beside the indexes that are named."""
    marked = '{ index = "own", marker = "sys_platform == \'linux\'" }'
    found = says(
        tmp_path, 'Torch_X = { index = "own" }', f'b = [{marked}, {{ index = "nowhere" }}]', 'c = { path = "c" }'
    )
    sources = f'b = [\n    {marked},\n    {{ index = "nowhere" }},\n]\ntorch-x = [\n    {{ index = "own" }},\n]\n'
    assert found == OWN.format(url="https://own.invalid/simple", sources=sources)


@pytest.mark.parametrize(
    "source",
    [
        'a = { git = "https://git.invalid/a.git" }',
        'a = { index = "own", extra = "cpu" }',
        'a = [{ index = "own", group = "dev" }]',
        "not TOML",
    ],
)
def test_other_sources_are_no_indexes(tmp_path: Path, source: str) -> None:
    """Nor are those of an extra or a group, of which a Bento has nothing, or of a file that is none."""
    assert says(tmp_path, source) == ""
    assert indexes_in(tmp_path / "none") == ""


def test_an_index_beside_the_file_is_found_from_anywhere(tmp_path: Path) -> None:
    """Its path starts at the folder of the file."""
    found = says(tmp_path, 'a = { index = "own" }', url="./wheels")
    assert f'url = "{tmp_path / "wheels"}"' in found


def test_sources_of_another_form_are_named(tmp_path: Path) -> None:
    """With the file that they stand in."""
    with pytest.raises(PackagesError, match="not of its type") as caught:
        says(tmp_path, "a = [1]")
    assert "pyproject.toml" in caught.value.doing


def test_an_index_for_all_packages_is_one(tmp_path: Path, host: str) -> None:
    """It comes before others, wherever the Bento has the file that names it."""
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(f'[tool.uv]\nindex = [{{ url = "http://{host}/cpu" }}]\n', "utf-8")
    bento = bento_of(tmp_path / "bento", host, "torchx", index="")
    (bento / "env" / "python" / INDEXES).write_text(indexes_in(pyproject), "utf-8")
    (lock,) = resolve(bento, [AMD], tmp_path / "locks")
    assert lock.lines == ("belowx==2.0", "torchx==1.0+cpu")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A server of two indexes: main, and cpu, which has torchx for each of two platforms, and what depends on it."""
    places = tmp_path / "served"
    make_wheel(places / "main" / "torchx", "torchx", "1.0", requires="belowx")
    make_wheel(places / "main" / "belowx", "belowx", "1.0")
    make_wheel(places / "main" / "userx", "userx", "1.0", requires="torchx")
    make_wheel(places / "cpu" / "belowx", "belowx", "2.0")
    for machine in ("x86_64", "aarch64"):
        tag = f"cp311-cp311-manylinux_2_28_{machine}"
        files = {"torchx/__init__.py": f"BUILD = 'cpu for {machine}'\n"}
        make_wheel(places / "cpu" / "torchx", "torchx", "1.0+cpu", tag=tag, requires="belowx", files=files)
    with serving(places) as host:
        yield host


def bento_of(folder: Path, host: str, *required: str, index: str = "cpu", sources: str = "") -> Path:
    """A Bento that BentoML has made no lock of, whose packages come from main, and torchx from another index."""
    bento = make_requirements(folder, folder, locked=False)
    place = bento / "env" / "python"
    for name in ("requirements.in", "requirements.txt"):
        lines = [f"--index-url http://{host}/main", *required]
        (place / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
    if index:
        text = OWN.format(url=f"http://{host}/{index}", sources=sources or 'torchx = [{ index = "own" }]\n')
        (place / INDEXES).write_text(text, "utf-8")
    return bento


@pytest.mark.parametrize(
    "required",
    cases({"any": "torchx", "marked": "torchx>=1 ; sys_platform == 'linux'", "exact": "torchx==1.0"}, "any"),
)
def test_a_package_is_locked_and_installed_from_its_own_index(tmp_path: Path, host: str, required: str) -> None:
    """On each platform; what it depends on, and what depends on it, comes from the others."""
    bento = bento_of(tmp_path / "bento", host, required, "userx")
    for lock in with_wheels(bento, resolve(bento, [AMD, ARM], tmp_path / "locks"), tmp_path / "locks"):
        assert lock.lines == ("belowx==1.0", "torchx==1.0+cpu", "userx==1.0")
        into = tmp_path / lock.target.platform
        with installing(bento, lock.installed, lock.target, into) as installation:
            installation.finish()
        (module,) = into.rglob("torchx/__init__.py")
        machine = "x86_64" if lock.target == AMD else "aarch64"
        assert module.read_text("utf-8") == f"BUILD = 'cpu for {machine}'\n"


def test_a_marker_says_where_an_index_is_taken(tmp_path: Path, host: str) -> None:
    """Elsewhere the package comes from where all others do."""
    sources = 'torchx = [{ index = "own", marker = "platform_machine == \'aarch64\'" }]\n'
    bento = bento_of(tmp_path / "bento", host, "torchx", sources=sources)
    amd, arm = resolve(bento, [AMD, ARM], tmp_path / "locks")
    assert (amd.lines[-1], arm.lines[-1]) == ("torchx==1.0", "torchx==1.0+cpu")


def test_another_index_makes_another_lock(tmp_path: Path, host: str) -> None:
    """Also where the requirements are the same; one that names other packages changes nothing."""
    (tmp_path / "served" / "cu1").mkdir()
    make_wheel(tmp_path / "served" / "cu1" / "torchx", "torchx", "1.0+cu1")
    found = []
    for number, index in enumerate(["", "cpu", "cu1"]):
        bento = bento_of(tmp_path / f"bento{number}", host, "torchx", index=index)
        (lock,) = resolve(bento, [AMD], tmp_path / "locks")
        found.append(lock.lines[-1])
    assert found == ["torchx==1.0", "torchx==1.0+cpu", "torchx==1.0+cu1"]
    bento = bento_of(tmp_path / "other", host, "belowx", sources='torchx = [{ index = "own" }]\n')
    assert resolve(bento, [AMD], tmp_path / "locks")[0].lines == ("belowx==1.0",)


def test_a_hash_is_checked_of_a_package_with_an_index_of_its_own(tmp_path: Path, host: str) -> None:
    """As of any other."""
    bento = bento_of(tmp_path / "bento", host, f"torchx==1.0+cpu --hash=sha256:{'0' * 64}")
    (line,) = (line for line in resolve(bento, [AMD], tmp_path / "locks")[0].lines if "torchx" in line)
    with (
        pytest.raises(PackagesError, match=r"(?i)hash mismatch"),
        installing(bento, [line], AMD, tmp_path / "into") as installation,
    ):
        installation.finish()


@pytest.mark.slow
def test_a_package_without_a_wheel_is_built_from_its_own_index(tmp_path: Path, host: str) -> None:
    """No other has it."""
    folder = tmp_path / "served" / "sources" / "torchx"
    folder.mkdir(parents=True)
    files = source_files("torchx", tmp_path / "log", version="3.0")
    files["PKG-INFO"] = "Metadata-Version: 2.2\nName: torchx\nVersion: 3.0\n"
    make_source(folder, "torchx", "3.0", files=files)
    bento = bento_of(tmp_path / "bento", host, "torchx==3.0", index="sources")
    (lock,) = with_wheels(bento, resolve(bento, [AMD], tmp_path / "locks"), tmp_path / "locks")
    assert lock.lines == ("torchx==3.0",)
    assert lock.built[0][1].name == "torchx-3.0-py3-none-any.whl"


def test_passwords_are_put_in_for_uv_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Bento has variables in their place."""
    with private_index(tmp_path / "index", "secret") as index:
        bento = make_requirements(tmp_path / "bento", tmp_path, "toolx", locked=False)
        for name in ("requirements.in", "requirements.txt"):
            (bento / "env" / "python" / name).write_text("toolx\n", "utf-8")
        text = OWN.format(url=f"http://${{WHO}}@{index}", sources='toolx = [{ index = "own" }]\n')
        (bento / "env" / "python" / INDEXES).write_text(text, "utf-8")
        monkeypatch.setenv("WHO", "ann:secret")
        (lock,) = resolve(bento, [AMD], tmp_path / "locks")
    assert lock.lines == ("toolx==1.0",)
    assert indexes_of(bento) == text
