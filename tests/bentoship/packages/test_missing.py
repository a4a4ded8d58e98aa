"""Packages that an index has only as sources."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bentoship.errors import PackagesError
from bentoship.image.platforms import platform_of
from bentoship.packages.install import installing
from bentoship.packages.locks import Lock, resolve, with_wheels
from bentoship.packages.target import Target
from tests.support.wheels import make_requirements, make_source, make_wheel, source_files

AMD = Target("linux/amd64", "3.11", 36)
ARM = Target("linux/arm64", "3.11", 36)
HERE = AMD if platform_of(platform.machine()) == AMD.platform else ARM
ELSEWHERE = ARM if HERE is AMD else AMD


def lock_all(bento: Path, targets: Sequence[Target], kept: Path) -> list[Lock]:
    """Locks for several targets, with wheels."""
    return with_wheels(bento, resolve(bento, targets, kept), kept)


def offer_source(place: Path, name: str, **options: str) -> Path:
    """Put a source distribution among wheels; the log of its builds."""
    metadata = {"PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\n"}
    (place / "wheels").mkdir(exist_ok=True)
    make_source(place / "wheels", name, files={**source_files(name, place / "log", **options), **metadata})
    return place / "log"


@pytest.mark.parametrize("locked", [True, False])
def test_a_package_without_a_wheel_is_built_once_for_all_platforms(tmp_path: Path, locked: bool) -> None:
    """Its line stays what it was, and its wheel is installed; what was built stays known."""
    log = offer_source(tmp_path, "small")
    make_wheel(tmp_path / "wheels", "top", requires="small")
    lines = ["small==1.0", "top==1.0"]
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", *(lines if locked else ["top"]), locked=locked)
    for made in (lock_all(bento, [AMD, ARM], tmp_path / "kept"), resolve(bento, [AMD, ARM], tmp_path / "kept")):
        assert [list(one.lines) for one in made] == [lines, lines]
        assert all(one.installed[0].startswith("small @ file:///") for one in made)
        assert len(log.read_text("utf-8").splitlines()) == 1
    for number, one in enumerate(made):
        with installing(bento, one.installed, one.target, tmp_path / str(number)) as installation:
            installation.finish()
        assert next((tmp_path / str(number)).rglob("small/__init__.py")).read_text("utf-8") == "X = 1\n"
    shutil.rmtree(tmp_path / "kept" / "built")
    assert [one.built for one in resolve(bento, [AMD], tmp_path / "kept")] == [()]


@pytest.mark.parametrize("target", [HERE, ELSEWHERE])
def test_what_is_to_be_built_is(tmp_path: Path, target: Target) -> None:
    """Although it has a wheel, and whatever was made of that; and no longer once its option is gone."""
    log = offer_source(tmp_path, "small")
    make_wheel(tmp_path / "wheels", "small", files={"small/__init__.py": "X = 'wheel'\n"})
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", "small==1.0")
    assert lock_all(bento, [target], tmp_path / "kept") == [Lock(target, ("small==1.0",))]
    asked = bento / "env" / "python" / "requirements.in"
    asked.write_text("--only-binary :all:\n--no-binary small\nsmall\n", "utf-8")
    (lock,) = lock_all(bento, [target], tmp_path / "kept")
    assert resolve(bento, [target], tmp_path / "kept") == [lock]
    assert len(log.read_text("utf-8").splitlines()) == 1
    with installing(bento, lock.installed, target, tmp_path / "installed") as installation:
        installation.finish()
    assert next((tmp_path / "installed").rglob("small/__init__.py")).read_text("utf-8") == "X = 1\n"
    asked.write_text("small\n", "utf-8")
    assert lock_all(bento, [target], tmp_path / "kept") == [Lock(target, ("small==1.0",))]


def test_hashes_are_those_of_the_source(tmp_path: Path) -> None:
    """A source with another hash is not built."""
    log = offer_source(tmp_path, "small")
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", f"small==1.0 --hash=sha256:{'0' * 64}")
    with pytest.raises(PackagesError, match=r"(?i)hash"):
        lock_all(bento, [HERE], tmp_path / "kept")
    assert not log.exists()


def test_what_is_compiled_runs_where_it_was_built(tmp_path: Path) -> None:
    """Not on another platform, and not with an older C library."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("this host has no compiler")
    # In the C library since 2.25.
    code = "#include <sys/random.h>\\nint small(void) { return getrandom(0, 0, 0); }\\n"
    before = (
        f"import subprocess; open('x.c', 'w').write('{code}'); "
        f"subprocess.run(['{compiler}', '-shared', '-fPIC', 'x.c', '-o', 'small/fast.so'], check=True)"
    )
    machine = f"linux_{platform.machine()}"
    log = offer_source(tmp_path, "small", before=before, tag=f"cp311-cp311-{machine}")
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", "small==1.0")
    (made,) = lock_all(bento, [HERE], tmp_path / "kept")
    ((_, wheel),) = made.built
    assert wheel.name.startswith("small-1.0-cp311-cp311-manylinux_2_")
    with pytest.raises(PackagesError, match=rf"no wheel for {ELSEWHERE.platform} of small==1\.0\n"):
        lock_all(bento, [HERE, ELSEWHERE], tmp_path / "kept")
    with pytest.raises(PackagesError, match=rf"no wheel for {HERE.platform} of small==1\.0\n"):
        lock_all(bento, [Target(HERE.platform, "3.11", 17)], tmp_path / "kept")
    assert len(log.read_text("utf-8").splitlines()) == 1


def test_who_asks_for_what_cannot_be_built_is_named(tmp_path: Path) -> None:
    """The user may not know of it."""
    offer_source(
        tmp_path, "small", before="raise SystemExit(\"error: command 'fortran' failed: No such file or directory\")"
    )
    make_wheel(tmp_path / "wheels", "top", requires="small")
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", "small==1.0", "top==1.0")
    (bento / "env" / "python" / "requirements.in").write_text("top\n", "utf-8")
    with pytest.raises(PackagesError) as caught:
        lock_all(bento, [HERE], tmp_path / "kept")
    assert caught.value.why == (
        f"no wheel for {HERE.platform} of small==1.0; small==1.0 cannot be built: "
        "error: command 'fortran' failed: No such file or directory (top requires it)"
    )
    assert caught.value.hint.startswith("Install fortran, ")


def test_a_wheel_in_the_bento_is_for_all_platforms(tmp_path: Path) -> None:
    """Where it stands for a repository that another package asks for, too: nothing is built for another lock."""
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", "./wheels/top-1.0-py3-none-any.whl")
    (tmp_path / "wheels").mkdir()
    make_wheel(bento / "src" / "wheels", "top", requires="deep @ git+http://127.0.0.1:9/deep.git")
    make_wheel(bento / "src" / "wheels", "deep")
    lines = ["./wheels/deep-1.0-py3-none-any.whl", "./wheels/top-1.0-py3-none-any.whl"]
    with (bento / "env" / "python" / "requirements.txt").open("a") as lock:
        lock.write(f"{lines[0]}\n")
    assert [list(one.installed) for one in lock_all(bento, [AMD, ARM], tmp_path / "kept")] == [lines, lines]


def test_a_wheel_in_the_bento_runs_where_it_says(tmp_path: Path) -> None:
    """The plan knows it as well as the installation."""
    wheel = make_wheel(tmp_path / "bento" / "src" / "wheels", "fast", tag=f"cp311-cp311-linux_{platform.machine()}")
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", f"./wheels/{wheel.name}")
    (tmp_path / "wheels").mkdir()
    lock_all(bento, [HERE], tmp_path / "kept")
    with pytest.raises(PackagesError, match=rf"no wheel for {ELSEWHERE.platform} of \./wheels/{wheel.name}\n"):
        lock_all(bento, [HERE, ELSEWHERE], tmp_path / "kept")
