"""Locks of a Bento's packages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.packages.locks import Lock, resolve, with_wheels
from bentoship.packages.resolving import download_sizes
from bentoship.packages.target import Target
from bentoship.system import records
from tests.support.bento import edit
from tests.support.repositories import serving
from tests.support.servers import answering
from tests.support.wheels import make_requirements, make_source, make_wheel

AMD = Target("linux/amd64", "3.11", 36)
ARM = Target("linux/arm64", "3.11", 36)
BOTH = "cp311-cp311-manylinux_2_28_{}"


def lock(bento: Path, target: Target, kept: Path) -> list[str]:
    """The lines of a lock for one target."""
    (found,) = resolve(bento, [target], kept)
    return list(found.lines)


def lock_all(bento: Path, targets: Sequence[Target], kept: Path) -> list[Lock]:
    """Locks for several targets, whose wheels are there."""
    return with_wheels(bento, resolve(bento, targets, kept), kept)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder for wheels."""
    return tmp_path / "wheels"


def test_a_loose_bento_gets_a_lock_that_is_kept(tmp_path: Path, wheels: Path) -> None:
    """Without a lock of BentoML's the dependencies are found, and stay what they were whatever a server has later."""
    make_wheel(wheels, "top", requires="below>=1")
    make_wheel(wheels, "below", "1.0")
    with serving(wheels) as host:
        bento = make_requirements(tmp_path / "bento", Path("http:", host), "top==1.0", locked=False)
        for file in (bento / "env" / "python").iterdir():
            edit(file, "http:/", "http://")
        assert lock(bento, AMD, tmp_path / "locks") == ["below==1.0", "top==1.0"]
        make_wheel(wheels, "below", "2.0")
        assert lock(bento, AMD, tmp_path / "locks") == ["below==1.0", "top==1.0"]
    with serving(wheels) as other:
        for file in (bento / "env" / "python").iterdir():
            edit(file, host, other)
        assert lock(bento, AMD, tmp_path / "other") == ["below==2.0", "top==1.0"]


@pytest.mark.parametrize("by", ["requirements", "UV_FIND_LINKS"])
def test_what_is_put_into_a_folder_makes_another_lock(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """A new version, and other requirements of the same one, which uv would not read again."""
    make_wheel(wheels, "top", requires="below>=1")
    make_wheel(wheels, "below", "1.0")
    bento = make_requirements(tmp_path / "bento", wheels, "top==1.0", locked=False)
    if by == "UV_FIND_LINKS":
        monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
        for file in (bento / "env" / "python").iterdir():
            edit(file, f"--find-links {wheels}\n", "")
    assert lock(bento, AMD, tmp_path / "locks") == ["below==1.0", "top==1.0"]
    make_wheel(wheels, "below", "2.0")
    assert lock(bento, AMD, tmp_path / "locks") == ["below==2.0", "top==1.0"]
    make_wheel(wheels, "top", requires="below<2")
    assert lock(bento, AMD, tmp_path / "locks") == ["below==1.0", "top==1.0"]


def test_a_lock_of_another_shape_is_made_again(tmp_path: Path, wheels: Path) -> None:
    """An empty one would make an image without packages."""
    make_wheel(wheels, "top")
    bento = make_requirements(tmp_path / "bento", wheels, "top==1.0", locked=False)
    made = lock(bento, AMD, tmp_path / "locks")
    (kept,) = (tmp_path / "locks").iterdir()
    values: tuple[object, ...] = ([], {}, None, [1])
    for value in values:
        records.keep(kept, value)
        assert lock(bento, AMD, tmp_path / "locks") == made


@pytest.mark.parametrize("damage", [b"", b'["below==1.0"', b"null", b'{"format": 99}', b"\xff"])
def test_a_lock_that_was_damaged_is_made_anew(tmp_path: Path, wheels: Path, damage: bytes) -> None:
    """A part of it would make an image without some of its packages."""
    make_wheel(wheels, "top", requires="below>=1")
    make_wheel(wheels, "below", "1.0")
    bento = make_requirements(tmp_path / "bento", wheels, "top==1.0", locked=False)
    made = lock(bento, AMD, tmp_path / "locks")
    (kept,) = (tmp_path / "locks").iterdir()
    kept.write_bytes(damage)
    assert lock(bento, AMD, tmp_path / "locks") == made


def test_bentomls_own_lock_is_taken(tmp_path: Path, wheels: Path) -> None:
    """What is exact already is not asked for again, and uv is left out."""
    bento = make_requirements(tmp_path / "bento", wheels, "b==2", "a==1", "uv==0.5")
    assert lock(bento, AMD, tmp_path / "locks") == ["a==1", "b==2"]


def native(wheels: Path, name: str, version: str, *machines: str, requires: str = "") -> None:
    """Wheels of a package with programs for machines."""
    for machine in machines:
        make_wheel(wheels, name, version, tag=BOTH.format(machine), requires=requires)


def test_another_platform_gets_the_same_versions(tmp_path: Path, wheels: Path) -> None:
    """Newer releases that came since the Bento was locked are no reason to differ."""
    native(wheels, "fast", "1.0", "x86_64", "aarch64")
    make_wheel(wheels, "top", requires="fast>=1")
    bento = make_requirements(tmp_path / "bento", wheels, "fast==1.0", "top==1.0")
    (bento / "env" / "python" / "requirements.in").write_text("top\n", "utf-8")
    native(wheels, "fast", "2.0", "x86_64", "aarch64")
    assert lock(bento, ARM, tmp_path / "locks") == lock(bento, AMD, tmp_path / "locks") == ["fast==1.0", "top==1.0"]


def test_a_version_without_a_wheel_gives_way(tmp_path: Path, wheels: Path) -> None:
    """Another one that was allowed is taken, on that platform alone."""
    native(wheels, "fast", "1.0", "x86_64", "aarch64")
    native(wheels, "fast", "2.0", "x86_64")
    bento = make_requirements(tmp_path / "bento", wheels, "fast==2.0")
    (bento / "env" / "python" / "requirements.in").write_text("fast\n", "utf-8")
    amd, arm = lock_all(bento, [AMD, ARM], tmp_path / "locks")
    assert amd == Lock(AMD, ("fast==2.0",))
    assert arm == Lock(ARM, ("fast==1.0",), deviations=("fast==1.0",))


def test_what_one_platform_alone_needs_is_its_own(tmp_path: Path, wheels: Path) -> None:
    """Markers are read for each platform."""
    make_wheel(wheels, "top", requires="gpu==1.0; platform_machine == 'x86_64'")
    native(wheels, "gpu", "1.0", "x86_64")
    for locked in (True, False):
        requirements = ("gpu==1.0", "top==1.0") if locked else ("top",)
        bento = make_requirements(tmp_path / f"bento-{locked}", wheels, *requirements, locked=locked)
        (bento / "env" / "python" / "requirements.in").write_text("top\n", "utf-8")
        lock_all(bento, [AMD, ARM], tmp_path / "locks")
        assert lock(bento, AMD, tmp_path / "locks") == ["gpu==1.0", "top==1.0"]
        assert lock(bento, ARM, tmp_path / "locks") == ["top==1.0"]


@pytest.mark.parametrize("sources", [True, False], ids=["with sources", "with wheels alone"])
def test_every_missing_wheel_is_named_at_once(tmp_path: Path, wheels: Path, sources: bool) -> None:
    """Each package with its platform, what has wheels not among them; and why one cannot be built on its platform."""
    native(wheels, "both", "1.0", "x86_64", "aarch64")
    native(wheels, "intel", "1.0", "x86_64")
    native(wheels, "other", "2.0", "x86_64")
    native(wheels, "apple", "1.0", "aarch64")
    bento = make_requirements(tmp_path / "bento", wheels, "apple==1.0", "both==1.0", "intel==1.0", "other==2.0")
    for name, version in (("apple", "1.0"), ("intel", "1.0"), ("other", "2.0")) if sources else ():
        make_source(wheels, name, version)
    with pytest.raises(PackagesError) as caught:
        lock_all(bento, [AMD, ARM], tmp_path / "locks")
    amd, arm = "no wheel for linux/amd64 of apple==1.0; ", "no wheel for linux/arm64 of intel==1.0, other==2.0"
    assert caught.value.why.startswith(amd)
    assert caught.value.why.endswith(arm)
    between = caught.value.why.removeprefix(amd).removesuffix(arm)
    said = r"apple==1\.0 cannot be built: .*setuptools was not found.*; " if sources else ""
    assert re.fullmatch(said, between)
    assert "BACKEND=docker" in caught.value.hint


def test_a_package_that_is_nowhere_is_told_in_the_installers_words(tmp_path: Path, wheels: Path) -> None:
    """It lacks more than a wheel."""
    wheels.mkdir()
    bento = make_requirements(tmp_path / "bento", wheels, "nowhere", locked=False)
    with pytest.raises(PackagesError, match="nowhere was not found"):
        lock_all(bento, [AMD, ARM], tmp_path / "locks")


def test_the_size_is_that_of_the_wheel_to_be_installed(tmp_path: Path, wheels: Path) -> None:
    """Not of other platforms' wheels, nor of all that the platform runs."""
    offered = {"manylinux_2_17_x86_64": 7, "manylinux_2_28_x86_64": 5, "manylinux_2_28_aarch64": 11}
    made = {make_wheel(wheels, "fast", tag=f"cp311-cp311-{tag}"): size for tag, size in offered.items()}
    files = [{"filename": path.name, "url": path.as_uri(), "hashes": {}, "size": size} for path, size in made.items()]
    told = {"meta": {"api-version": "1.1"}, "name": "fast", "files": files}
    kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    with answering(200, kind, json.dumps(told).encode()) as index:
        bento = make_requirements(tmp_path / "bento", wheels)
        (bento / "env" / "python" / "requirements.txt").write_text(f"--index-url http://{index.host}/\n", "utf-8")
        assert [download_sizes(bento, ["fast==1.0"], target)["fast"] for target in (AMD, ARM)] == [7, 11]


def test_a_size_that_is_not_told_is_none(tmp_path: Path, wheels: Path) -> None:
    """A folder of wheels tells no sizes, which is no mistake."""
    native(wheels, "both", "1.0", "x86_64", "aarch64")
    bento = make_requirements(tmp_path / "bento", wheels, "both==1.0")
    assert download_sizes(bento, ["both==1.0"], ARM) == {"both": 0}


@pytest.mark.parametrize("locked", [True, False])
def test_hashes_stay_with_their_packages(tmp_path: Path, wheels: Path, locked: bool) -> None:
    """On each platform, whether BentoML has locked them or not; a lock of uv's does not repeat them."""
    make_wheel(wheels, "top", requires="below")
    make_wheel(wheels, "below")
    lines = ["below==1.0", "top==1.0 --hash=sha256:0f --hash=sha256:1f"]
    bento = make_requirements(tmp_path / "bento", wheels, *lines, locked=locked)
    for target in (AMD, ARM):
        assert lock(bento, target, tmp_path / "locks") == lines


def test_hashes_that_are_required_are_there(tmp_path: Path, wheels: Path) -> None:
    """For what was asked for and what that depends on; not for what BentoML alone does, which adds itself."""
    make_wheel(wheels, "top", requires="below")
    make_wheel(wheels, "below")
    make_wheel(wheels, "bentoml", requires="others")
    make_wheel(wheels, "others")
    bento = make_requirements(tmp_path / "bento", wheels, locked=False)
    file = bento / "env" / "python" / "requirements.in"
    options = f"{file.read_text()}--require-hashes\n"
    for below in ("", " --hash=sha256:2f"):
        text = f"{options}top==1.0 --hash=sha256:0f\nbelow==1.0{below}\nbentoml==1.0\n"
        for name in ("requirements.in", "requirements.txt"):
            file.with_name(name).write_text(text)
        if below:
            assert len(lock(bento, AMD, tmp_path / "locks")) == 4
        else:
            with pytest.raises(PackagesError, match=r"there is none for below==1\.0"):
                lock(bento, AMD, tmp_path / "locks")


def test_constraints_and_settings_make_another_lock(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None that was made under others is taken."""
    for version in ("1.0", "2.0", "3.0"):
        make_wheel(wheels, "tool", version)
    bento = make_requirements(tmp_path / "bento", wheels, "tool", locked=False)
    assert lock(bento, AMD, tmp_path / "locks") == ["tool==3.0"]
    (bento / "env" / "python" / "constraints.txt").write_text("tool<3\n")
    assert lock(bento, AMD, tmp_path / "locks") == ["tool==2.0"]
    (tmp_path / "limits.txt").write_text("tool<2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_CONSTRAINT", "limits.txt")
    assert lock(bento, AMD, tmp_path / "locks") == ["tool==1.0"]


def first_format(bento: Path, wheels: Path, asked: str, lock: str = "") -> Path:
    """A Bento in BentoML's first format. Args: asked: its requirements; lock: that of BentoML, if it has made one."""
    folder = make_requirements(bento, wheels) / "env" / "python"
    (folder / "requirements.in").unlink()
    (folder / "install.sh").touch()
    (folder / "wheels").mkdir()
    options = (folder / "requirements.txt").read_text("utf-8")
    (folder / "requirements.txt").write_text(options + asked, "utf-8")
    if lock:
        (folder / "requirements.lock.txt").write_text(options + lock, "utf-8")
    return bento


@pytest.mark.parametrize("has_lock", [True, False])
def test_wheels_beside_the_requirements_are_locked_with_them(tmp_path: Path, wheels: Path, has_lock: bool) -> None:
    """With what they require, for each platform, and again when they change; BentoML's own versions stay."""
    for version in ("1.0", "2.0"):
        make_wheel(wheels, "below", version)
    make_wheel(wheels, "more")
    bento = first_format(tmp_path / "bento", wheels, "below<3\n", "below==1.0\n" if has_lock else "")
    packed = make_wheel(bento / "env" / "python" / "wheels", "top", requires="below")
    below, top = f"below=={1 if has_lock else 2}.0", f"./wheels/{packed.name}"
    for target in (AMD, ARM):
        assert lock(bento, target, tmp_path / "locks") == [top, below]
    make_wheel(packed.parent, "top", requires="more")
    assert lock(bento, AMD, tmp_path / "locks") == [top, below, "more==1.0"]


def test_a_wheel_beside_the_requirements_that_a_platform_does_not_run_is_named(tmp_path: Path, wheels: Path) -> None:
    """As a package of an index without a wheel is."""
    make_wheel(wheels, "below")
    bento = first_format(tmp_path / "bento", wheels, "below\n", "below==1.0\n")
    packed = make_wheel(bento / "env" / "python" / "wheels", "fast", tag=BOTH.format("x86_64"))
    assert lock(bento, AMD, tmp_path / "locks") == [f"./wheels/{packed.name}", "below==1.0"]
    with pytest.raises(PackagesError, match=f"no wheel for linux/arm64 of ./wheels/{packed.name}"):
        lock_all(bento, [AMD, ARM], tmp_path / "locks")


def test_exact_requirements_are_no_lock_in_the_first_format(tmp_path: Path, wheels: Path) -> None:
    """Nor do wheels beside them make them one: what they depend on is found."""
    make_wheel(wheels, "top", requires="below")
    make_wheel(wheels, "below")
    bento = first_format(tmp_path / "bento", wheels, "top==1.0\n")
    assert lock(bento, AMD, tmp_path / "locks") == ["below==1.0", "top==1.0"]
