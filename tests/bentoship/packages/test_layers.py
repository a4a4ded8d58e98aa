"""The layers with a lock's packages."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NoReturn

import pytest

from bentoship.bases import Base
from bentoship.image.layer import Estimate, Layer
from bentoship.layers.cache import LayerCache
from bentoship.layers.segments import Segment
from bentoship.packages.job import Job
from bentoship.packages.layers import expected_layers, package_layers, shared
from bentoship.packages.locks import resolve
from bentoship.packages.package import Package, find
from bentoship.packages.target import Target
from bentoship.system import records
from bentoship.system.progress import State
from tests.support.bento import append
from tests.support.reporting import Told
from tests.support.repositories import serving
from tests.support.synthetic import PYTHON
from tests.support.wheels import make_requirements, make_wheel

NAMES = ["one", "other", "third"]
LINES = [f"{name}==1.0" for name in NAMES]


def below(base: Base) -> list[str]:
    """The diff ids of a base."""
    return [layer.diff_id for layer in base.layers]


@pytest.fixture
def job(base: Base, tmp_path: Path) -> Job:
    """For three small packages, which are offered in a folder of wheels."""
    for name in NAMES:
        make_wheel(tmp_path / "wheels", name, script=f"run-{name}")
    bento = make_requirements(tmp_path / "bento", tmp_path / "wheels", *LINES)
    return Job(
        bento,
        below(base),
        base.compiler,
        Target("linux/amd64", PYTHON, base.facts.glibc),
        LayerCache(tmp_path / "cache"),
    )


def made(job: Job, lines: Sequence[str], tmp_path: Path) -> tuple[tuple[Layer, ...], Told]:
    """The layers, and what was told meanwhile."""
    told = Told()
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return package_layers(job, lines, scratch, told), told


def elsewhere(job: Job, tmp_path: Path) -> Job:
    """The same, where nothing was made before."""
    return replace(job, cache=LayerCache(tmp_path / "another-cache"))


def members(job: Job, layer: Layer) -> dict[str, bytes]:
    """The files of a layer; a whole tar, in which no path stands twice."""
    plain = gzip.decompress(job.cache.blob(layer.descriptor).read_bytes())
    assert len(plain) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = archive.getmembers()
        for number, member in enumerate(found):
            before = {other.name for other in found[:number]}
            assert member.name not in before
            assert {str(parent) for parent in PurePosixPath(member.name).parents} <= {".", *before}
        return {one.name: stream.read() for one in found if (stream := archive.extractfile(one))}


def test_small_packages_share_a_layer(job: Job, tmp_path: Path) -> None:
    """With modules, byte-code and scripts of all of them, each folder before what lies in it."""
    assert job.made(LINES) is None
    (layer,), _ = made(job, LINES, tmp_path)
    assert layer.title == "packages"
    found = members(job, layer)
    site = job.target.site_packages
    tag = f"cpython-{job.target.python.replace('.', '')}"
    for name in NAMES:
        expected = {f"{site}/{name}/__init__.py", f"{site}/{name}/__pycache__/__init__.{tag}.pyc"}
        assert expected | {f"app/.venv/bin/run-{name}"} <= found.keys()
    assert job.made(LINES) == (layer,)


def test_a_heavy_package_has_a_layer_of_its_own(job: Job, tmp_path: Path) -> None:
    """So that an update of the others does not send it again."""
    make_wheel(tmp_path / "wheels", "heavy", files={"heavy.bin": random.Random(1).randbytes(7_000_000)})
    layers, _ = made(job, [*LINES, "heavy==1.0"], tmp_path)
    assert [layer.title for layer in layers] == ["packages", "package heavy 1.0"]
    assert f"{job.target.site_packages}/heavy.bin" in members(job, layers[1])


def test_only_what_changed_is_installed(job: Job, tmp_path: Path) -> None:
    """One new version costs one package, and gives what rebuilding all of them would give."""
    made(job, LINES, tmp_path)
    make_wheel(tmp_path / "wheels", "other", "2.0")
    lines = ["one==1.0", "other==2.0", "third==1.0"]
    layers, told = made(job, lines, tmp_path)
    assert told.titles == [
        f"installing 1 package for {job.target.platform}",
        "installing 0 packages one by one",
        "compiling 1 package for linux/amd64",
        "compressing 1 package",
        "joining packages into layers",
    ]
    installed, _, compiled, compressed, _ = told.tasks
    assert (installed, told.over[0]) == (State("installing 1 package", 1, 1, "packages"), True)
    assert compiled.done == compiled.total == 1
    assert compressed.total
    assert compressed.done >= compressed.total
    assert layers == made(elsewhere(job, tmp_path), lines, tmp_path)[0]


def test_two_runs_make_a_package_once(job: Job, tmp_path: Path) -> None:
    """If locks of two projects have it, whichever is first; both get all of theirs."""
    make_wheel(tmp_path / "wheels", "more")
    with ThreadPoolExecutor(2) as pool:
        (layers, told), (others, told_others) = pool.map(
            lambda lines: made(job, lines, tmp_path), [LINES, [*LINES, "more==1.0"]]
        )
    titles = [title for title in (*told.titles, *told_others.titles) if title.startswith("compressing")]
    assert sum(int(title.split()[1]) for title in titles) == 4
    assert (len(layers), len(others)) == (1, 1)


def test_what_is_to_come_is_known_before_it_is_made(job: Job, tmp_path: Path) -> None:
    """Layers whose packages are there exactly, the others by the weight of the wheels; nothing is installed for it."""

    def never(_: Sequence[str]) -> NoReturn:
        raise AssertionError

    make_wheel(tmp_path / "wheels", "heavy", files={"heavy.bin": random.Random(1).randbytes(7_000_000)})
    lines = [*LINES, "heavy==1.0"]
    layers, _ = made(job, lines, tmp_path)
    exact: list[Layer | Estimate] = list(layers)
    assert expected_layers(job, lines, never) == exact
    assert expected_layers(job, lines[:2] + lines[3:], never)[1:] == exact[1:]
    weighed: list[str] = []

    def weigh(missing: Sequence[str]) -> dict[str, int]:
        weighed.extend(missing)
        return {"other": 1000, "new": 9_000_000}

    small, heavy, new = expected_layers(job, ["one==1.0", "other==2.0", "heavy==1.0", "new==1.0"], weigh)
    assert weighed == ["other==2.0", "new==1.0"]
    one = find(job, LINES[0])
    assert one
    assert one.segment
    assert small == Estimate("packages", "packages", one.segment.size + 1000)
    assert (heavy, new) == (exact[1], Estimate("package new 1.0", "packages", 9_000_000))


def test_packages_with_a_file_in_common_are_kept_apart(job: Job, tmp_path: Path) -> None:
    """Each has what its own wheel has, whichever was made with it; the later one's is seen in the image.

    Engines refuse a layer that has a path twice.
    """
    for name in NAMES[:2]:
        files = {"tests/__init__.py": f"# of {name}\n", f"{name}.py": ""}
        make_wheel(tmp_path / "wheels", name, "3.0", files=files)
    lines = ["one==3.0", "other==3.0", "third==1.0"]
    for line in lines:
        made(job, [line], tmp_path)
    layers, told = made(job, lines, tmp_path)
    assert (told.said, told.titles) == ([], ["joining packages into layers"])
    again, _ = made(elsewhere(job, tmp_path), lines, tmp_path)
    assert layers == again
    assert [layer.title for layer in layers] == ["packages", "packages, level 2"]
    path = f"{job.target.site_packages}/tests/__init__.py"
    assert [members(job, layer)[path] for layer in layers] == [b"# of one\n", b"# of other\n"]
    assert f"{job.target.site_packages}/third/__init__.py" in members(job, layers[0])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-9],
    "changed": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "not gzip": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
}


@pytest.mark.parametrize("damage", [*DAMAGES, "gone", "of another version"])
def test_what_was_damaged_is_made_anew(job: Job, tmp_path: Path, damage: str) -> None:
    """It is noticed when a layer is made of it, and never becomes a part of one; so are all others."""
    made(job, LINES, tmp_path)
    for file in job.folder.glob("*.gz"):
        if damage in DAMAGES:
            file.write_bytes(DAMAGES[damage](file.read_bytes()))
        elif damage == "gone":
            file.unlink()
        else:
            records.keep(file.with_suffix(".json"), {"format": 99})
    make_wheel(tmp_path / "wheels", "other", "2.0")
    lines = ["one==1.0", "other==2.0", "third==1.0"]
    layers, _ = made(job, lines, tmp_path)
    assert layers == made(elsewhere(job, tmp_path), lines, tmp_path)[0]


def test_what_was_damaged_is_only_expected(job: Job, tmp_path: Path) -> None:
    """A plan is told even so, by the weights of what publishing makes again."""
    made(job, LINES, tmp_path)
    for file in job.folder.glob("*.gz"):
        file.write_bytes(DAMAGES["changed"](file.read_bytes()))
    expected = expected_layers(job, LINES[:2], lambda lines: dict.fromkeys(NAMES, 100))
    assert expected == [Estimate("packages", "packages", 200)]


def test_files_that_a_wheel_does_not_list_are_its_own(job: Job, tmp_path: Path) -> None:
    """They are installed as well, and stay with it; the others are not mixed up with them."""
    whole = make_wheel(tmp_path / "wheels", "other", "4.0", files={"other.py": "", "other_data.txt": "data"})
    partial = tmp_path / "partial.whl"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(partial, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            changed.writestr(name, content.replace(b"other_data.txt,,\n", b"") if name.endswith("RECORD") else content)
    partial.replace(whole)
    lines = ["one==1.0", "other==4.0"]
    layers, _ = made(job, lines, tmp_path)
    assert f"{job.target.site_packages}/other_data.txt" in members(job, layers[0])
    assert made(job, lines[1:], tmp_path)[0][0].descriptor.size < layers[0].descriptor.size


def test_a_line_for_other_systems_installs_nothing(job: Job, tmp_path: Path) -> None:
    """A marker that does not hold leaves the line without a package, the second time, too."""
    lines = ["one==1.0", "third==1.0; sys_platform == 'win32'"]
    layers, _ = made(job, lines, tmp_path)
    assert not any("third" in path for path in members(job, layers[0]))
    assert find(job, lines[1]) == Package("", "", 0)


@pytest.mark.parametrize("place", ["src/wheels", "env/python/wheels"])
def test_a_wheel_of_the_project_is_known_by_its_content(job: Job, tmp_path: Path, place: str) -> None:
    """Another file under the same name is another package; where it lies depends on BentoML's version."""
    wheels = job.bento / place
    lines = ["./wheels/own-1.0-py3-none-any.whl", "one==1.0"]
    found = []
    for text in ("first", "second"):
        make_wheel(wheels, "own", files={"own.py": f"'{text}'\n"})
        (layer,), _ = made(job, lines, tmp_path)
        found.append(members(job, layer)[f"{job.target.site_packages}/own.py"])
    assert found == [b"'first'\n", b"'second'\n"]


def test_a_wheel_of_a_folder_is_known_by_its_file(job: Job, tmp_path: Path) -> None:
    """Another one of the same version is installed, though uv has kept the former; the others stay."""
    made(job, LINES, tmp_path)
    make_wheel(tmp_path / "wheels", "other", files={"other.py": "changed = True\n"})
    again = replace(job)
    assert again.made(LINES) is None
    (layer,), told = made(again, LINES, tmp_path)
    assert told.titles[0] == f"installing 1 package for {job.target.platform}"
    assert members(job, layer)[f"{job.target.site_packages}/other.py"] == b"changed = True\n"


def test_what_was_made_of_a_wheel_is_not_taken_for_what_is_built(job: Job, tmp_path: Path) -> None:
    """It may have another content."""
    made(job, LINES, tmp_path)
    append(job.bento / "env" / "python" / "requirements.in", "--no-binary other")
    again = replace(job)
    assert [bool(find(again, line)) for line in LINES] == [True, False, True]
    assert again.made(LINES) is None


def test_a_package_stays_in_its_layer(tmp_path: Path) -> None:
    """Its name alone decides, so that an update, or one more package, changes one layer."""
    segment = Segment(tmp_path, "sha256:0", 1)
    before = [Package(f"package-{n}", "1", 1_000_000, segment=segment) for n in range(40)]
    after = [replace(before[0], version="2"), *before[1:], Package("new", "1", 1_000, segment=segment)]
    one, other = (dict(shared(packages)) for packages in (before, after))
    assert list(one) == list(other) == ["packages, part 1 of 2", "packages, part 2 of 2"]
    homes = [{p.name: title for title, part in parts.items() for p in part} for parts in (one, other)]
    assert homes[0].items() <= homes[1].items()
    assert all(sum(p.size for p in part) > 5_000_000 for part in one.values())


def test_another_index_has_another_package(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same name and version, or a local version: what is locked comes from there, whatever was made before."""
    for index, versions in {"plain": ["1.0"], "cpu": ["1.0+cpu"], "own": ["1.0"]}.items():
        for version in versions:
            files = {"tool/__init__.py": f"INDEX = '{index}'\n"}
            make_wheel(tmp_path / "served" / index / "tool", "tool", version, files=files)
    bento = make_requirements(tmp_path / "bento", tmp_path, "tool")
    for file in (bento / "env" / "python").iterdir():
        file.write_text("tool\n", "utf-8")
    target = Target("linux/amd64", PYTHON, base.facts.glibc)
    cache = LayerCache(tmp_path / "cache")
    found = []
    with serving(tmp_path / "served") as host:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{host}/plain")
        for other in ("", "cpu", "own", ""):
            monkeypatch.setenv("UV_INDEX", f"http://{host}/{other}" if other else "")
            (lock,) = resolve(bento, [target], cache.folder / "locks")
            job = Job(bento, below(base), base.compiler, target, cache)
            (layer,), _ = made(job, lock.lines, tmp_path)
            module = members(job, layer)[f"{target.site_packages}/tool/__init__.py"]
            found.append((lock.lines, module.decode().split("'")[1]))
    plain = (("tool==1.0",), "plain")
    assert found == [plain, (("tool==1.0+cpu",), "cpu"), (("tool==1.0",), "own"), plain]


def test_the_password_of_an_index_is_no_difference(job: Job) -> None:
    """Who asks an index does not decide what it has; which one it is does."""

    def key(*options: str) -> str:
        asked = job.bento / "env" / "python" / "requirements.in"
        asked.write_text("".join(f"{line}\n" for line in options), "utf-8")
        return replace(job).key("tool==1.0")

    one, other = (key(f"--extra-index-url https://me:{word}@h/simple") for word in ("one", "other"))
    assert one == other
    assert one != key()
