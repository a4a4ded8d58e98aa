"""Python packages for an image."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.image.layer import Entry
from bentoship.packages import installed as packages
from bentoship.packages.install import installing, staging
from bentoship.packages.locks import resolve
from bentoship.packages.target import Target
from tests.support.reporting import Told
from tests.support.wheels import make_requirements, make_wheel

TARGET = Target("linux/amd64", "3.11", 36)
SITE = "app/.venv/lib/python3.11/site-packages"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder for wheels."""
    return tmp_path / "wheels"


def install(bento: Path, lines: Sequence[str], into: Path, target: Target = TARGET) -> None:
    """Install to the end."""
    with installing(bento, lines, target, into) as installation:
        installation.finish()


def installed(tmp_path: Path, bento: Path, target: Target = TARGET) -> dict[str, Entry]:
    """What is installed for a Bento, by path in the image."""
    into = tmp_path / "installed"
    into.mkdir()
    (lock,) = resolve(bento, [target], tmp_path / "locks")
    install(bento, lock.lines, into, target)
    return {entry.path: entry for one in packages.distributions(into, target) for entry in one.entries}


def test_modules_and_scripts_lie_where_an_environment_has_them(tmp_path: Path, wheels: Path) -> None:
    """Modules in site-packages, scripts in bin with the image's interpreter, data in share."""
    data = {"tool/__init__.py": "", "tool-1.0.data/data/share/tool.txt": "data"}
    make_wheel(wheels, "tool", files=data, script="run-tool")
    found = installed(tmp_path, make_requirements(tmp_path / "bento", wheels, "tool==1.0"))
    assert f"{SITE}/tool/__init__.py" in found
    assert "app/.venv/share/tool.txt" in found
    script = found["app/.venv/bin/run-tool"]
    assert isinstance(script.content, bytes)
    assert script.content.startswith(b"#!/app/.venv/bin/python\n")
    assert script.mode == 0o755
    record = found[f"{SITE}/tool-1.0.dist-info/RECORD"].content
    assert isinstance(record, bytes)
    assert b"../../../bin/run-tool,,\n" in record
    assert str(tmp_path).encode() not in record


def test_data_lies_below_the_environment(tmp_path: Path, wheels: Path) -> None:
    """Whatever its folder is called; and a package stays a package, even one that is called as such a folder."""
    data = "tool-1.0.data"
    files = {
        "tool.py": "", "share/__init__.py": "", "bin/__init__.py": "", f"{data}/purelib/pure.py": "",
        f"{data}/data/lib/libtool.so": "", f"{data}/data/models/tool.bin": "", f"{data}/data/share/tool.txt": "",
        f"{data}/data/etc/tool.conf": "", f"{data}/headers/tool.h": "", f"{data}/scripts/tool": "#!python\n",
    }  # fmt: skip
    make_wheel(wheels, "tool", files=files)
    found = installed(tmp_path, make_requirements(tmp_path / "bento", wheels, "tool==1.0"))
    modules = {f"{SITE}/tool.py", f"{SITE}/share/__init__.py", f"{SITE}/bin/__init__.py", f"{SITE}/pure.py"}
    names = ("lib/libtool.so", "models/tool.bin", "share/tool.txt", "etc/tool.conf", "bin/tool")
    rest = {f"app/.venv/{name}" for name in (*names, "include/site/python3.11/tool/tool.h")}
    assert {path for path in found if ".dist-info/" not in path} == modules | rest
    record = found[f"{SITE}/tool-1.0.dist-info/RECORD"].content
    assert isinstance(record, bytes)
    assert {b"../../libtool.so", b"../../../models/tool.bin", b"share/__init__.py"} <= {
        line.partition(b",")[0] for line in record.splitlines()
    }


@pytest.mark.parametrize("damage", ["changed", "cut short", "gone"])
def test_a_damaged_cache_of_uvs_does_no_harm(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """What is not as its RECORD says is installed again, past the cache."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    make_wheel(wheels, "tool", files={"tool.py": "A = 1\n"}, digests=True)
    make_wheel(wheels, "other", digests=True)
    lines = ["other==1.0", "tool==1.0"]
    bento = make_requirements(tmp_path / "bento", wheels, *lines)
    install(bento, lines, tmp_path / "first")
    (cached,) = (tmp_path / "uv").rglob("tool.py")
    if damage == "gone":
        cached.unlink()
    else:
        cached.write_text("A = 2\n" if damage == "changed" else "A")
    told = Told()
    with staging(bento, lines, TARGET, tmp_path / "scratch", told) as staged:
        folders = staged.folders()
        assert set(folders) == {("other==1.0",), ("tool==1.0",)}
        (module,) = folders[("tool==1.0",)].rglob("tool.py")
        assert module.read_text() == "A = 1\n"
    assert told.said == []


def test_a_wheel_that_belies_its_own_record_is_installed_as_it_is(tmp_path: Path, wheels: Path) -> None:
    """As pip and uv do it; it is said."""
    wheel = make_wheel(wheels, "tool", files={"tool.py": "A = 1\n"}, digests=True)
    other = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(other, "w") as changed:
        for name in source.namelist():
            changed.writestr(name, b"A = 2\n" if name == "tool.py" else source.read(name))
    other.replace(wheel)
    bento = make_requirements(tmp_path / "bento", wheels, "tool==1.0")
    told = Told()
    with staging(bento, ["tool==1.0"], TARGET, tmp_path / "scratch", told) as staged:
        (module,) = staged.folders()[("tool==1.0",)].rglob("tool.py")
        assert module.read_text() == "A = 2\n"
    (line,) = told.said
    assert line.endswith("tool.py is not what the wheel's own RECORD says")


def test_a_hash_that_was_asked_for_is_checked(tmp_path: Path, wheels: Path) -> None:
    """Also of a wheel that is in the cache already."""
    digest = hashlib.sha256(make_wheel(wheels, "tool").read_bytes()).hexdigest()
    make_wheel(wheels, "other")
    bento = make_requirements(tmp_path / "bento", wheels, "tool==1.0", "other==1.0")
    install(bento, [f"tool==1.0 --hash=sha256:{digest}", "other==1.0"], tmp_path / "right")
    with pytest.raises(PackagesError, match=r"(?i)hash mismatch.*tool==1\.0"):
        install(bento, [f"tool==1.0 --hash=sha256:{'0' * 64}", "other==1.0"], tmp_path / "wrong")


def test_a_folder_with_a_space_changes_nothing(tmp_path: Path, wheels: Path) -> None:
    """Scripts for long paths begin otherwise, and end the same in the image."""
    make_wheel(wheels, "tool", script="run-tool")
    far = tmp_path / ("a space " + "x" * 120)
    near = tmp_path / "near"
    contents = []
    for folder in (far, near):
        folder.mkdir()
        found = installed(folder, make_requirements(folder / "bento", wheels, "tool==1.0"))
        contents.append({path: entry.content for path, entry in found.items() if isinstance(entry.content, bytes)})
    assert contents[0] == contents[1]
    assert contents[0]


def test_a_missing_wheel_is_named_with_the_platform(tmp_path: Path, wheels: Path) -> None:
    """The package, the platform and the Python, in the installer's words and ours."""
    make_wheel(wheels, "native", tag="cp311-cp311-macosx_11_0_arm64")
    bento = make_requirements(tmp_path / "bento", wheels, "native==1.0")
    with pytest.raises(PackagesError) as caught:
        installed(tmp_path, bento)
    text = str(caught.value)
    assert all(part in text for part in ("native", "linux/amd64", "Python 3.11", "BACKEND=docker"))
    assert len(text.splitlines()) <= 3


def test_a_wheel_for_a_newer_system_is_refused(tmp_path: Path, wheels: Path) -> None:
    """What the base's C library cannot run is not installed."""
    make_wheel(wheels, "native", tag="cp311-cp311-manylinux_2_30_x86_64")
    bento = make_requirements(tmp_path / "bento", wheels, "native==1.0")
    with pytest.raises(PackagesError, match="native"):
        installed(tmp_path, bento, Target("linux/amd64", "3.11", 28))
    (tmp_path / "again").mkdir()
    assert f"{SITE}/native/__init__.py" in installed(tmp_path / "again", bento)


def test_byte_code_goes_with_its_module(tmp_path: Path, wheels: Path) -> None:
    """A compiled file belongs to the package of its source, so that layers stay apart."""
    make_wheel(wheels, "tool")
    into = tmp_path / "installed"
    into.mkdir()
    bento = make_requirements(tmp_path / "bento", wheels, "tool==1.0")
    install(bento, ["tool==1.0"], into)
    (before,) = packages.distributions(into, TARGET)
    (beside := packages.module_folders(into)[0] / "tool" / "__pycache__").mkdir()
    (beside / "__init__.cpython-311.pyc").write_bytes(b"x")
    assert packages.distributions(into, TARGET) == [before]
    compiled = packages.with_byte_code(before, TARGET).entries[len(before.entries) :]
    assert [entry.path for entry in compiled] == [f"{SITE}/tool/__pycache__/__init__.cpython-311.pyc"]


def test_packages_with_a_file_in_common_are_told(tmp_path: Path, wheels: Path) -> None:
    """By their names; where there is a file that nobody lists, nothing is told apart."""
    make_wheel(wheels, "one", files={"tests/__init__.py": "", "one.py": ""})
    make_wheel(wheels, "other", files={"tests/__init__.py": "", "other.py": ""})
    make_wheel(wheels, "third")
    into = tmp_path / "installed"
    into.mkdir()
    lines = ["one==1.0", "other==1.0", "third==1.0"]
    install(make_requirements(tmp_path / "bento", wheels, *lines), lines, into)
    assert packages.clashing(into) == {"one", "other"}
    (into / "unlisted.py").touch()
    assert packages.clashing(into) is None
